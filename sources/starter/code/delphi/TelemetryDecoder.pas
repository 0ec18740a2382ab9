unit TelemetryDecoder;

{ Decodes the byte stream of a weather balloon's radio link.

  Frame:  AA 55 | length | kind | payload (length bytes) | CRC-16 of kind+payload

  Bytes arrive in pieces of any size. After a damaged frame the decoder looks
  for the next start mark inside the bytes it already has, so that one flipped
  bit in a length field does not swallow the frames behind it. }

{$IFDEF FPC}{$MODE DELPHI}{$ENDIF}

interface

uses
  SysUtils;

type
  TFrameKind = (fkPosition = $10, fkSensors = $11, fkText = $20);

  TFrame = record
    Kind: TFrameKind;
    Payload: TBytes;
    function ReadInt32(Offset: Integer): Integer; // big-endian
    function ReadInt16(Offset: Integer): SmallInt;
  end;

  TFrameEvent = procedure(Sender: TObject; const Frame: TFrame) of object;
  TDamageEvent = procedure(Sender: TObject; const Reason: string) of object;

  TTelemetryDecoder = class
  private
    FPending: TBytes;
    FFill: Integer;
    FFrames, FDamaged: Cardinal;
    FOnFrame: TFrameEvent;
    FOnDamage: TDamageEvent;
    procedure Discard(Count: Integer);
    procedure Damaged(const Reason: string);
    function TryTakeFrame: Boolean;
  public
    procedure Feed(const Data; Count: Integer);
    property FrameCount: Cardinal read FFrames;
    property DamagedCount: Cardinal read FDamaged;
    property OnFrame: TFrameEvent read FOnFrame write FOnFrame;
    property OnDamage: TDamageEvent read FOnDamage write FOnDamage;
  end;

function Crc16(const Data: TBytes; Start, Count: Integer): Word;

implementation

const
  Mark1 = $AA;
  Mark2 = $55;
  HeaderSize = 4;
  Overhead = HeaderSize + 2;

function Crc16(const Data: TBytes; Start, Count: Integer): Word;
var
  I, Bit: Integer;
begin
  Result := $FFFF;
  for I := Start to Start + Count - 1 do
  begin
    Result := Result xor (Word(Data[I]) shl 8);
    for Bit := 1 to 8 do
      if Result and $8000 <> 0 then
        Result := Word(Result shl 1) xor $1021
      else
        Result := Word(Result shl 1);
  end;
end;

function TFrame.ReadInt32(Offset: Integer): Integer;
begin
  if (Offset < 0) or (Offset + 4 > Length(Payload)) then
    raise ERangeError.CreateFmt('No 32-bit field at offset %d', [Offset]);
  Result := Integer((Cardinal(Payload[Offset]) shl 24) or (Payload[Offset + 1] shl 16)
    or (Payload[Offset + 2] shl 8) or Payload[Offset + 3]);
end;

function TFrame.ReadInt16(Offset: Integer): SmallInt;
begin
  if (Offset < 0) or (Offset + 2 > Length(Payload)) then
    raise ERangeError.CreateFmt('No 16-bit field at offset %d', [Offset]);
  Result := SmallInt((Payload[Offset] shl 8) or Payload[Offset + 1]);
end;

{ TTelemetryDecoder }

procedure TTelemetryDecoder.Feed(const Data; Count: Integer);
begin
  if Length(FPending) < FFill + Count then
    SetLength(FPending, FFill + Count + 256);
  Move(Data, FPending[FFill], Count);
  Inc(FFill, Count);
  while TryTakeFrame do;
end;

procedure TTelemetryDecoder.Discard(Count: Integer);
begin
  Dec(FFill, Count);
  Move(FPending[Count], FPending[0], FFill);
end;

procedure TTelemetryDecoder.Damaged(const Reason: string);
begin
  Inc(FDamaged);
  Discard(2); // only the start mark: a real frame may begin right behind it
  if Assigned(FOnDamage) then
    FOnDamage(Self, Reason);
end;

{ False when more bytes are needed; True when it is worth trying again. }
function TTelemetryDecoder.TryTakeFrame: Boolean;
var
  Start, Size: Integer;
  Frame: TFrame;
begin
  Start := 0;
  while (Start + 1 < FFill) and
    not ((FPending[Start] = Mark1) and (FPending[Start + 1] = Mark2)) do
    Inc(Start);
  Discard(Start);
  if FFill < HeaderSize then
    Exit(False);

  Size := FPending[2];
  if FFill < Size + Overhead then
    Exit(False);
  Result := True;
  if Crc16(FPending, 3, Size + 1) <> (FPending[HeaderSize + Size] shl 8) or
    FPending[HeaderSize + Size + 1] then
    Damaged('checksum')
  else if not (FPending[3] in [Ord(fkPosition), Ord(fkSensors), Ord(fkText)]) then
    Damaged(Format('unknown kind $%.2x', [FPending[3]]))
  else
  begin
    Frame.Kind := TFrameKind(FPending[3]);
    Frame.Payload := Copy(FPending, HeaderSize, Size);
    Discard(Size + Overhead);
    Inc(FFrames);
    if Assigned(FOnFrame) then
      FOnFrame(Self, Frame);
  end;
end;

end.
