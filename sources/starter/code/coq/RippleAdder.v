(** * A ripple-carry adder, and what overflow means

    Words are lists of bits, least significant first. We build an adder from full
    adders, prove that it adds, and derive two's complement subtraction and the
    comparison of unsigned numbers that processors read off its carry flag. *)

From Coq Require Import Bool List ZArith Lia.
Import ListNotations.
Open Scope Z_scope.

Definition word := list bool.

Definition bit (b : bool) : Z := if b then 1 else 0.

Fixpoint unsigned (w : word) : Z :=
  match w with
  | [] => 0
  | b :: w' => bit b + 2 * unsigned w'
  end.

Definition modulus (w : word) : Z := 2 ^ Z.of_nat (length w).

Lemma modulus_cons : forall b w, modulus (b :: w) = 2 * modulus w.
Proof.
  intros b w; unfold modulus; cbn [length].
  rewrite Nat2Z.inj_succ, Z.pow_succ_r; lia.
Qed.

Lemma bit_range : forall b, 0 <= bit b <= 1.
Proof. destruct b; cbn; lia. Qed.

Lemma unsigned_range : forall w, 0 <= unsigned w < modulus w.
Proof.
  induction w as [ | b w IH ].
  - cbn; lia.
  - rewrite modulus_cons; cbn [unsigned].
    pose proof (bit_range b); lia.
Qed.

(** ** Gates *)

Definition sum_bit (a b c : bool) : bool := xorb a (xorb b c).
Definition carry_bit (a b c : bool) : bool := (a && b) || (c && (xorb a b)).

Lemma full_adder_correct : forall a b c,
  bit a + bit b + bit c = bit (sum_bit a b c) + 2 * bit (carry_bit a b c).
Proof. now intros [] [] []. Qed.

(** The sum and the carry out of the last position. *)
Fixpoint adder (xs ys : word) (c : bool) : word * bool :=
  match xs, ys with
  | x :: xs', y :: ys' =>
      let r := adder xs' ys' (carry_bit x y c) in
      (sum_bit x y c :: fst r, snd r)
  | _, _ => ([], c)
  end.

Lemma adder_length : forall xs ys c,
  length xs = length ys -> length (fst (adder xs ys c)) = length xs.
Proof.
  induction xs as [ | x xs IH ]; intros [ | y ys ] c H; try discriminate;
    cbn; [reflexivity |].
  injection H as H. now rewrite IH.
Qed.

Theorem adder_correct : forall xs ys c,
  length xs = length ys ->
  unsigned xs + unsigned ys + bit c =
    unsigned (fst (adder xs ys c)) + modulus xs * bit (snd (adder xs ys c)).
Proof.
  induction xs as [ | x xs IH ]; intros [ | y ys ] c Hlen; try discriminate.
  - change (modulus []) with 1. cbn [unsigned adder fst snd]. lia.
  - injection Hlen as Hlen.
    specialize (IH ys (carry_bit x y c) Hlen).
    pose proof (full_adder_correct x y c).
    rewrite modulus_cons. cbn [adder unsigned fst snd]. lia.
Qed.

(** In modular terms: the sum is right up to the size of the word. *)
Corollary adder_mod : forall xs ys,
  length xs = length ys ->
  unsigned (fst (adder xs ys false)) = (unsigned xs + unsigned ys) mod modulus xs.
Proof.
  intros xs ys Hlen.
  pose proof (adder_correct xs ys false Hlen) as H. cbn [bit] in H.
  pose proof (unsigned_range (fst (adder xs ys false))) as Hr.
  unfold modulus in Hr at 1. rewrite (adder_length xs ys false Hlen) in Hr.
  fold (modulus xs) in Hr.
  apply Z.mod_unique with (q := bit (snd (adder xs ys false))); [left | ]; lia.
Qed.

(** ** Complement and subtraction *)

Lemma unsigned_negb : forall w,
  unsigned (map negb w) = modulus w - 1 - unsigned w.
Proof.
  induction w as [ | b w IH ]; [reflexivity |].
  rewrite modulus_cons; cbn [map unsigned]; rewrite IH.
  destruct b; cbn [negb bit]; lia.
Qed.

Definition subtract (xs ys : word) : word * bool :=
  adder xs (map negb ys) true.

Lemma subtract_correct : forall xs ys,
  length xs = length ys ->
  unsigned xs - unsigned ys + modulus xs =
    unsigned (fst (subtract xs ys)) + modulus xs * bit (snd (subtract xs ys)).
Proof.
  intros xs ys Hlen. unfold subtract.
  rewrite <- adder_correct by now rewrite map_length.
  rewrite unsigned_negb. unfold modulus. rewrite Hlen. cbn [bit]. lia.
Qed.

(** The carry out of a subtraction is set exactly when there is no borrow, the
    convention of many processors but not of all. *)
Theorem carry_means_no_borrow : forall xs ys,
  length xs = length ys ->
  snd (subtract xs ys) = true <-> unsigned ys <= unsigned xs.
Proof.
  intros xs ys Hlen.
  pose proof (subtract_correct xs ys Hlen) as H.
  pose proof (unsigned_range (fst (subtract xs ys))) as Hr.
  assert (Hm : modulus (fst (subtract xs ys)) = modulus xs).
  { unfold modulus, subtract. rewrite adder_length; [reflexivity |].
    now rewrite map_length. }
  rewrite Hm in Hr.
  destruct (snd (subtract xs ys)); cbn [bit] in H; split; intros;
    try lia; try discriminate; reflexivity.
Qed.

Example twelve_minus_five :
  subtract [false; false; true; true] [true; false; true; false]
  = ([true; true; true; false], true).
Proof. reflexivity. Qed.
