(* Linear-scan register allocation for a toy three-address code.

   Phases: liveness by a backward fix-point over basic blocks, one live interval
   per virtual register, then a single pass over the intervals by start point.
   When registers run out, the interval that ends last is spilled. *)

type vreg = int

type instr =
  | Const of vreg * int
  | Move of vreg * vreg
  | Binop of string * vreg * vreg * vreg
  | Load of vreg * vreg
  | Store of vreg * vreg
  | Branch of vreg * string * string
  | Jump of string
  | Return of vreg

type block = { label : string; body : instr array }

let defines = function
  | Const (d, _) | Move (d, _) | Binop (_, d, _, _) | Load (d, _) -> Some d
  | Store _ | Branch _ | Jump _ | Return _ -> None

let uses = function
  | Const _ | Jump _ -> []
  | Move (_, s) | Load (_, s) | Branch (s, _, _) | Return s -> [ s ]
  | Binop (_, _, a, b) | Store (a, b) -> [ a; b ]

let successors b =
  match b.body.(Array.length b.body - 1) with
  | Branch (_, yes, no) -> [ yes; no ]
  | Jump l -> [ l ]
  | Return _ -> []
  | Const _ | Move _ | Binop _ | Load _ | Store _ -> invalid_arg (b.label ^ " does not end in a jump")

module Set = Set.Make (Int)
module Labels = Map.Make (String)

(* {1 Liveness} *)

let live_before instr after =
  let after = match defines instr with Some d -> Set.remove d after | None -> after in
  List.fold_left (fun acc u -> Set.add u acc) after (uses instr)

(* The registers that are live on entry to each block. *)
let live_in blocks =
  let at label live = Option.value (Labels.find_opt label live) ~default:Set.empty in
  let out live b = List.fold_left (fun acc l -> Set.union acc (at l live)) Set.empty (successors b) in
  let step live =
    (* Going backwards reaches the fix-point in few rounds for reducible code. *)
    List.fold_left
      (fun live b -> Labels.add b.label (Array.fold_right live_before b.body (out live b)) live)
      live (List.rev blocks)
  in
  let rec fix live =
    let next = step live in
    if Labels.equal Set.equal live next then live else fix next
  in
  let live = fix Labels.empty in
  (live, out live)

(* {1 Intervals} *)

type interval = { vreg : vreg; first : int; last : int }

let intervals blocks =
  let table : (vreg, int * int) Hashtbl.t = Hashtbl.create 64 in
  let touch position v =
    let first, last = Option.value (Hashtbl.find_opt table v) ~default:(position, position) in
    Hashtbl.replace table v (min first position, max last position)
  in
  let entry, out = live_in blocks in
  let number start b =
    let stop = start + Array.length b.body in
    Set.iter (touch start) (Labels.find b.label entry);
    Set.iter (touch stop) (out b);
    Array.iteri
      (fun i instr ->
         (* Operands and result share one position: an instruction reads before
            it writes, so the result may take over the register of an operand. *)
         List.iter (touch (start + i)) (uses instr);
         Option.iter (touch (start + i)) (defines instr))
      b.body;
    stop
  in
  ignore (List.fold_left number 0 blocks);
  Hashtbl.fold (fun vreg (first, last) acc -> { vreg; first; last } :: acc) table []
  |> List.sort (fun a b -> compare (a.first, a.vreg) (b.first, b.vreg))

(* {1 Allocation} *)

type place = Register of int | Slot of int

module Active = Stdlib.Set.Make (struct
    type t = int * vreg (* last position first: the order is by end point *)
    let compare = compare
  end)

let allocate ~registers all =
  let place = Hashtbl.create 64 in
  let by_vreg = Hashtbl.of_seq (Seq.map (fun i -> (i.vreg, i)) (List.to_seq all)) in
  let slots = ref 0 in
  let spill v =
    Hashtbl.replace place v (Slot !slots);
    incr slots
  in
  let rec expire start active free =
    match Active.min_elt_opt active with
    | Some ((last, v) as e) when last <= start ->
      let r = match Hashtbl.find place v with Register r -> r | Slot _ -> assert false in
      expire start (Active.remove e active) (r :: free)
    | Some _ | None -> (active, free)
  in
  let assign (active, free) i =
    let active, free = expire i.first active free in
    match free with
    | r :: free ->
      Hashtbl.replace place i.vreg (Register r);
      (Active.add (i.last, i.vreg) active, free)
    | [] ->
      let (last, victim) as worst = Active.max_elt active in
      if last > i.last then begin
        (* Take the register away from the one that would hold it longest. *)
        Hashtbl.replace place i.vreg (Hashtbl.find place victim);
        spill victim;
        (Active.add (i.last, i.vreg) (Active.remove worst active), [])
      end
      else (spill i.vreg; (active, []))
  in
  ignore (List.fold_left assign (Active.empty, List.init registers Fun.id) all);
  List.map (fun (v, i) -> (i, Hashtbl.find place v)) (List.of_seq (Hashtbl.to_seq by_vreg))

let () =
  (* sum := 0; while n do sum := sum + mem[p]; p := p + 8; n := n - 1 *)
  let sum = 0 and n = 1 and p = 2 and one = 3 and eight = 4 and x = 5 in
  let blocks = [
    { label = "entry"; body = [| Const (sum, 0); Const (n, 10); Const (p, 4096); Const (one, 1); Const (eight, 8); Jump "head" |] };
    { label = "head"; body = [| Branch (n, "loop", "exit") |] };
    { label = "loop"; body = [| Load (x, p); Binop ("add", sum, sum, x); Binop ("add", p, p, eight); Binop ("sub", n, n, one); Jump "head" |] };
    { label = "exit"; body = [| Return sum |] } ]
  in
  let show = function Register r -> Printf.sprintf "r%d" r | Slot s -> Printf.sprintf "[sp+%d]" (8 * s) in
  allocate ~registers:4 (intervals blocks)
  |> List.sort compare
  |> List.iter (fun (i, place) -> Printf.printf "v%d  %2d-%-2d  %s\n" i.vreg i.first i.last (show place))
