--  Reads the free-space bitmap of a small flash file system.
--
--  The on-disk header is described by representation clauses, so that the
--  compiler does the shifting and masking and rejects a layout that does not
--  add up. The reader validates every field before it trusts one.

with Ada.Command_Line;
with Ada.Sequential_IO;
with Ada.Text_IO; use Ada.Text_IO;
with Ada.Unchecked_Conversion;
with Interfaces;  use Interfaces;
with System;

procedure Sector_Bitmap is

   type Volume_State is (Clean, Mounted, Needs_Check);
   for Volume_State use (Clean => 16#0#, Mounted => 16#5#, Needs_Check => 16#A#);

   type Version_Number is range 0 .. 15;
   type Sector_Shift   is range 0 .. 15;

   type Header is record
      Magic   : Unsigned_32;
      Version : Version_Number;
      State   : Volume_State;
      Shift   : Sector_Shift;      --  log2 of the sector size
      Sectors : Unsigned_32;
      Check   : Unsigned_16;       --  sum of the preceding bytes
   end record;

   for Header use record
      Magic   at 0 range 0 .. 31;
      Version at 4 range 0 .. 3;
      State   at 4 range 4 .. 7;
      Shift   at 5 range 0 .. 7;
      Sectors at 6 range 0 .. 31;
      Check   at 10 range 0 .. 15;
   end record;
   for Header'Size use 12 * 8;
   for Header'Bit_Order use System.Low_Order_First;
   for Header'Scalar_Storage_Order use System.Low_Order_First;

   type Bytes is array (Positive range <>) of Unsigned_8;
   subtype Raw_Header is Bytes (1 .. 12);
   function To_Header is new Ada.Unchecked_Conversion (Raw_Header, Header);
   function To_Raw    is new Ada.Unchecked_Conversion (Header, Raw_Header);

   Magic_Value  : constant Unsigned_32 := 16#4C46_5331#;
   Format_Error : exception;

   function Sum (Raw : Raw_Header) return Unsigned_16 is
      Total : Unsigned_16 := 0;
   begin
      for B of Raw (1 .. 10) loop
         Total := Rotate_Left (Total, 3) + Unsigned_16 (B);
      end loop;
      return Total;
   end Sum;

   function Checked (Raw : Raw_Header) return Header is
      H : constant Header := To_Header (Raw);
   begin
      if H.Magic /= Magic_Value then
         raise Format_Error with "not a volume";
      elsif H.Check /= Sum (Raw) then
         raise Format_Error with "header checksum";
      elsif not H.State'Valid then
         --  Any other pattern in the enumeration's bits.
         raise Format_Error with "unknown volume state";
      elsif H.Shift not in 8 .. 12 then
         raise Format_Error with "sector size 2 **" & H.Shift'Image;
      end if;
      return H;
   end Checked;

   --  The longest run of free sectors, a clear bit being a free sector.
   procedure Longest_Free
     (Map : Bytes; Sectors : Natural; First : out Natural; Length : out Natural)
     with Pre => Map'Length * 8 >= Sectors
   is
      Run : Natural := 0;
   begin
      First  := 0;
      Length := 0;
      for S in 0 .. Sectors - 1 loop
         if (Map (Map'First + S / 8) and Shift_Left (1, S mod 8)) = 0 then
            Run := Run + 1;
            if Run > Length then
               Length := Run;
               First  := S - Run + 1;
            end if;
         else
            Run := 0;
         end if;
      end loop;
   end Longest_Free;

   package Byte_IO is new Ada.Sequential_IO (Unsigned_8);

   function Read (Path : String; Limit : Positive) return Bytes is
      File   : Byte_IO.File_Type;
      Result : Bytes (1 .. Limit);
      Last   : Natural := 0;
   begin
      Byte_IO.Open (File, Byte_IO.In_File, Path);
      while Last < Limit and then not Byte_IO.End_Of_File (File) loop
         Last := Last + 1;
         Byte_IO.Read (File, Result (Last));
      end loop;
      Byte_IO.Close (File);
      return Result (1 .. Last);
   end Read;

   --  A volume of 20 sectors for trying the program out.
   function Sample return Bytes is
      H : Header := (Magic_Value, 2, Needs_Check, 9, 20, 0);
   begin
      H.Check := Sum (To_Raw (H));
      return To_Raw (H) & Bytes'(2#0000_0111#, 2#0100_0000#, 2#0000_0000#);
   end Sample;

   Image : constant Bytes :=
     (if Ada.Command_Line.Argument_Count = 1
      then Read (Ada.Command_Line.Argument (1), Limit => 8_192)
      else Sample);
   First, Length : Natural;

begin
   if Image'Length < Raw_Header'Length then
      raise Format_Error with "file too short";
   end if;
   declare
      H : constant Header := Checked (Image (1 .. 12));
   begin
      Put_Line ("version" & H.Version'Image & ", " & H.State'Image
                & "," & H.Sectors'Image & " sectors");
      Longest_Free (Image (13 .. Image'Last), Natural (H.Sectors), First, Length);
      Put_Line ("longest free run:" & Length'Image & " from" & First'Image);
   end;
end Sector_Bitmap;
