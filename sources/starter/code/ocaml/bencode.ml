(* Bencode: a strict decoder, an encoder, and a command that describes a
   metainfo file.

   The decoder insists on the canonical form (sorted unique keys, no leading
   zeros), because the identity of a torrent is a hash of these very bytes. *)

module Dict = Map.Make (String)

type t =
  | Int of int
  | Bytes of string
  | List of t list
  | Dict of t Dict.t

type error = { offset : int; reason : string }

exception Malformed of error
let fail offset fmt = Printf.ksprintf (fun reason -> raise (Malformed { offset; reason })) fmt

(* {1 Decoding} *)

let decode_prefix s start =
  let length = String.length s in
  let peek i = if i < length then s.[i] else fail i "unexpected end of input" in
  let digits i stop =
    let rec scan j = match peek j with
      | '0' .. '9' -> scan (j + 1)
      | c when c = stop && j > i -> j
      | c -> fail j "expected a digit or %C, got %C" stop c
    in
    let j = scan i in
    if s.[i] = '0' && j > i + 1 then fail i "leading zero";
    match int_of_string_opt (String.sub s i (j - i)) with
    | Some n -> (n, j + 1)
    | None -> fail i "number does not fit in %d bits" Sys.int_size
  in
  let bytes i =
    let n, body = digits i ':' in
    if n > length - body then fail i "string of %d bytes runs past the end" n;
    (String.sub s body n, body + n)
  in
  let rec value i =
    match peek i with
    | 'i' when peek (i + 1) = '-' ->
      let n, next = digits (i + 2) 'e' in
      if n = 0 then fail i "negative zero";
      (Int (-n), next)
    | 'i' ->
      let n, next = digits (i + 1) 'e' in
      (Int n, next)
    | 'l' -> items [] (i + 1)
    | 'd' -> pairs ~last:None Dict.empty (i + 1)
    | '0' .. '9' ->
      let b, next = bytes i in
      (Bytes b, next)
    | c -> fail i "no value starts with %C" c
  and items acc i =
    if peek i = 'e' then (List (List.rev acc), i + 1)
    else
      let v, next = value i in
      items (v :: acc) next
  and pairs ~last acc i =
    if peek i = 'e' then (Dict acc, i + 1)
    else
      let key, at = bytes i in
      (match last with
       | Some previous when String.compare previous key >= 0 -> fail i "key %S is out of order" key
       | _ -> ());
      let v, next = value at in
      pairs ~last:(Some key) (Dict.add key v acc) next
  in
  value start

let decode s =
  match decode_prefix s 0 with
  | v, next when next = String.length s -> Ok v
  | _, next -> Error { offset = next; reason = "text after the end" }
  | exception Malformed e -> Error e

(* {1 Encoding} *)

let rec add_to buffer = function
  | Int n -> Printf.bprintf buffer "i%de" n
  | Bytes b -> Printf.bprintf buffer "%d:%s" (String.length b) b
  | List vs ->
    Buffer.add_char buffer 'l';
    List.iter (add_to buffer) vs;
    Buffer.add_char buffer 'e'
  | Dict d ->
    (* Map.iter goes in key order, which is the order that the format wants. *)
    Buffer.add_char buffer 'd';
    Dict.iter (fun k v -> add_to buffer (Bytes k); add_to buffer v) d;
    Buffer.add_char buffer 'e'

let encode v =
  let buffer = Buffer.create 256 in
  add_to buffer v;
  Buffer.contents buffer

(* {1 Access by path} *)

let ( let* ) = Option.bind

let field name = function
  | Dict d -> Dict.find_opt name d
  | Int _ | Bytes _ | List _ -> None

let int = function Int n -> Some n | _ -> None
let bytes = function Bytes b -> Some b | _ -> None
let list = function List l -> Some l | _ -> None

type file = { path : string list; size : int }

(* Names from the file are used to write to disk: nothing may climb upwards. *)
let safe part = part <> "" && part <> "." && part <> ".." && not (String.contains part '/')

let files info =
  let* name = Option.bind (field "name" info) bytes in
  match Option.bind (field "length" info) int with
  | Some size -> Some [ { path = [ name ]; size } ]
  | None ->
    let* entries = Option.bind (field "files" info) list in
    let read entry =
      let* size = Option.bind (field "length" entry) int in
      let* parts = Option.bind (field "path" entry) list in
      let path = name :: List.filter_map bytes parts in
      if List.for_all safe path then Some { path; size } else None
    in
    let found = List.filter_map read entries in
    if List.compare_lengths found entries = 0 then Some found else None

let describe v =
  let* info = field "info" v in
  let* piece = Option.bind (field "piece length" info) int in
  let* files = files info in
  let total = List.fold_left (fun sum f -> sum + f.size) 0 files in
  List.iter (fun f -> Printf.printf "%12d  %s\n" f.size (String.concat "/" f.path)) files;
  Printf.printf "%12d  in %d pieces of %d KiB\n" total ((total + piece - 1) / piece) (piece / 1024);
  Some ()

let () =
  match Sys.argv with
  | [| _; path |] ->
    let ic = open_in_bin path in
    let text = Fun.protect ~finally:(fun () -> close_in ic) (fun () -> really_input_string ic (in_channel_length ic)) in
    (match Result.map describe (decode text) with
     | Ok (Some ()) -> ()
     | Ok None -> prerr_endline "not a metainfo file, or one with unsafe paths"; exit 1
     | Error e -> Printf.eprintf "%s: byte %d: %s\n" path e.offset e.reason; exit 1)
  | _ -> prerr_endline "usage: bencode FILE"; exit 2
