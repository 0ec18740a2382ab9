(* elf-sizes: where do the bytes of an ELF image go?

   Prints the sections of a 32 or 64 bit object in either byte order, grouped by
   what they cost on a microcontroller: flash, RAM, or nothing at all. *)

type endian = Little | Big

type image = { data : Bytes.t; endian : endian; wide : bool }

type section = {
  name : string;
  kind : int;
  flags : int64;
  address : int64;
  offset : int;
  size : int;
}

exception Not_elf of string

let checked img at n =
  if at < 0 || at + n > Bytes.length img.data then
    raise (Not_elf (Printf.sprintf "offset 0x%x lies outside the file" at))

let u16 img at =
  checked img at 2;
  match img.endian with
  | Little -> Bytes.get_uint16_le img.data at
  | Big -> Bytes.get_uint16_be img.data at

let u32 img at =
  checked img at 4;
  let raw = match img.endian with
    | Little -> Bytes.get_int32_le img.data at
    | Big -> Bytes.get_int32_be img.data at
  in
  Int32.to_int raw land 0xFFFF_FFFF

let u64 img at =
  checked img at 8;
  match img.endian with
  | Little -> Bytes.get_int64_le img.data at
  | Big -> Bytes.get_int64_be img.data at

(* A "word" is as wide as an address of the target. *)
let word img at = if img.wide then u64 img at else Int64.of_int (u32 img at)

let to_offset v =
  match Int64.unsigned_to_int v with
  | Some n -> n
  | None -> raise (Not_elf "offset does not fit in memory")

let open_image data =
  if Bytes.length data < 52 || Bytes.sub_string data 0 4 <> "\x7fELF" then raise (Not_elf "no ELF magic");
  let wide = match Bytes.get data 4 with
    | '\001' -> false
    | '\002' -> true
    | c -> raise (Not_elf (Printf.sprintf "unknown class %d" (Char.code c)))
  in
  let endian = if Bytes.get data 5 = '\002' then Big else Little in
  { data; endian; wide }

let c_string img at =
  match Bytes.index_from_opt img.data at '\000' with
  | Some stop -> Bytes.sub_string img.data at (stop - at)
  | None -> raise (Not_elf "string table is not terminated")

(* Field positions of a section header, for both classes. *)
let section img ~names at =
  let pick narrow wide = at + if img.wide then wide else narrow in
  {
    name = (match names with None -> "" | Some base -> c_string img (base + u32 img at));
    kind = u32 img (at + 4);
    flags = word img (at + 8);
    address = word img (pick 12 16);
    offset = to_offset (word img (pick 16 24));
    size = to_offset (word img (pick 20 32));
  }

let sections img =
  let pick narrow wide = if img.wide then wide else narrow in
  let table = to_offset (word img (pick 32 40)) in
  let entry_size = u16 img (pick 46 58) in
  let at i = table + (i * entry_size) in
  if table = 0 then []
  else begin
    (* With 0xff00 sections or more the real counts are in section 0. *)
    let first = section img ~names:None (at 0) in
    let count = match u16 img (pick 48 60) with 0 -> first.size | n -> n in
    let names_index = match u16 img (pick 50 62) with
      | 0xFFFF -> u32 img (at 0 + pick 24 40)
      | n -> n
    in
    let names = (section img ~names:None (at names_index)).offset in
    List.init (count - 1) (fun i -> section img ~names:(Some names) (at (i + 1)))
  end

type cost = Flash | Ram | Both | Host_only

(* Initialised data is paid for twice: it is copied from flash at start-up. *)
let cost s =
  let has bit = Int64.logand s.flags bit <> 0L in
  let alloc = has 2L and writable = has 1L and nobits = s.kind = 8 in
  match alloc, writable, nobits with
  | false, _, _ -> Host_only
  | true, _, true -> Ram
  | true, true, false -> Both
  | true, false, false -> Flash

let label = function
  | Flash -> "flash"
  | Ram -> "ram"
  | Both -> "flash+ram"
  | Host_only -> "-"

let report img =
  let all = sections img |> List.filter (fun s -> s.size > 0) in
  let by_size a b = compare b.size a.size in
  List.iter
    (fun s -> Printf.printf "%-24s 0x%08Lx %9d  %s\n" s.name s.address s.size (label (cost s)))
    (List.sort by_size all);
  let total costs =
    List.fold_left (fun sum s -> if List.mem (cost s) costs then sum + s.size else sum) 0 all
  in
  Printf.printf "\nflash %d bytes, ram %d bytes\n" (total [ Flash; Both ]) (total [ Ram; Both ])

let read_file path =
  let ic = open_in_bin path in
  Fun.protect
    ~finally:(fun () -> close_in_noerr ic)
    (fun () ->
       let n = in_channel_length ic in
       let buffer = Bytes.create n in
       really_input ic buffer 0 n;
       buffer)

let () =
  let failed = ref false in
  let complain path reason = Printf.eprintf "elf-sizes: %s: %s\n" path reason; failed := true in
  (match Array.to_list Sys.argv with
   | _ :: (_ :: _ as paths) ->
     List.iter
       (fun path ->
          match report (open_image (read_file path)) with
          | () -> ()
          | exception Not_elf reason -> complain path reason
          | exception Sys_error reason -> complain path reason)
       paths
   | _ -> prerr_endline "usage: elf-sizes FILE..."; failed := true);
  if !failed then exit 1
