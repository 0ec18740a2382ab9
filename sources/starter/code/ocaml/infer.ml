(* Type inference for a small functional language with let-polymorphism.

   Generalisation uses levels: every unification variable records how deeply
   nested the [let] is that introduced it, so that generalising a type looks only
   at the type and never at the environment. *)

type expr =
  | Var of string
  | Lit of int
  | Str of string
  | Fun of string * expr
  | App of expr * expr
  | Let of string * expr * expr
  | Letrec of string * expr * expr
  | Pair of expr * expr
  | If of expr * expr * expr

type ty =
  | Con of string * ty list
  | Arrow of ty * ty
  | Generic of int
  | Meta of meta ref

and meta =
  | Link of ty
  | Unbound of { id : int; level : int }

type error = Mismatch of ty * ty | Infinite of ty | Unknown of string

exception Type_error of error

let int = Con ("int", []) and bool = Con ("bool", []) and string = Con ("string", [])
let pair a b = Con ("*", [ a; b ])

let counter = ref 0
let level = ref 1

let fresh () =
  incr counter;
  Meta (ref (Unbound { id = !counter; level = !level }))

(* Follows links and shortens the path on the way. *)
let rec repr = function
  | Meta ({ contents = Link t } as m) ->
    let t = repr t in
    m := Link t;
    t
  | t -> t

(* One walk does two jobs: the occurs check, and lowering the level of variables
   that now escape into an outer scope. *)
let rec adjust m m_level t =
  match repr t with
  | Con (_, args) -> List.iter (adjust m m_level) args
  | Arrow (a, b) -> adjust m m_level a; adjust m m_level b
  | Generic _ -> assert false
  | Meta m' when m' == m -> raise (Type_error (Infinite t))
  | Meta ({ contents = Unbound u } as m') ->
    if u.level > m_level then m' := Unbound { u with level = m_level }
  | Meta { contents = Link _ } -> assert false

let rec unify a b =
  match repr a, repr b with
  | a, b when a == b -> ()
  | Meta ({ contents = Unbound { level; _ } } as m), t
  | t, Meta ({ contents = Unbound { level; _ } } as m) ->
    adjust m level t;
    m := Link t
  | Arrow (a1, b1), Arrow (a2, b2) -> unify a1 a2; unify b1 b2
  | Con (c1, args1), Con (c2, args2) when c1 = c2 && List.compare_lengths args1 args2 = 0 ->
    List.iter2 unify args1 args2
  | a, b -> raise (Type_error (Mismatch (a, b)))

let rec generalise t =
  match repr t with
  | Meta { contents = Unbound { id; level = l } } when l > !level -> Generic id
  | Con (c, args) -> Con (c, List.map generalise args)
  | Arrow (a, b) -> Arrow (generalise a, generalise b)
  | t -> t

let instantiate t =
  let seen = Hashtbl.create 8 in
  let rec go t =
    match repr t with
    | Generic id ->
      (match Hashtbl.find_opt seen id with
       | Some v -> v
       | None -> let v = fresh () in Hashtbl.add seen id v; v)
    | Con (c, args) -> Con (c, List.map go args)
    | Arrow (a, b) -> Arrow (go a, go b)
    | Meta _ as t -> t
  in
  go t

module Env = Map.Make (String)

let in_deeper_scope f =
  incr level;
  Fun.protect ~finally:(fun () -> decr level) f

(* Only syntactic values are generalised, as the language has mutable cells. *)
let rec is_value = function
  | Var _ | Lit _ | Str _ | Fun _ -> true
  | Pair (a, b) -> is_value a && is_value b
  | App _ | Let _ | Letrec _ | If _ -> false

let rec infer env = function
  | Var x ->
    (match Env.find_opt x env with
     | Some t -> instantiate t
     | None -> raise (Type_error (Unknown x)))
  | Lit _ -> int
  | Str _ -> string
  | Fun (x, body) ->
    let arg = fresh () in
    Arrow (arg, infer (Env.add x arg env) body)
  | App (f, a) ->
    let tf = infer env f in
    let ta = infer env a in
    let result = fresh () in
    unify tf (Arrow (ta, result));
    result
  | Let (x, e, body) ->
    let t = in_deeper_scope (fun () -> infer env e) in
    infer (Env.add x (if is_value e then generalise t else t) env) body
  | Letrec (f, e, body) ->
    let knot () = let self = fresh () in unify self (infer (Env.add f self env) e); self in
    let t = in_deeper_scope knot in
    infer (Env.add f (generalise t) env) body
  | Pair (a, b) -> let ta = infer env a in pair ta (infer env b)
  | If (c, a, b) ->
    unify (infer env c) bool;
    let t = infer env a in
    unify t (infer env b);
    t

let () =
  let prelude = Env.of_seq (List.to_seq [
      "fst", (let a = Generic 1 and b = Generic 2 in Arrow (pair a b, a));
      "less", Arrow (int, Arrow (int, bool));
      "cell", (let a = Generic 1 in Arrow (a, Con ("cell", [ a ]))) ])
  in
  let ok e = match infer prelude e with _ -> true | exception Type_error _ -> false in
  let id = Fun ("x", Var "x") in
  assert (ok (Let ("id", id, Pair (App (Var "id", Lit 1), App (Var "id", Str "a")))));
  assert (not (ok (Fun ("id", Pair (App (Var "id", Lit 1), App (Var "id", Str "a"))))));
  assert (not (ok (Fun ("f", App (Var "f", Var "f")))));
  assert (not (ok (Let ("c", App (Var "cell", id), Pair (App (Var "fst", Var "c"), Lit 0)))));
  assert (ok (Letrec ("loop", Fun ("n", If (App (App (Var "less", Var "n"), Lit 9), App (Var "loop", Var "n"), Var "n")), App (Var "loop", Lit 1))));
  print_endline "all inferences as expected"
