--  Level control for a two-tank water plant, computed in fixed point.
--
--  Levels step by an eighth of a millimetre and flows by exactly 0.01 l/s,
--  which binary floating point could not promise. The control law is stated
--  twice, as code and as a postcondition; build with -gnata to check it.

with Ada.Text_IO; use Ada.Text_IO;

procedure Tank_Controller is

   type Millimetres is delta 0.125 range 0.0 .. 4_000.0;
   type Litres_Per_Second is delta 0.01 digits 4 range -50.0 .. 50.0;
   subtype Pump_Rate is Litres_Per_Second range 0.0 .. 12.5;

   type Tank_Id is (Buffer, Header);
   type Levels is array (Tank_Id) of Millimetres;

   --  One litre raises the level of each tank by this much.
   Rise_Per_Litre : constant array (Tank_Id) of Millimetres :=
     (Buffer => 1.25, Header => 3.5);

   package Level_IO is new Ada.Text_IO.Fixed_IO (Millimetres);
   package Flow_IO  is new Ada.Text_IO.Decimal_IO (Litres_Per_Second);

   type Mode is (Filling, Holding, Starved);

   type Decision is record
      Rate : Pump_Rate;
      Next : Mode;
   end record;

   Header_Low   : constant Millimetres := 1_200.0;
   Header_High  : constant Millimetres := 1_900.0;
   Buffer_Empty : constant Millimetres := 250.0;

   --  Hysteresis between low and high marks; the pump never runs dry.
   function Decide (Level : Levels; Current : Mode) return Decision
     with Post =>
       (if Level (Buffer) <= Buffer_Empty
        then Decide'Result.Rate = 0.0 and Decide'Result.Next = Starved)
       and then
       (if Level (Header) >= Header_High then Decide'Result.Rate = 0.0);

   function Decide (Level : Levels; Current : Mode) return Decision is
   begin
      if Level (Buffer) <= Buffer_Empty then
         return (Rate => 0.0, Next => Starved);
      elsif Level (Header) >= Header_High then
         return (Rate => 0.0, Next => Holding);
      elsif Level (Header) < Header_Low or else Current = Filling then
         --  Proportional to the distance from the high mark, but no slower
         --  than the pump can run without stalling.
         declare
            Wanted : constant Litres_Per_Second :=
              Litres_Per_Second ((Header_High - Level (Header)) * 0.01);
         begin
            return (Rate => Pump_Rate'Max
                              (2.0, Litres_Per_Second'Min
                                      (Wanted, Pump_Rate'Last)),
                    Next => Filling);
         end;
      else
         return (Rate => 0.0, Next => Holding);
      end if;
   end Decide;

   --  Adds a flow over one second; overflow and drought saturate.
   procedure Apply
     (Level : in out Millimetres;
      Tank  : Tank_Id;
      Flow  : Litres_Per_Second;
      Spill : in out Natural)
   is
      --  The intermediate type is wide enough for any single step.
      type Wide is delta 0.125 range -8_000.0 .. 8_000.0;
      Moved : constant Wide := Wide (Rise_Per_Litre (Tank) * Flow);
      Next  : constant Wide := Wide (Level) + Moved;
   begin
      if Next > Wide (Millimetres'Last) then
         Level := Millimetres'Last;
         Spill := Spill + 1;
      elsif Next < 0.0 then
         Level := 0.0;
      else
         Level := Millimetres (Next);
      end if;
   end Apply;

   --  Demand of the town, repeating every ten simulated minutes.
   function Demand (Second : Natural) return Pump_Rate is
     (case Second mod 600 is
         when 0 .. 179   => 1.8,
         when 180 .. 299 => 7.25,
         when 300 .. 479 => 3.6,
         when others     => 0.4);

   Level    : Levels := (Buffer => 3_000.0, Header => 1_500.0);
   State    : Mode := Holding;
   Spills   : Natural := 0;
   Switches : Natural := 0;

begin
   for Second in 1 .. 1_800 loop
      declare
         D : constant Decision := Decide (Level, State);
      begin
         if D.Next /= State then
            Switches := Switches + 1;
            Put ("t =" & Integer'Image (Second) & " s: "
                 & Mode'Image (State) & " -> " & Mode'Image (D.Next)
                 & ", header ");
            Level_IO.Put (Level (Header), Fore => 4, Aft => 1);
            Put (" mm, pump ");
            Flow_IO.Put (D.Rate, Fore => 2, Aft => 2);
            New_Line;
         end if;
         State := D.Next;
         Apply (Level (Header), Header, D.Rate - Demand (Second), Spills);
         Apply (Level (Buffer), Buffer, 3.0 - D.Rate, Spills);
      end;
   end loop;

   Put_Line (Integer'Image (Switches) & " mode changes,"
             & Integer'Image (Spills) & " spills");
   pragma Assert (Level (Buffer) > 0.0, "the pump has emptied the buffer");
end Tank_Controller;
