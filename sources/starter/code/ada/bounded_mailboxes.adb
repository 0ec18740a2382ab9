--  Printing service: client tasks post jobs of two priorities to a bounded
--  mailbox, two printer tasks fetch them. The mailbox is a protected object
--  whose entry barriers state when a caller has to wait.

with Ada.Text_IO;

procedure Bounded_Mailboxes is

   type Urgency is (Routine, Urgent);
   type Job_Number is range 1 .. 999;

   type Job is record
      Number : Job_Number;
      Pages  : Positive;
   end record;

   type Job_Array is array (Positive range <>) of Job;

   generic
      type Item is private;
      type Item_Array is array (Positive range <>) of Item;
      Capacity : Positive;
   package Mailboxes is
      type Queue_Lengths is array (Urgency) of Natural;
      type Shelves is array (Urgency) of Item_Array (1 .. Capacity);

      protected type Mailbox is
         --  An entry family: each urgency has a queue and a barrier of its
         --  own, so that routine posters cannot block urgent ones.
         entry Post (Urgency) (Value : Item);

         --  Urgent items first. Raises no error on closing: Got is False
         --  once the mailbox is closed and empty.
         entry Fetch (Value : out Item; Got : out Boolean);

         procedure Close;
         function Lengths return Queue_Lengths;
      private
         Open  : Boolean := True;
         Count : Queue_Lengths := (others => 0);
         First : Queue_Lengths := (others => 1);
         Store : Shelves;
      end Mailbox;
   end Mailboxes;

   package body Mailboxes is
      protected body Mailbox is
         entry Post (for U in Urgency) (Value : Item)
           when Count (U) < Capacity
         is
            Slot : constant Positive :=
              (First (U) + Count (U) - 1) mod Capacity + 1;
         begin
            if not Open then
               raise Program_Error with "post to a closed mailbox";
            end if;
            Store (U) (Slot) := Value;
            Count (U) := Count (U) + 1;
         end Post;

         entry Fetch (Value : out Item; Got : out Boolean)
           when Count (Routine) + Count (Urgent) > 0 or else not Open
         is
            U : constant Urgency :=
              (if Count (Urgent) > 0 then Urgent else Routine);
         begin
            Got := Count (U) > 0;
            if Got then
               Value := Store (U) (First (U));
               First (U) := First (U) mod Capacity + 1;
               Count (U) := Count (U) - 1;
            end if;
         end Fetch;

         procedure Close is
         begin
            Open := False;
         end Close;

         function Lengths return Queue_Lengths is (Count);
      end Mailbox;
   end Mailboxes;

   package Job_Boxes is new Mailboxes (Job, Job_Array, Capacity => 3);
   Box : Job_Boxes.Mailbox;

   protected Log is
      procedure Line (Text : String);
      procedure Add_Pages (N : Positive);
      function Total return Natural;
   private
      Pages : Natural := 0;
   end Log;

   protected body Log is
      procedure Line (Text : String) is
      begin
         Ada.Text_IO.Put_Line (Text);
      end Line;

      procedure Add_Pages (N : Positive) is
      begin
         Pages := Pages + N;
      end Add_Pages;

      function Total return Natural is (Pages);
   end Log;
   task type Printer (Id : Positive);

   task body Printer is
      Work : Job;
      Got  : Boolean;
   begin
      loop
         Box.Fetch (Work, Got);
         exit when not Got;
         delay Duration (Work.Pages) * 0.002;
         Log.Add_Pages (Work.Pages);
         Log.Line ("printer" & Id'Image & " finished job" & Work.Number'Image);
      end loop;
   end Printer;

begin
   declare
      --  Leaving this block waits for both printers.
      Left  : Printer (1);
      Right : Printer (2);
   begin
      for N in Job_Number range 1 .. 12 loop
         select
            Box.Post (if N mod 4 = 0 then Urgent else Routine)
              ((Number => N, Pages => 1 + Natural (N) mod 5));
         or
            delay 0.5;
            Log.Line ("job" & N'Image & " refused: the mailbox stays full");
         end select;
      end loop;
      Box.Close;
   end;
   Log.Line ("pages printed:" & Log.Total'Image);
end Bounded_Mailboxes;
