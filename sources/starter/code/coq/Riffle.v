(** * Riffles of lists

    [riffle xs ys zs] says that [zs] is obtained by shuffling [xs] into [ys]
    without disturbing the order of either: all schedules of two threads, or all
    outcomes of one riffle of a deck. *)

From Coq Require Import List Permutation.
Import ListNotations.

Section Riffle.
  Variable A : Type.

  Inductive riffle : list A -> list A -> list A -> Prop :=
  | riffle_nil : riffle [] [] []
  | riffle_left : forall x xs ys zs,
      riffle xs ys zs -> riffle (x :: xs) ys (x :: zs)
  | riffle_right : forall y xs ys zs,
      riffle xs ys zs -> riffle xs (y :: ys) (y :: zs).

  Hint Constructors riffle : riffle.

  Lemma riffle_nil_l : forall ys, riffle [] ys ys.
  Proof. induction ys; auto with riffle. Qed.

  Lemma riffle_nil_r : forall xs, riffle xs [] xs.
  Proof. induction xs; auto with riffle. Qed.

  Lemma riffle_sym : forall xs ys zs, riffle xs ys zs -> riffle ys xs zs.
  Proof. induction 1; auto with riffle. Qed.

  (** Running one thread to completion first is a schedule. *)
  Lemma riffle_app : forall xs ys, riffle xs ys (xs ++ ys).
  Proof.
    induction xs; intros; cbn; auto using riffle_nil_l with riffle.
  Qed.

  Lemma riffle_permutation :
    forall xs ys zs, riffle xs ys zs -> Permutation (xs ++ ys) zs.
  Proof.
    induction 1 as [ | x xs ys zs _ IH | y xs ys zs _ IH ]; cbn.
    - constructor.
    - now constructor.
    - rewrite <- Permutation_middle. now constructor.
  Qed.

  Lemma riffle_length :
    forall xs ys zs, riffle xs ys zs -> length zs = length xs + length ys.
  Proof.
    intros xs ys zs H.
    rewrite <- (Permutation_length (riffle_permutation _ _ _ H)).
    apply app_length.
  Qed.

  (** Three threads: it does not matter which two are merged first. *)
  Theorem riffle_assoc :
    forall xs ys zs xy w,
      riffle xs ys xy -> riffle xy zs w ->
      exists yz, riffle ys zs yz /\ riffle xs yz w.
  Proof.
    intros xs ys zs xy w Hxy Hw; revert xs ys Hxy.
    induction Hw as [ | a xy zs w _ IH | b xy zs w _ IH ]; intros xs ys Hxy.
    - inversion Hxy; subst. exists []; auto with riffle.
    - inversion Hxy; subst.
      + edestruct IH as (yz & Hyz & Hw'); [eassumption |].
        exists yz; auto with riffle.
      + edestruct IH as (yz & Hyz & Hw'); [eassumption |].
        exists (a :: yz); auto with riffle.
    - destruct (IH _ _ Hxy) as (yz & Hyz & Hw').
      exists (b :: yz); auto with riffle.
  Qed.

  (** ** Enumeration *)

  Fixpoint riffles (xs : list A) : list A -> list (list A) :=
    fix inner (ys : list A) : list (list A) :=
      match xs, ys with
      | [], _ => [ys]
      | _, [] => [xs]
      | x :: xs', y :: ys' =>
          map (cons x) (riffles xs' ys) ++ map (cons y) (inner ys')
      end.

  Lemma riffles_cons : forall x xs y ys,
    riffles (x :: xs) (y :: ys) =
      map (cons x) (riffles xs (y :: ys)) ++ map (cons y) (riffles (x :: xs) ys).
  Proof. reflexivity. Qed.

  Lemma riffles_nil_l : forall ys, riffles [] ys = [ys].
  Proof. now destruct ys. Qed.

  Lemma riffles_nil_r : forall xs, riffles xs [] = [xs].
  Proof. now destruct xs. Qed.

  Theorem riffles_spec :
    forall xs ys zs, In zs (riffles xs ys) <-> riffle xs ys zs.
  Proof.
    induction xs as [ | x xs IHx ]; intros ys zs.
    - rewrite riffles_nil_l; split.
      + intros [<- | []]. apply riffle_nil_l.
      + intros H. left.
        remember [] as e eqn:E; induction H; subst; try discriminate; auto.
        now rewrite (IHriffle eq_refl).
    - revert zs; induction ys as [ | y ys IHy ]; intros zs.
      + rewrite riffles_nil_r; split.
        * intros [<- | []]. apply riffle_nil_r.
        * intros H. left. apply riffle_sym in H. clear IHx.
          remember [] as e eqn:E; revert E; induction H; intros E; subst;
            try discriminate; auto.
          now rewrite (IHriffle eq_refl).
      + rewrite riffles_cons, in_app_iff, !in_map_iff; split.
        * intros [(w & <- & Hw) | (w & <- & Hw)].
          -- constructor. now apply IHx.
          -- constructor. now apply IHy.
        * intros H; inversion H; subst; [left | right]; eexists;
            (split; [reflexivity |]); [now apply IHx | now apply IHy].
  Qed.

  (** How many schedules there are: Pascal's triangle. *)
  Fixpoint paths (m n : nat) : nat :=
    match m with
    | 0 => 1
    | S m' => (fix row n := match n with
                            | 0 => 1
                            | S n' => paths m' n + row n'
                            end) n
    end.

  Theorem riffles_count :
    forall xs ys, length (riffles xs ys) = paths (length xs) (length ys).
  Proof.
    induction xs as [ | x xs IHx ]; intros ys.
    - now rewrite riffles_nil_l.
    - induction ys as [ | y ys IHy ]; [reflexivity |].
      rewrite riffles_cons, app_length, !map_length, IHx, IHy. reflexivity.
  Qed.
End Riffle.

Example two_threads : length (riffles nat [1; 2; 3] [10; 20]) = 10.
Proof. reflexivity. Qed.
