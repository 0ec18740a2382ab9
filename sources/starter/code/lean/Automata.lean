/-!
# Deterministic automata and a divisibility test

States and symbols are arbitrary types, so products need no encoding. The second
half checks an automaton that reads a binary numeral from the most significant
digit and decides divisibility, without ever holding the number itself.
-/

structure DFA (σ : Type) (α : Type) where
  start : σ
  step : σ → α → σ
  accept : σ → Bool

namespace DFA

variable {σ τ α : Type}

/-- The state reached from `q` after reading `w`. -/
def run (M : DFA σ α) (q : σ) (w : List α) : σ :=
  w.foldl M.step q

def accepts (M : DFA σ α) (w : List α) : Bool :=
  M.accept (M.run M.start w)

theorem run_nil (M : DFA σ α) (q : σ) : M.run q [] = q := rfl

theorem run_cons (M : DFA σ α) (q : σ) (a : α) (w : List α) :
    M.run q (a :: w) = M.run (M.step q a) w := rfl

theorem run_append (M : DFA σ α) (q : σ) (u v : List α) :
    M.run q (u ++ v) = M.run (M.run q u) v := by
  simp [run, List.foldl_append]

/-! ## Boolean operations -/

def compl (M : DFA σ α) : DFA σ α where
  start := M.start
  step := M.step
  accept := fun q => !M.accept q

/-- Run two automata side by side and combine their verdicts with `f`. -/
def product (f : Bool → Bool → Bool) (M : DFA σ α) (N : DFA τ α) :
    DFA (σ × τ) α where
  start := (M.start, N.start)
  step := fun s a => (M.step s.1 a, N.step s.2 a)
  accept := fun s => f (M.accept s.1) (N.accept s.2)

theorem accepts_compl (M : DFA σ α) (w : List α) :
    M.compl.accepts w = !M.accepts w := rfl

theorem run_product (f : Bool → Bool → Bool) (M : DFA σ α) (N : DFA τ α)
    (p : σ) (q : τ) (w : List α) :
    (product f M N).run (p, q) w = (M.run p w, N.run q w) := by
  induction w generalizing p q with
  | nil => rfl
  | cons a w ih =>
    rw [run_cons, run_cons, run_cons]
    exact ih (M.step p a) (N.step q a)

theorem accepts_product (f : Bool → Bool → Bool) (M : DFA σ α) (N : DFA τ α)
    (w : List α) :
    (product f M N).accepts w = f (M.accepts w) (N.accepts w) := by
  show (product f M N).accept ((product f M N).run (M.start, N.start) w) = _
  rw [run_product]
  rfl

def inter (M : DFA σ α) (N : DFA τ α) : DFA (σ × τ) α := product and M N
def union (M : DFA σ α) (N : DFA τ α) : DFA (σ × τ) α := product or M N

/-- De Morgan, for languages rather than for truth values. -/
theorem accepts_compl_union (M : DFA σ α) (N : DFA τ α) (w : List α) :
    (M.union N).compl.accepts w = (M.compl.inter N.compl).accepts w := by
  rw [accepts_compl, union, inter, accepts_product, accepts_product,
    accepts_compl, accepts_compl]
  cases M.accepts w <;> cases N.accepts w <;> rfl

/-- Two words that lead to the same state cannot be told apart by any suffix:
the easy half of the Myhill-Nerode theorem. -/
theorem accepts_congr (M : DFA σ α) (u v z : List α)
    (h : M.run M.start u = M.run M.start v) :
    M.accepts (u ++ z) = M.accepts (v ++ z) := by
  unfold accepts
  rw [run_append, run_append, h]

end DFA

/-! ## Binary numerals -/

/-- Value of the digits `w`, most significant first, appended to `v`. -/
def value (v : Nat) : List Bool → Nat
  | [] => v
  | b :: w => value (2 * v + b.toNat) w

/-- Accepts the numerals of multiples of `m`; the state is a remainder. -/
def multipleOf (m : Nat) : DFA Nat Bool where
  start := 0
  step := fun r b => (2 * r + b.toNat) % m
  accept := fun r => r == 0

theorem step_mod (m v b : Nat) : (2 * (v % m) + b) % m = (2 * v + b) % m := by
  rw [Nat.add_mod, Nat.mul_mod, Nat.mod_mod, ← Nat.mul_mod, ← Nat.add_mod]

theorem run_multipleOf (m v : Nat) (w : List Bool) :
    (multipleOf m).run (v % m) w = value v w % m := by
  induction w generalizing v with
  | nil => rfl
  | cons b w ih =>
    have h : (multipleOf m).step (v % m) b = (2 * v + b.toNat) % m :=
      step_mod m v b.toNat
    rw [DFA.run_cons, h]
    exact ih (2 * v + b.toNat)

theorem accepts_multipleOf (m : Nat) (w : List Bool) :
    (multipleOf m).accepts w = (value 0 w % m == 0) := by
  have h := run_multipleOf m 0 w
  rw [Nat.zero_mod] at h
  show ((multipleOf m).run 0 w == 0) = _
  rw [h]

/-- Multiples of six, built from the automata for two and three. -/
def multipleOfSix : DFA (Nat × Nat) Bool :=
  (multipleOf 2).inter (multipleOf 3)

theorem accepts_multipleOfSix (w : List Bool) :
    multipleOfSix.accepts w = (value 0 w % 2 == 0 && value 0 w % 3 == 0) := by
  unfold multipleOfSix DFA.inter
  rw [DFA.accepts_product, accepts_multipleOf, accepts_multipleOf]

#eval multipleOfSix.accepts [true, true, false]           -- 6
#eval multipleOfSix.accepts [true, false, false, true]    -- 9
