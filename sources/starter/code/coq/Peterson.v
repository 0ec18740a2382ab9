(** * Peterson's algorithm excludes mutual access

    Two processes share two flags and a turn variable. Each line of the
    algorithm is one atomic transition. We define the transition system, find an
    inductive invariant, and conclude that no reachable state has both processes
    in the critical section. Memory is sequentially consistent; on hardware that
    is not, the same code needs fences and this proof does not apply. *)

Require Import Coq.Bool.Bool.

Inductive pid := P0 | P1.

Definition other (p : pid) : pid :=
  match p with P0 => P1 | P1 => P0 end.

(** Program counters. [Announce]: about to set the own flag. [Yield]: about to
    give the turn away. [Wait]: in the busy loop. *)
Inductive pc := Idle | Announce | Yield | Wait | Critical.

Record state := State {
  pc0 : pc;
  pc1 : pc;
  flag0 : bool;
  flag1 : bool;
  turn : pid
}.

Definition pc_of (s : state) (p : pid) : pc :=
  match p with P0 => pc0 s | P1 => pc1 s end.

Definition flag_of (s : state) (p : pid) : bool :=
  match p with P0 => flag0 s | P1 => flag1 s end.

Definition set_pc (s : state) (p : pid) (l : pc) : state :=
  match p with
  | P0 => State l (pc1 s) (flag0 s) (flag1 s) (turn s)
  | P1 => State (pc0 s) l (flag0 s) (flag1 s) (turn s)
  end.

Definition set_flag (s : state) (p : pid) (b : bool) : state :=
  match p with
  | P0 => State (pc0 s) (pc1 s) b (flag1 s) (turn s)
  | P1 => State (pc0 s) (pc1 s) (flag0 s) b (turn s)
  end.

Definition set_turn (s : state) (t : pid) : state :=
  State (pc0 s) (pc1 s) (flag0 s) (flag1 s) t.

(** [enter] is the only guarded step: the loop ends when the other process is
    not interested or it is our turn. *)
Inductive step (p : pid) (s : state) : state -> Prop :=
| wish :
    pc_of s p = Idle ->
    step p s (set_pc s p Announce)
| announce :
    pc_of s p = Announce ->
    step p s (set_pc (set_flag s p true) p Yield)
| yield_turn :
    pc_of s p = Yield ->
    step p s (set_pc (set_turn s (other p)) p Wait)
| enter :
    pc_of s p = Wait ->
    flag_of s (other p) = false \/ turn s = p ->
    step p s (set_pc s p Critical)
| leave :
    pc_of s p = Critical ->
    step p s (set_pc (set_flag s p false) p Idle).

Definition initial (s : state) : Prop :=
  pc0 s = Idle /\ pc1 s = Idle /\ flag0 s = false /\ flag1 s = false.

Inductive reachable : state -> Prop :=
| reach_start : forall s, initial s -> reachable s
| reach_step : forall p s s', reachable s -> step p s s' -> reachable s'.

(** ** The invariant

    First, a flag tells the truth about where its owner is. Second, if a process
    is in the critical section while the other waits, then the turn belongs to
    the one inside: that is what keeps the waiting one out. *)

Definition interested (l : pc) : bool :=
  match l with Idle | Announce => false | _ => true end.

Definition past_yield (l : pc) : bool :=
  match l with Wait | Critical => true | _ => false end.

Definition flags_truthful (s : state) : Prop :=
  flag0 s = interested (pc0 s) /\ flag1 s = interested (pc1 s).

Definition inside_has_turn (s : state) : Prop :=
  (pc0 s = Critical -> past_yield (pc1 s) = true -> turn s = P0) /\
  (pc1 s = Critical -> past_yield (pc0 s) = true -> turn s = P1).

Definition invariant (s : state) : Prop :=
  flags_truthful s /\ inside_has_turn s.

Lemma invariant_initial : forall s, initial s -> invariant s.
Proof.
  intros s (H0 & H1 & F0 & F1).
  unfold invariant, flags_truthful, inside_has_turn.
  rewrite H0, H1, F0, F1; repeat split; discriminate.
Qed.

(** Everything is finite once the program counters are known, so the proof that
    each step preserves the invariant is a case analysis. *)
Lemma invariant_step :
  forall p s s', invariant s -> step p s s' -> invariant s'.
Proof.
  intros p [l0 l1 f0 f1 t] s' [[F0 F1] [T0 T1]] Hstep.
  cbn in F0, F1, T0, T1; subst f0 f1.
  destruct Hstep as [H | H | H | H G | H]; destruct p; cbn in *; subst;
    unfold invariant, flags_truthful, inside_has_turn; cbn.
  (* Only [enter] has a reason beyond bookkeeping: either the other process is
     not past its announcement, or the turn is ours. *)
  all: try destruct G as [G | G].
  all: repeat split; intros; subst; cbn in *; auto; try congruence.
  all: try (destruct l0; discriminate).
  all: try (destruct l1; discriminate).
Qed.

Theorem invariant_reachable : forall s, reachable s -> invariant s.
Proof.
  induction 1 as [s H | p s s' _ IH Hstep].
  - now apply invariant_initial.
  - now apply (invariant_step p s).
Qed.

Theorem mutual_exclusion :
  forall s, reachable s -> ~ (pc0 s = Critical /\ pc1 s = Critical).
Proof.
  intros s Hreach [C0 C1].
  destruct (invariant_reachable s Hreach) as [_ [T0 T1]].
  assert (turn s = P0) by (apply T0; [assumption | now rewrite C1]).
  assert (turn s = P1) by (apply T1; [assumption | now rewrite C0]).
  congruence.
Qed.
