/-!
# Earliest arrival on a timetable

The connection scan algorithm: sort all elementary connections by departure and
make a single pass, keeping for each stop the earliest known arrival. The program
prints journeys on an invented mountain valley network.

    lean --run Timetable.lean Talheim Gletscher 7:10
-/

namespace Timetable

/-- Minutes after midnight; values past 1440 belong to the next day. -/
structure Clock where
  minutes : Nat
  deriving BEq, Repr

namespace Clock

instance : LE Clock := ⟨fun a b => a.minutes ≤ b.minutes⟩
instance : LT Clock := ⟨fun a b => a.minutes < b.minutes⟩

instance (a b : Clock) : Decidable (a ≤ b) :=
  inferInstanceAs (Decidable (a.minutes ≤ b.minutes))

instance (a b : Clock) : Decidable (a < b) :=
  inferInstanceAs (Decidable (a.minutes < b.minutes))

def later (c : Clock) (n : Nat) : Clock := ⟨c.minutes + n⟩

private def two (n : Nat) : String :=
  if n < 10 then s!"0{n}" else toString n

instance : ToString Clock where
  toString c := s!"{two (c.minutes / 60 % 24)}:{two (c.minutes % 60)}"

def parse? (text : String) : Option Clock := do
  match text.splitOn ":" with
  | [h, m] =>
    let h ← h.toNat?
    let m ← m.toNat?
    if h < 24 && m < 60 then some ⟨60 * h + m⟩ else none
  | _ => none

end Clock

/-- A clock time that is checked when the file is elaborated. -/
macro "clock! " h:num m:num : term => do
  if h.getNat < 24 && m.getNat < 60 then
    `(Clock.mk (60 * $h + $m))
  else
    Lean.Macro.throwError s!"no such time of day: {h.getNat} {m.getNat}"

/-- One vehicle from one stop to the next, without stops in between. -/
structure Connection where
  trip : String
  origin : String
  target : String
  departs : Clock
  arrives : Clock

/-- A line is a first departure, a headway, and legs with running times. -/
def line (name : String) (first : Clock) (every runs : Nat)
    (start : String) (legs : List (String × Nat)) : List Connection := Id.run do
  let mut out : List Connection := []
  for k in [0:runs] do
    let mut here := start
    let mut now := first.later (k * every)
    for (stop, ride) in legs do
      let reached := now.later ride
      out := ⟨s!"{name}.{k + 1}", here, stop, now, reached⟩ :: out
      here := stop
      now := reached.later 1
  return out

/-- What the scan knows about a stop: when we can be there, and how we came. -/
structure Label where
  stop : String
  time : Clock
  via : Option Connection

abbrev ScanM := StateM (List Label)

def label? (stop : String) : ScanM (Option Label) := do
  return (← get).find? (·.stop == stop)

def improve (c : Connection) : ScanM Unit :=
  modify fun labels =>
    { stop := c.target, time := c.arrives, via := some c : Label }
      :: labels.filter (·.stop != c.target)

/-- Changing takes `transfer` minutes unless one stays on the same trip. -/
def canBoard (transfer : Nat) (l : Label) (c : Connection) : Bool :=
  match l.via with
  | none => l.time ≤ c.departs
  | some d => if d.trip == c.trip then l.time ≤ c.departs
              else l.time.later transfer ≤ c.departs

def scan (transfer : Nat) (connections : List Connection) : ScanM Unit := do
  for c in connections do
    if let some l ← label? c.origin then
      if canBoard transfer l c then
        match (← label? c.target) with
        | none => improve c
        | some old => if c.arrives < old.time then improve c

/-- Follow the labels back. The fuel is the number of stops: an optimal journey
visits none of them twice. -/
def journey (labels : List Label) (stop : String) : Nat → List Connection
  | 0 => []
  | fuel + 1 =>
    match (labels.find? (·.stop == stop)).bind (·.via) with
    | none => []
    | some c => journey labels c.origin fuel ++ [c]

def network : List Connection :=
  let all :=
    line "S1" (clock! 6 5) 30 24 "Talheim" [("Bruck", 11), ("Seeboden", 9), ("Mauth", 14)]
    ++ line "B7" (clock! 6 20) 60 12 "Seeboden" [("Kar", 18), ("Gletscher", 22)]
    ++ line "R2" (clock! 6 40) 120 6 "Talheim" [("Seeboden", 15), ("Gletscher", 31)]
    ++ line "G0" (clock! 8 0) 15 36 "Mauth" [("Gletscher", 12)]
  all.mergeSort fun a b => a.departs ≤ b.departs

def answer (origin target : String) (at_ : Clock) : List String :=
  let start : List Label := [{ stop := origin, time := at_, via := none }]
  let (_, labels) := Id.run ((scan 3 network).run start)
  match journey labels target labels.length with
  | [] => [s!"no way from {origin} to {target} after {at_}"]
  | legs => legs.map fun c =>
      s!"{c.departs} {c.origin} -> {c.arrives} {c.target}  ({c.trip})"

end Timetable

def main : List String → IO UInt32
  | [origin, target, time] =>
    match Timetable.Clock.parse? time with
    | none => do IO.eprintln s!"not a time: {time}"; return 2
    | some t => do
      for row in Timetable.answer origin target t do IO.println row
      return 0
  | _ => do IO.eprintln "usage: timetable ORIGIN TARGET H:MM"; return 2
