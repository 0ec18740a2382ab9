/// Interns strings: equal texts share one integer id and one stored copy.
///
/// Open addressing with linear probing; ids are dense and stable. Not thread-safe.
unit StringInterner;

{$IFDEF FPC}{$MODE DELPHI}{$ENDIF}
{$Q-,R-} // the hash relies on wrap-around

interface

uses
  SysUtils;

type
  TInternId = type Integer;

  TStringInterner = class
  strict private
  type
    TSlot = record
      Hash: Cardinal;
      Id: TInternId; // cFree when unused
    end;
  const
    cFree = -1;
    cInitialSlots = 16; // must be a power of two
  var
    FSlots: array of TSlot;
    FTexts: array of string;
    FCount: Integer;
    class function HashOf(const S: string): Cardinal; static;
    function FindSlot(const S: string; Hash: Cardinal): Integer;
    procedure Rehash(NewSize: Integer);
    function GetText(Id: TInternId): string;
  public
    constructor Create;
    /// Returns the id of S, storing it if it is new.
    function Intern(const S: string): TInternId;
    /// Looks S up without storing it.
    function TryFind(const S: string; out Id: TInternId): Boolean;
    procedure Clear;
    property Texts[Id: TInternId]: string read GetText; default;
    property Count: Integer read FCount;
  end;

implementation

class function TStringInterner.HashOf(const S: string): Cardinal;
var
  I: Integer;
begin
  // FNV-1a over code units
  Result := 2166136261;
  for I := 1 to Length(S) do
  begin
    Result := Result xor Ord(S[I]);
    Result := Result * 16777619;
  end;
end;

constructor TStringInterner.Create;
begin
  inherited Create;
  Clear;
end;

procedure TStringInterner.Clear;
begin
  FCount := 0;
  SetLength(FTexts, 0);
  SetLength(FSlots, 0);
  Rehash(cInitialSlots);
end;

/// The slot that holds S, or the free slot where it belongs.
function TStringInterner.FindSlot(const S: string; Hash: Cardinal): Integer;
begin
  Result := Hash and Cardinal(High(FSlots));
  while FSlots[Result].Id <> cFree do
  begin
    if (FSlots[Result].Hash = Hash) and (FTexts[FSlots[Result].Id] = S) then
      Exit;
    Result := (Result + 1) and High(FSlots);
  end;
end;

procedure TStringInterner.Rehash(NewSize: Integer);
var
  Kept: array of TSlot;
  I, N, At: Integer;
begin
  // Gather the used slots; they are distinct, so no texts are compared.
  SetLength(Kept, FCount);
  N := 0;
  for I := 0 to High(FSlots) do
    if FSlots[I].Id <> cFree then
    begin
      Kept[N] := FSlots[I];
      Inc(N);
    end;
  SetLength(FSlots, NewSize);
  for I := 0 to High(FSlots) do
    FSlots[I].Id := cFree;
  for I := 0 to N - 1 do
  begin
    At := Kept[I].Hash and Cardinal(High(FSlots));
    while FSlots[At].Id <> cFree do
      At := (At + 1) and High(FSlots);
    FSlots[At] := Kept[I];
  end;
end;

function TStringInterner.Intern(const S: string): TInternId;
var
  Hash: Cardinal;
  At: Integer;
begin
  Hash := HashOf(S);
  At := FindSlot(S, Hash);
  if FSlots[At].Id <> cFree then
    Exit(FSlots[At].Id);
  if 4 * (FCount + 1) > 3 * Length(FSlots) then
  begin
    Rehash(2 * Length(FSlots));
    At := FindSlot(S, Hash);
  end;
  if FCount = Length(FTexts) then
    SetLength(FTexts, 2 * FCount + 8);
  FTexts[FCount] := S;
  FSlots[At].Hash := Hash;
  FSlots[At].Id := FCount;
  Result := FCount;
  Inc(FCount);
end;

function TStringInterner.TryFind(const S: string; out Id: TInternId): Boolean;
begin
  Id := FSlots[FindSlot(S, HashOf(S))].Id;
  Result := Id <> cFree;
end;

function TStringInterner.GetText(Id: TInternId): string;
begin
  if (Id < 0) or (Id >= FCount) then
    raise ERangeError.CreateFmt('There is no interned string %d', [Id]);
  Result := FTexts[Id];
end;

end.
