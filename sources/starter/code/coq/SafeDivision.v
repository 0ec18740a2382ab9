(** * Total programs over partial operations

    A small language of integer expressions with division, where division by zero
    faults. A sign analysis decides, conservatively, that an expression cannot
    fault; we prove the analysis sound and use it to evaluate accepted expressions
    with a function that has no error case at all. *)

From Coq Require Import ZArith Lia String Bool.
Open Scope Z_scope.

Inductive expr :=
| Const (n : Z)
| Var (x : string)
| Add (a b : expr)
| Mul (a b : expr)
| Square (a : expr)
| Div (a b : expr)
| Max (a b : expr).

Definition env := string -> Z.

(** Evaluation as a relation: no result means a fault. *)
Inductive eval (rho : env) : expr -> Z -> Prop :=
| EConst : forall n, eval rho (Const n) n
| EVar : forall x, eval rho (Var x) (rho x)
| EAdd : forall a b m n,
    eval rho a m -> eval rho b n -> eval rho (Add a b) (m + n)
| EMul : forall a b m n,
    eval rho a m -> eval rho b n -> eval rho (Mul a b) (m * n)
| ESquare : forall a m, eval rho a m -> eval rho (Square a) (m * m)
| EDiv : forall a b m n,
    eval rho a m -> eval rho b n -> n <> 0 -> eval rho (Div a b) (m / n)
| EMax : forall a b m n,
    eval rho a m -> eval rho b n -> eval rho (Max a b) (Z.max m n).

#[local] Hint Constructors eval : eval.

Lemma eval_functional : forall rho e m,
  eval rho e m -> forall n, eval rho e n -> m = n.
Proof.
  induction 1; intros k Hk; inversion Hk; subst; f_equal; auto.
Qed.

(** ** Abstract signs *)

Inductive sign := Pos | NonNeg | Any.

Definition models (n : Z) (s : sign) : Prop :=
  match s with Pos => 0 < n | NonNeg => 0 <= n | Any => True end.

Definition add_sign (s t : sign) : sign :=
  match s, t with
  | Any, _ | _, Any => Any
  | Pos, _ | _, Pos => Pos
  | NonNeg, NonNeg => NonNeg
  end.

Definition mul_sign (s t : sign) : sign :=
  match s, t with
  | Any, _ | _, Any => Any
  | Pos, Pos => Pos
  | _, _ => NonNeg
  end.

Definition square_sign (s : sign) : sign :=
  match s with Pos => Pos | _ => NonNeg end.

(** The larger of two numbers is at least as good as either of them. *)
Definition max_sign (s t : sign) : sign :=
  match s, t with
  | Pos, _ | _, Pos => Pos
  | NonNeg, _ | _, NonNeg => NonNeg
  | Any, Any => Any
  end.

(** Division rounds down: a positive number may become zero, never negative. *)
Definition div_sign (s : sign) : sign :=
  match s with Any => Any | _ => NonNeg end.

Definition const_sign (n : Z) : sign :=
  if 0 <? n then Pos else if 0 <=? n then NonNeg else Any.

(** [check] is the analysis. It gives up on a divisor not known to be positive. *)
Fixpoint check (gamma : string -> sign) (e : expr) : option sign :=
  let both f a b :=
    match check gamma a, check gamma b with
    | Some s, Some t => f s t
    | _, _ => None
    end in
  match e with
  | Const n => Some (const_sign n)
  | Var x => Some (gamma x)
  | Add a b => both (fun s t => Some (add_sign s t)) a b
  | Mul a b => both (fun s t => Some (mul_sign s t)) a b
  | Square a => option_map square_sign (check gamma a)
  | Div a b =>
      both (fun s t => match t with Pos => Some (div_sign s) | _ => None end) a b
  | Max a b => both (fun s t => Some (max_sign s t)) a b
  end.

Definition respects (rho : env) (gamma : string -> sign) : Prop :=
  forall x, models (rho x) (gamma x).

Lemma const_sign_sound : forall n, models n (const_sign n).
Proof.
  intros n; unfold const_sign.
  destruct (Z.ltb_spec 0 n); [exact H |].
  destruct (Z.leb_spec 0 n); [exact H0 | exact I].
Qed.

(** The evaluator returns its value together with the proof that it is right, so
    soundness of the analysis and totality of evaluation are one definition. *)
Definition evaluate :
  forall rho gamma e s,
    respects rho gamma -> check gamma e = Some s ->
    { n : Z | eval rho e n /\ models n s }.
Proof.
  intros rho gamma e s Henv; revert s.
  induction e as
    [ n | x | a IHa b IHb | a IHa b IHb | a IHa | a IHa b IHb | a IHa b IHb ];
    intros s H; cbn in H.
  - exists n. injection H as <-. auto using const_sign_sound with eval.
  - exists (rho x). injection H as <-. split; [constructor | apply Henv].
  - destruct (check gamma a) as [sa |]; [| discriminate].
    destruct (check gamma b) as [sb |]; [| discriminate].
    destruct (IHa sa eq_refl) as [m [Em Mm]], (IHb sb eq_refl) as [n [En Mn]].
    exists (m + n). injection H as <-. split; [auto with eval |].
    destruct sa, sb; cbn in *; lia.
  - destruct (check gamma a) as [sa |]; [| discriminate].
    destruct (check gamma b) as [sb |]; [| discriminate].
    destruct (IHa sa eq_refl) as [m [Em Mm]], (IHb sb eq_refl) as [n [En Mn]].
    exists (m * n). injection H as <-. split; [auto with eval |].
    destruct sa, sb; cbn in *; nia.
  - destruct (check gamma a) as [sa |]; [| discriminate].
    destruct (IHa sa eq_refl) as [m [Em Mm]].
    exists (m * m). injection H as <-. split; [auto with eval |].
    destruct sa; cbn in *; nia.
  - destruct (check gamma a) as [sa |]; [| discriminate].
    destruct (check gamma b) as [[ | | ] |]; try discriminate.
    destruct (IHa sa eq_refl) as [m [Em Mm]], (IHb Pos eq_refl) as [n [En Mn]].
    cbn in Mn. exists (m / n). injection H as <-.
    split; [constructor; auto; lia |].
    destruct sa; cbn in *; try exact I; apply Z.div_pos; lia.
  - destruct (check gamma a) as [sa |]; [| discriminate].
    destruct (check gamma b) as [sb |]; [| discriminate].
    destruct (IHa sa eq_refl) as [m [Em Mm]], (IHb sb eq_refl) as [n [En Mn]].
    exists (Z.max m n). injection H as <-. split; [auto with eval |].
    destruct sa, sb; cbn in *; lia.
Defined.
