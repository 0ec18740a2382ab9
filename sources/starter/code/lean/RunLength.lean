/-!
# Run-length encoding, proved to be lossless and canonical

`encode` never emits an empty run and never emits two adjacent runs of the same
symbol. Together with `decode_encode` this makes equality of encodings the same
thing as equality of the data, which is what a cache key needs.
-/

namespace RunLength

variable {α : Type}

/-- A run: how often, and what. -/
abbrev Runs (α : Type) := List (Nat × α)

/-- Put one more symbol in front of an encoding. -/
def push [DecidableEq α] (x : α) : Runs α → Runs α
  | [] => [(1, x)]
  | (n, y) :: rest =>
    if x = y then (n + 1, y) :: rest else (1, x) :: (n, y) :: rest

def encode [DecidableEq α] : List α → Runs α
  | [] => []
  | x :: xs => push x (encode xs)

/-- Prepend `n` copies of `x`. Written out, and not through `List.replicate`, so
that the proofs below see its recursion directly. -/
def copies (n : Nat) (x : α) (tail : List α) : List α :=
  match n with
  | 0 => tail
  | k + 1 => x :: copies k x tail

def decode : Runs α → List α
  | [] => []
  | (n, x) :: rest => copies n x (decode rest)

/-! ## Lossless -/

theorem decode_push [DecidableEq α] (x : α) (r : Runs α) :
    decode (push x r) = x :: decode r := by
  cases r with
  | nil => rfl
  | cons run rest =>
    cases run with
    | mk n y =>
      by_cases h : x = y
      · subst h
        simp [push, decode, copies]
      · simp [push, decode, copies, h]

theorem decode_encode [DecidableEq α] (xs : List α) : decode (encode xs) = xs := by
  induction xs with
  | nil => rfl
  | cons x xs ih =>
    show decode (push x (encode xs)) = x :: xs
    rw [decode_push, ih]

theorem encode_injective [DecidableEq α] (xs ys : List α)
    (h : encode xs = encode ys) : xs = ys := by
  rw [← decode_encode xs, h, decode_encode]

/-! ## Canonical -/

/-- Every run is nonempty. -/
inductive Positive : Runs α → Prop where
  | nil : Positive []
  | cons {n : Nat} {x : α} {rest : Runs α} :
      0 < n → Positive rest → Positive ((n, x) :: rest)

/-- Neighbouring runs hold different symbols. -/
inductive Separated : Runs α → Prop where
  | nil : Separated []
  | single (run : Nat × α) : Separated [run]
  | cons {n m : Nat} {x y : α} {rest : Runs α} :
      x ≠ y → Separated ((m, y) :: rest) →
      Separated ((n, x) :: (m, y) :: rest)

theorem positive_push [DecidableEq α] (x : α) (r : Runs α) (h : Positive r) :
    Positive (push x r) := by
  cases h with
  | nil => exact Positive.cons Nat.one_pos Positive.nil
  | @cons n y rest hn hrest =>
    by_cases hxy : x = y
    · simp only [push, if_pos hxy]
      exact .cons (Nat.succ_pos n) hrest
    · simp only [push, if_neg hxy]
      exact .cons Nat.one_pos (.cons hn hrest)

/-- The length of the first run is irrelevant to separation. -/
theorem separated_resize {n : Nat} (k : Nat) {x : α} {rest : Runs α}
    (h : Separated ((n, x) :: rest)) : Separated ((k, x) :: rest) := by
  cases h with
  | single => exact .single (k, x)
  | cons hne hrest => exact .cons hne hrest

theorem separated_push [DecidableEq α] (x : α) (r : Runs α) (h : Separated r) :
    Separated (push x r) := by
  cases r with
  | nil => exact .single (1, x)
  | cons run rest =>
    cases run with
    | mk n y =>
      by_cases hxy : x = y
      · simp only [push, if_pos hxy]
        exact separated_resize (n + 1) h
      · simp only [push, if_neg hxy]
        exact .cons hxy h

theorem canonical_encode [DecidableEq α] (xs : List α) :
    Positive (encode xs) ∧ Separated (encode xs) := by
  induction xs with
  | nil => exact ⟨.nil, .nil⟩
  | cons x xs ih => exact
    ⟨positive_push x (encode xs) ih.1, separated_push x (encode xs) ih.2⟩

/-! ## Size -/

def total : Runs α → Nat
  | [] => 0
  | (n, _) :: rest => n + total rest

theorem length_copies (n : Nat) (x : α) (tail : List α) :
    (copies n x tail).length = n + tail.length := by
  induction n with
  | zero => simp [copies]
  | succ k ih =>
    show (copies k x tail).length + 1 = k + 1 + tail.length
    omega

theorem length_decode (r : Runs α) : (decode r).length = total r := by
  induction r with
  | nil => rfl
  | cons run rest ih =>
    cases run with
    | mk n x => simp [decode, total, length_copies, ih]

theorem total_encode [DecidableEq α] (xs : List α) : total (encode xs) = xs.length := by
  rw [← length_decode, decode_encode]

#eval encode "aaabccd".toList

end RunLength
