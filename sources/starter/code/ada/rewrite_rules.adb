--  Markov-style string rewriting: an ordered list of rules is applied until
--  none fits, a terminal rule fires or the step limit is reached.

with Ada.Containers.Indefinite_Vectors;
with Ada.Strings.Fixed;     use Ada.Strings.Fixed;
with Ada.Strings.Unbounded; use Ada.Strings.Unbounded;
with Ada.Text_IO;           use Ada.Text_IO;

procedure Rewrite_Rules is

   package Rewriting is

      type Rule is record
         Pattern, Replacement : Unbounded_String;
         Terminal             : Boolean := False;
      end record;

      type Program is tagged private;

      --  "ab -> b", or "ab ->. b" for a terminal rule. An empty pattern
      --  matches at the beginning of the text.
      procedure Add (P : in out Program; Line : String);

      type Outcome is (Normal_Form, Terminated, Step_Limit);

      type Result is record
         Text   : Unbounded_String;
         Steps  : Natural;
         Reason : Outcome;
      end record;

      Syntax_Error : exception;

      function Run
        (P : Program; Input : String; Max_Steps : Positive := 10_000)
         return Result
        with Post => Run'Result.Steps <= Max_Steps;

   private

      package Rule_Vectors is new Ada.Containers.Indefinite_Vectors
        (Index_Type => Positive, Element_Type => Rule);

      type Program is tagged record
         Rules : Rule_Vectors.Vector;
      end record;

   end Rewriting;

   package body Rewriting is

      procedure Add (P : in out Program; Line : String) is
         Arrow : constant Natural := Index (Line, "->");
      begin
         if Arrow = 0 then
            raise Syntax_Error with "no arrow in """ & Line & '"';
         end if;
         declare
            Stops : constant Boolean :=
              Arrow + 2 <= Line'Last and then Line (Arrow + 2) = '.';
            Right : constant Positive := Arrow + (if Stops then 3 else 2);
            Both  : constant Ada.Strings.Trim_End := Ada.Strings.Both;
         begin
            P.Rules.Append
              (Rule'
                 (Pattern     => To_Unbounded_String
                    (Trim (Line (Line'First .. Arrow - 1), Both)),
                  Replacement => To_Unbounded_String
                    (Trim (Line (Right .. Line'Last), Both)),
                  Terminal    => Stops));
         end;
      end Add;

      --  Where the rule fits first, or 0.
      function Match (R : Rule; Text : Unbounded_String) return Natural is
        (if Length (R.Pattern) = 0 then 1
         else Index (Text, To_String (R.Pattern)));

      function Run
        (P : Program; Input : String; Max_Steps : Positive := 10_000)
         return Result
      is
         Text : Unbounded_String := To_Unbounded_String (Input);
      begin
         Steps :
         for Step in 1 .. Max_Steps loop
            for R of P.Rules loop
               declare
                  At_Index : constant Natural := Match (R, Text);
               begin
                  if At_Index > 0 then
                     Text :=
                       Unbounded_Slice (Text, 1, At_Index - 1)
                       & R.Replacement
                       & Unbounded_Slice
                           (Text, At_Index + Length (R.Pattern), Length (Text));
                     if R.Terminal then
                        return (Text, Step, Terminated);
                     end if;
                     goto Next_Step;   --  rules are tried from the top again
                  end if;
               end;
            end loop;
            return (Text, Step - 1, Normal_Form);
            <<Next_Step>>
         end loop Steps;
         return (Text, Max_Steps, Step_Limit);
      end Run;

   end Rewriting;

   use Rewriting;

   procedure Show (Title : String; P : Program; Input : String) is
      R : constant Result := P.Run (Input, Max_Steps => 25);
   begin
      Put_Line (Title & ": " & Input & " => " & To_String (R.Text)
                & " (" & R.Reason'Image & "," & R.Steps'Image & " steps)");
   end Show;

   To_Unary, Sorter, Looping : Program;

begin
   --  binary to unary
   To_Unary.Add ("|0 -> 0||");
   To_Unary.Add ("1 -> 0|");
   To_Unary.Add ("0 ->");
   Show ("unary", To_Unary, "1101");

   --  sorts the letters a, b and c, one exchange of neighbours at a time
   Sorter.Add ("ba -> ab");
   Sorter.Add ("cb -> bc");
   Sorter.Add ("ca -> ac");
   Show ("sorted", Sorter, "cabbacab");

   --  never settles: every step leaves something to rewrite
   Looping.Add ("x -> xy");
   Show ("growing", Looping, "x");

   To_Unary.Add ("no arrow here");
exception
   when Syntax_Error =>
      Put_Line ("syntax error reported");
end Rewrite_Rules;
