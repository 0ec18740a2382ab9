(* Rosters as exact cover, solved with Knuth's dancing links.

   Every shift must be taken exactly once (primary columns); nobody works more
   than one shift in a day (secondary columns, covered at most once). Wishes are
   soft: rows are tried in order of preference, so the first solution is good. *)

type node = {
  mutable left : node;
  mutable right : node;
  mutable up : node;
  mutable down : node;
  mutable header : header option; (* None only for the root *)
  row : int;
}

and header = { anchor : node; mutable size : int }

let new_node row =
  let rec n = { left = n; right = n; up = n; down = n; header = None; row } in
  n

let header_of n = match n.header with Some h -> h | None -> invalid_arg "root has no header"

type 'a problem = {
  root : node;
  columns : (string, header) Hashtbl.t;
  mutable rows : 'a list; (* newest first *)
  mutable count : int;
}

let problem ~primary ~secondary =
  let root = new_node (-1) in
  let columns = Hashtbl.create 64 in
  let add ~linked name =
    if Hashtbl.mem columns name then invalid_arg ("duplicate column " ^ name);
    let anchor = new_node (-1) in
    let h = { anchor; size = 0 } in
    anchor.header <- Some h;
    (* Secondary columns are not in the root's list: they need not be covered. *)
    if linked then begin
      anchor.left <- root.left;
      anchor.right <- root;
      root.left.right <- anchor;
      root.left <- anchor
    end;
    Hashtbl.add columns name h
  in
  List.iter (add ~linked:true) primary;
  List.iter (add ~linked:false) secondary;
  { root; columns; rows = []; count = 0 }

let add_row p label names =
  let place previous name =
    let h = Hashtbl.find p.columns name in
    let n = new_node p.count in
    n.header <- Some h;
    n.up <- h.anchor.up;
    n.down <- h.anchor;
    h.anchor.up.down <- n;
    h.anchor.up <- n;
    h.size <- h.size + 1;
    (match previous with
     | None -> ()
     | Some first ->
       n.left <- first.left;
       n.right <- first;
       first.left.right <- n;
       first.left <- n);
    Some (Option.value previous ~default:n)
  in
  ignore (List.fold_left place None names);
  p.rows <- label :: p.rows;
  p.count <- p.count + 1

(* Applies [f] to the other nodes of a circular list. *)
let ring next start f =
  let rec go n = if n != start then begin f n; go (next n) end in
  go (next start)

let cover h =
  h.anchor.right.left <- h.anchor.left;
  h.anchor.left.right <- h.anchor.right;
  ring (fun n -> n.down) h.anchor (fun row ->
      ring (fun n -> n.right) row (fun n ->
          n.down.up <- n.up;
          n.up.down <- n.down;
          let h = header_of n in
          h.size <- h.size - 1))

(* The links of a removed node still point at its neighbours; undoing in the
   exact reverse order puts everything back. *)
let uncover h =
  ring (fun n -> n.up) h.anchor (fun row ->
      ring (fun n -> n.left) row (fun n ->
          let h = header_of n in
          h.size <- h.size + 1;
          n.down.up <- n;
          n.up.down <- n));
  h.anchor.right.left <- h.anchor;
  h.anchor.left.right <- h.anchor

exception Found of int list

let smallest p =
  let best = ref None in
  ring (fun n -> n.right) p.root (fun n ->
      let h = header_of n in
      match !best with
      | Some b when b.size <= h.size -> ()
      | _ -> best := Some h);
  !best

let solve p =
  let rec search chosen =
    match smallest p with
    | None -> raise (Found chosen)
    | Some { size = 0; _ } -> ()
    | Some h ->
      cover h;
      ring (fun n -> n.down) h.anchor (fun row ->
          ring (fun n -> n.right) row (fun n -> cover (header_of n));
          search (row.row :: chosen);
          ring (fun n -> n.left) row (fun n -> uncover (header_of n)));
      uncover h
  in
  match search [] with
  | () -> None
  | exception Found rows ->
    let labels = Array.of_list (List.rev p.rows) in
    Some (List.map (Array.get labels) rows)

type assignment = { day : string; shift : string; nurse : string }

let () =
  let days = [ "mon"; "tue"; "wed"; "thu" ] and shifts = [ "early"; "late"; "night" ] in
  let nurses = [ "ana"; "bo"; "cai"; "dov" ] in
  let refuses n d s = match n, d, s with
    | "ana", _, "night" | "cai", "tue", _ | "bo", "wed", ("early" | "late") -> true
    | _ -> false
  in
  let all f xs ys = List.concat_map (fun x -> List.map (f x) ys) xs in
  let p = problem ~primary:(all ( ^ ) days shifts) ~secondary:(all ( ^ ) nurses days) in
  let dislikes n s = if n = "dov" && s = "early" then 1 else 0 in
  all (fun n (d, s) -> (n, d, s)) nurses (all (fun d s -> (d, s)) days shifts)
  |> List.filter (fun (n, d, s) -> not (refuses n d s))
  |> List.stable_sort (fun (n, _, s) (n', _, s') -> compare (dislikes n s) (dislikes n' s'))
  |> List.iter (fun (nurse, day, shift) -> add_row p { day; shift; nurse } [ day ^ shift; nurse ^ day ]);
  match solve p with
  | None -> print_endline "no roster satisfies the rules"; exit 1
  | Some roster -> List.iter (fun a -> Printf.printf "%s %-5s %s\n" a.day a.shift a.nurse) (List.rev roster)
