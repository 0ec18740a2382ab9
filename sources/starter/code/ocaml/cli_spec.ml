(* Command lines described by a typed specification.

   A specification is a GADT indexed by the type of the function that receives
   the arguments, so [run spec f argv] is checked by the compiler: a flag that is
   added to the specification, but not to [f], is a type error. The usage text is
   made from the same value. *)

type 'a conv = {
  metavar : string;
  parse : string -> ('a, string) result;
  print : 'a -> string;
}

type (_, _) spec =
  | Stop : ('r, 'r) spec
  | Flag : string * string * ('f, 'r) spec -> (bool -> 'f, 'r) spec
  | Option : string * 'a conv * 'a * string * ('f, 'r) spec -> ('a -> 'f, 'r) spec
  | Required : string * 'a conv * string * ('f, 'r) spec -> ('a -> 'f, 'r) spec
  | Rest : 'a conv * string -> ('a list -> 'r, 'r) spec

(* {1 Building specifications} *)

let flag name ~doc rest = Flag (name, doc, rest)
let option name conv ~default ~doc rest = Option (name, conv, default, doc, rest)
let required name conv ~doc rest = Required (name, conv, doc, rest)
let rest conv ~doc = Rest (conv, doc)
let stop = Stop

let string = { metavar = "TEXT"; parse = Result.ok; print = Fun.id }

let int_between low high =
  let parse s =
    match int_of_string_opt s with
    | Some n when low <= n && n <= high -> Ok n
    | Some n -> Error (Printf.sprintf "%d is not between %d and %d" n low high)
    | None -> Error (Printf.sprintf "%S is not a whole number" s)
  in
  { metavar = "N"; parse; print = string_of_int }

let one_of choices =
  let names = List.map fst choices in
  let parse s =
    match List.assoc_opt s choices with
    | Some v -> Ok v
    | None -> Error (Printf.sprintf "%S is none of %s" s (String.concat ", " names))
  in
  let print v = fst (List.find (fun (_, v') -> v' = v) choices) in
  { metavar = String.concat "|" names; parse; print }

let existing_file =
  let parse s = if Sys.file_exists s then Ok s else Error (s ^ " does not exist") in
  { metavar = "FILE"; parse; print = Fun.id }

(* {1 Reading arguments} *)

(* Words after "--" are never options. *)
type words = { named : (string * string option) list; positional : string list }

let rec takes_value : type f r. (f, r) spec -> string -> bool =
  fun spec name ->
  match spec with
  | Stop | Rest _ -> false
  | Flag (_, _, next) -> takes_value next name
  | Option (n, _, _, _, next) -> n = name || takes_value next name
  | Required (n, _, _, next) -> n = name || takes_value next name

let split spec argv =
  let rec go acc = function
    | [] -> Ok { acc with positional = List.rev acc.positional }
    | "--" :: others -> Ok { acc with positional = List.rev_append acc.positional others }
    | word :: others when String.length word > 2 && String.sub word 0 2 = "--" ->
      let body = String.sub word 2 (String.length word - 2) in
      (match String.index_opt body '=', others with
       | Some i, _ ->
         let value = String.sub body (i + 1) (String.length body - i - 1) in
         go { acc with named = (String.sub body 0 i, Some value) :: acc.named } others
       | None, value :: others when takes_value spec body ->
         go { acc with named = (body, Some value) :: acc.named } others
       | None, [] when takes_value spec body -> Error (word ^ " needs a value")
       | None, _ -> go { acc with named = (body, None) :: acc.named } others)
    | word :: others -> go { acc with positional = word :: acc.positional } others
  in
  go { named = []; positional = [] } argv

let ( let* ) = Result.bind

let take name words =
  match List.assoc_opt name words.named with
  | None -> (None, words)
  | Some v -> (Some v, { words with named = List.filter (fun (n, _) -> n <> name) words.named })

let convert name conv s = Result.map_error (fun e -> Printf.sprintf "%s: %s" name e) (conv.parse s)

let rec apply : type f r. (f, r) spec -> f -> words -> (r, string) result =
  fun spec f words ->
  match spec with
  | Stop ->
    (match words with
     | { named = []; positional = [] } -> Ok f
     | { named = (n, _) :: _; _ } -> Error ("unknown option --" ^ n)
     | { positional = p :: _; _ } -> Error ("unexpected argument " ^ p))
  | Flag (name, _, next) ->
    (match take name words with
     | None, words -> apply next (f false) words
     | Some None, words -> apply next (f true) words
     | Some (Some _), _ -> Error (Printf.sprintf "--%s takes no value" name))
  | Option (name, conv, default, _, next) ->
    (match take name words with
     | Some (Some s), words -> let* v = convert ("--" ^ name) conv s in apply next (f v) words
     | _, words -> apply next (f default) words)
  | Required (name, conv, _, next) ->
    (match take name words with
     | Some (Some s), words -> let* v = convert ("--" ^ name) conv s in apply next (f v) words
     | _ -> Error (Printf.sprintf "--%s is required" name))
  | Rest (conv, _) ->
    let add acc s = let* vs = acc in let* v = convert "argument" conv s in Ok (v :: vs) in
    let* vs = List.fold_left add (Ok []) words.positional in
    apply Stop (f (List.rev vs)) { words with positional = [] }

let rec usage : type f r. (f, r) spec -> string list = function
  | Stop -> []
  | Flag (n, doc, next) -> Printf.sprintf "  --%-22s %s" n doc :: usage next
  | Option (n, c, d, doc, next) ->
    Printf.sprintf "  --%-22s %s (default %s)" (n ^ " " ^ c.metavar) doc (c.print d) :: usage next
  | Required (n, c, doc, next) -> Printf.sprintf "  --%-22s %s" (n ^ " " ^ c.metavar) doc :: usage next
  | Rest (c, doc) -> [ Printf.sprintf "  %-24s %s" (c.metavar ^ "...") doc ]

let run spec f argv =
  match Array.to_list argv with
  | [] -> invalid_arg "empty argument vector"
  | program :: args ->
    (match Result.bind (split spec args) (apply spec f) with
     | Ok result -> result
     | Error e ->
       Printf.eprintf "%s: %s\n%s\n" program e (String.concat "\n" (usage spec));
       exit 2)

let () =
  let spec =
    flag "verbose" ~doc:"say what is being done"
    @@ option "jobs" (int_between 1 64) ~default:4 ~doc:"how many at once"
    @@ required "format" (one_of [ ("flac", `Lossless); ("opus", `Lossy) ]) ~doc:"target format"
    @@ rest existing_file ~doc:"recordings to convert"
  in
  run spec (fun verbose jobs format files ->
      if verbose then Printf.printf "%d jobs\n" jobs;
      let suffix = match format with `Lossless -> ".flac" | `Lossy -> ".opus" in
      List.iter (fun f -> print_endline (f ^ " -> " ^ Filename.remove_extension f ^ suffix)) files)
    Sys.argv
