program UndoHistory;

{$IFDEF FPC}{$MODE DELPHI}{$ENDIF}
{$APPTYPE CONSOLE}

{ Undo and redo for a small grid document. Commands are reference-counted
  interfaces: the history drops them and nothing has to be freed by hand.
  Adjacent edits of one cell merge into one step, as users expect. }

uses
  SysUtils, Classes;

type
  TGrid = class
    Cells: array ['A' .. 'Z', 1 .. 20] of string;
  end;

  ICommand = interface
    ['{6B1B7C52-0D1E-4E55-9B57-5D8E6A2F1C30}']
    procedure Apply;
    procedure Revert;
    function TryMerge(const Later: ICommand): Boolean;
  end;

  TSetCell = class(TInterfacedObject, ICommand)
  private
    FGrid: TGrid;
    FCol: Char;
    FRow: Integer;
    FBefore, FAfter: string;
  public
    constructor Create(Grid: TGrid; Col: Char; Row: Integer; const Value: string);
    procedure Apply;
    procedure Revert;
    function TryMerge(const Later: ICommand): Boolean;
  end;

  THistory = class
  private
    FDone, FUndone: IInterfaceList;
    FSealed: Boolean; // no merging into the latest command
  public
    constructor Create;
    procedure Execute(const Command: ICommand);
    function Undo: Boolean;
    function Redo: Boolean;
    // Ends merging, for instance when the cursor leaves the cell.
    procedure Seal;
  end;

constructor TSetCell.Create(Grid: TGrid; Col: Char; Row: Integer; const Value: string);
begin
  inherited Create;
  FGrid := Grid;
  FCol := Col;
  FRow := Row;
  FBefore := Grid.Cells[Col, Row];
  FAfter := Value;
end;

procedure TSetCell.Apply;
begin
  FGrid.Cells[FCol, FRow] := FAfter;
end;

procedure TSetCell.Revert;
begin
  FGrid.Cells[FCol, FRow] := FBefore;
end;

function TSetCell.TryMerge(const Later: ICommand): Boolean;
var
  Other: TSetCell;
begin
  if not (Later is TSetCell) then
    Exit(False);
  Other := Later as TSetCell;
  Result := (Other.FGrid = FGrid) and (Other.FCol = FCol) and (Other.FRow = FRow);
  if Result then
    FAfter := Other.FAfter;
end;

constructor THistory.Create;
begin
  inherited Create;
  FDone := TInterfaceList.Create;
  FUndone := TInterfaceList.Create;
end;

procedure THistory.Execute(const Command: ICommand);
begin
  Command.Apply;
  FUndone.Clear;
  if FSealed or (FDone.Count = 0) or not (FDone.Last as ICommand).TryMerge(Command) then
    FDone.Add(Command);
  FSealed := False;
end;

procedure THistory.Seal;
begin
  FSealed := True;
end;

function THistory.Undo: Boolean;
begin
  Result := FDone.Count > 0;
  if not Result then
    Exit;
  (FDone.Last as ICommand).Revert;
  FUndone.Add(FDone.Last);
  FDone.Delete(FDone.Count - 1);
  FSealed := True;
end;

function THistory.Redo: Boolean;
begin
  Result := FUndone.Count > 0;
  if not Result then
    Exit;
  (FUndone.Last as ICommand).Apply;
  FDone.Add(FUndone.Last);
  FUndone.Delete(FUndone.Count - 1);
end;

var
  Grid: TGrid;
  History: THistory;
begin
  Grid := TGrid.Create;
  History := THistory.Create;
  try
    History.Execute(TSetCell.Create(Grid, 'B', 2, '1'));
    History.Execute(TSetCell.Create(Grid, 'B', 2, '12')); // merges
    History.Seal;
    History.Execute(TSetCell.Create(Grid, 'B', 2, '7'));
    while History.Undo do
      WriteLn('undone, B2 = "', Grid.Cells['B', 2], '"');
    History.Redo;
    WriteLn('redone, B2 = "', Grid.Cells['B', 2], '"');
  finally
    History.Free;
    Grid.Free;
  end;
end.
