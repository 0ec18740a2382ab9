(* A bounded cache with least-recently-used eviction, as a functor.

   Entries have a weight (bytes, rows, ...) and the cache holds at most a given
   total weight. Keys that are being computed are remembered, so that a [compute]
   function that asks for its own key is reported instead of looping for ever. *)

module type KEY = sig
  type t

  val equal : t -> t -> bool
  val hash : t -> int
  val to_string : t -> string
end

module type VALUE = sig
  type t
  val weight : t -> int
end

module type S = sig
  type key
  type value
  type t

  exception Cyclic of string

  type stats = { hits : int; misses : int; evictions : int; weight : int }
  val create : ?on_evict:(key -> value -> unit) -> capacity:int -> unit -> t
  val find_opt : t -> key -> value option
  val get : t -> key -> compute:(key -> value) -> value
  val set : t -> key -> value -> unit
  val remove : t -> key -> unit

  val fold : (key -> value -> 'a -> 'a) -> t -> 'a -> 'a
  (** From the most to the least recently used. *)

  val stats : t -> stats
end

module Make (K : KEY) (V : VALUE) : S with type key = K.t and type value = V.t = struct
  module Table = Hashtbl.Make (K)

  type key = K.t
  type value = V.t

  exception Cyclic of string
  type stats = { hits : int; misses : int; evictions : int; weight : int }

  (* An intrusive doubly linked ring; the sentinel keeps every link total. *)
  type node = { mutable prev : node; mutable next : node; entry : entry option }
  and entry = { key : K.t; value : V.t; cost : int }

  type t = {
    capacity : int;
    on_evict : key -> value -> unit;
    table : node Table.t;
    in_progress : unit Table.t;
    ring : node;
    mutable stats : stats;
  }

  let create ?(on_evict = fun _ _ -> ()) ~capacity () =
    if capacity <= 0 then invalid_arg "Lru_cache.create: capacity must be positive";
    let rec ring = { prev = ring; next = ring; entry = None } in
    {
      capacity;
      on_evict;
      table = Table.create 64;
      in_progress = Table.create 4;
      ring;
      stats = { hits = 0; misses = 0; evictions = 0; weight = 0 };
    }

  let unlink node =
    node.prev.next <- node.next;
    node.next.prev <- node.prev

  let push_front t node =
    node.next <- t.ring.next;
    node.prev <- t.ring;
    t.ring.next.prev <- node;
    t.ring.next <- node

  let add_weight t by = t.stats <- { t.stats with weight = t.stats.weight + by }

  let detach t node =
    match node.entry with
    | None -> assert false
    | Some e ->
      unlink node;
      Table.remove t.table e.key;
      add_weight t (-e.cost);
      e

  let remove t key =
    Option.iter (fun node -> ignore (detach t node)) (Table.find_opt t.table key)

  let rec shrink t =
    if t.stats.weight > t.capacity then begin
      let e = detach t t.ring.prev in
      t.stats <- { t.stats with evictions = t.stats.evictions + 1 };
      t.on_evict e.key e.value;
      shrink t
    end

  let set t key value =
    remove t key;
    let cost = V.weight value in
    if cost < 0 then invalid_arg ("negative weight for " ^ K.to_string key);
    (* Something larger than the whole cache would only flush everything else. *)
    if cost <= t.capacity then begin
      let node = { prev = t.ring; next = t.ring; entry = Some { key; value; cost } } in
      push_front t node;
      Table.replace t.table key node;
      add_weight t cost;
      shrink t
    end

  let find_opt t key =
    match Table.find_opt t.table key with
    | Some ({ entry = Some e; _ } as node) ->
      unlink node;
      push_front t node;
      t.stats <- { t.stats with hits = t.stats.hits + 1 };
      Some e.value
    | Some _ | None ->
      t.stats <- { t.stats with misses = t.stats.misses + 1 };
      None

  let get t key ~compute =
    match find_opt t key with
    | Some value -> value
    | None ->
      if Table.mem t.in_progress key then raise (Cyclic (K.to_string key));
      Table.replace t.in_progress key ();
      let release () = Table.remove t.in_progress key in
      let value = Fun.protect ~finally:release (fun () -> compute key) in
      set t key value;
      value

  let fold f t init =
    let rec go node acc =
      match node.entry with
      | None -> acc
      | Some e -> go node.next (f e.key e.value acc)
    in
    go t.ring.next init

  let stats t = t.stats
end
