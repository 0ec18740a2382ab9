unit ShiftPlanner;

{ Assigns people to shifts by backtracking with constraint checks.

  People and skills are Pascal sets, so that "who could still work here" is
  set arithmetic. The search always fills the shift with the fewest candidates
  next and undoes its latest choice when some shift is left with too few. }

{$IFDEF FPC}{$MODE DELPHI}{$ENDIF}

interface

type
  TPerson = 0 .. 31;
  TPeople = set of TPerson;
  TSkill = (skFirstAid, skForklift, skKeyHolder);
  TSkills = set of TSkill;

  TShift = record
    StartHour, EndHour: Integer; // hours since the beginning of the week
    Heads: Integer;
    Needs: TSkills;              // the staff together must have all of these
    Staff: TPeople;
  end;

  TShiftPlan = class
  private
    FShifts: array of TShift;
    FSkills: array [TPerson] of TSkills;
    FLoad: array [TPerson] of Integer;
    FPeople: TPeople;
    FMaxHours, FMinRest: Integer;
    function Candidates(const Shift: TShift): TPeople;
    function MissingSkills(const Shift: TShift): TSkills;
    function Tightest(out Index: Integer): Boolean;
  public
    procedure AddPerson(Person: TPerson; Skills: TSkills);
    procedure AddShift(StartHour, EndHour, Heads: Integer; Needs: TSkills);
    /// False if there is no valid plan; the staff sets are empty then.
    function Solve: Boolean;
    function StaffOf(Index: Integer): TPeople;
    property MaxHours: Integer read FMaxHours write FMaxHours;
    property MinRest: Integer read FMinRest write FMinRest;
  end;

implementation

function CountOf(const People: TPeople): Integer;
var
  P: TPerson;
begin
  Result := 0;
  for P in People do
    Inc(Result);
end;

procedure TShiftPlan.AddPerson(Person: TPerson; Skills: TSkills);
begin
  Include(FPeople, Person);
  FSkills[Person] := Skills;
end;

procedure TShiftPlan.AddShift(StartHour, EndHour, Heads: Integer; Needs: TSkills);
var
  N: Integer;
begin
  N := Length(FShifts);
  SetLength(FShifts, N + 1); // new elements start out zeroed
  FShifts[N].StartHour := StartHour;
  FShifts[N].EndHour := EndHour;
  FShifts[N].Heads := Heads;
  FShifts[N].Needs := Needs;
end;

/// People who may join the shift without breaking hours or rest.
function TShiftPlan.Candidates(const Shift: TShift): TPeople;
var
  P: TPerson;
  I: Integer;
begin
  Result := FPeople - Shift.Staff;
  for P in FPeople do
    if FLoad[P] + Shift.EndHour - Shift.StartHour > FMaxHours then
      Exclude(Result, P);
  for I := 0 to High(FShifts) do
    if (FShifts[I].StartHour < Shift.EndHour + FMinRest) and
      (Shift.StartHour < FShifts[I].EndHour + FMinRest) then
      Result := Result - FShifts[I].Staff;
end;

function TShiftPlan.MissingSkills(const Shift: TShift): TSkills;
var
  P: TPerson;
begin
  Result := Shift.Needs;
  for P in Shift.Staff do
    Result := Result - FSkills[P];
end;

/// The open shift with the least slack, or False when all are filled.
function TShiftPlan.Tightest(out Index: Integer): Boolean;
var
  I, Open, Slack, Best: Integer;
begin
  Index := -1;
  Best := MaxInt;
  for I := 0 to High(FShifts) do
  begin
    Open := FShifts[I].Heads - CountOf(FShifts[I].Staff);
    Slack := CountOf(Candidates(FShifts[I])) - Open;
    if (Open > 0) and (Slack < Best) then
    begin
      Best := Slack;
      Index := I;
    end;
  end;
  Result := Index >= 0;
end;

function TShiftPlan.Solve: Boolean;
var
  Index: Integer;
  P: TPerson;
  Last: Boolean;
begin
  if not Tightest(Index) then
    Exit(True);
  Last := CountOf(FShifts[Index].Staff) + 1 = FShifts[Index].Heads;
  for P in Candidates(FShifts[Index]) do
    // the last place must supply whatever skill is still missing
    if not Last or (MissingSkills(FShifts[Index]) <= FSkills[P]) then
    begin
      Include(FShifts[Index].Staff, P);
      Inc(FLoad[P], FShifts[Index].EndHour - FShifts[Index].StartHour);
      if Solve then
        Exit(True);
      Exclude(FShifts[Index].Staff, P);
      Dec(FLoad[P], FShifts[Index].EndHour - FShifts[Index].StartHour);
    end;
  Result := False;
end;

function TShiftPlan.StaffOf(Index: Integer): TPeople;
begin
  Result := FShifts[Index].Staff;
end;

end.
