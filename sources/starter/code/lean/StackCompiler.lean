/-!
# A verified compiler to a stack machine

Arithmetic expressions with variables and a branch-free conditional are
compiled to postfix code. The main result, `optimised_correct`, says that code
produced from the *constant-folded* expression leaves exactly the value of the
*original* expression on the stack, in every environment.

Both arms of a conditional are evaluated. That is sound here because
expressions are pure and total, and it keeps the machine free of jumps.
-/

namespace StackCompiler

inductive Expr where
  | lit (n : Int)
  | var (x : String)
  | neg (a : Expr)
  | add (a b : Expr)
  | mul (a b : Expr)
  /-- `cond c t e` is `e` if `c` is zero and `t` otherwise. -/
  | cond (c t e : Expr)
  deriving Repr

abbrev Env := String → Int

def Expr.eval (ρ : Env) : Expr → Int
  | .lit n => n
  | .var x => ρ x
  | .neg a => - a.eval ρ
  | .add a b => a.eval ρ + b.eval ρ
  | .mul a b => a.eval ρ * b.eval ρ
  | .cond c t e => if c.eval ρ = 0 then e.eval ρ else t.eval ρ

/-- Number of nodes, which turns out to be the length of the code. -/
def Expr.size : Expr → Nat
  | .lit _ => 1
  | .var _ => 1
  | .neg a => a.size + 1
  | .add a b => a.size + b.size + 1
  | .mul a b => a.size + b.size + 1
  | .cond c t e => c.size + t.size + e.size + 1

inductive Instr where
  | push (n : Int)
  | load (x : String)
  | neg
  | add
  | mul
  | select
  deriving Repr

abbrev Stack := List Int

/-- One instruction. `none` is a stack underflow. -/
def step (ρ : Env) : Instr → Stack → Option Stack
  | .push n, s => some (n :: s)
  | .load x, s => some (ρ x :: s)
  | .neg, a :: s => some (-a :: s)
  | .add, b :: a :: s => some ((a + b) :: s)
  | .mul, b :: a :: s => some ((a * b) :: s)
  | .select, e :: t :: c :: s => some ((if c = 0 then e else t) :: s)
  | _, _ => none

def run (ρ : Env) : List Instr → Stack → Option Stack
  | [], s => some s
  | i :: rest, s =>
    match step ρ i s with
    | none => none
    | some s' => run ρ rest s'

def compile : Expr → List Instr
  | .lit n => [.push n]
  | .var x => [.load x]
  | .neg a => compile a ++ [.neg]
  | .add a b => compile a ++ compile b ++ [.add]
  | .mul a b => compile a ++ compile b ++ [.mul]
  | .cond c t e => compile c ++ compile t ++ compile e ++ [.select]

theorem run_append (ρ : Env) (p q : List Instr) (s : Stack) :
    run ρ (p ++ q) s = (run ρ p s).bind (run ρ q) := by
  induction p generalizing s with
  | nil => simp [run]
  | cons i p ih =>
    simp only [List.cons_append, run]
    cases step ρ i s with
    | none => rfl
    | some s' => exact ih s'

theorem compile_correct (ρ : Env) (e : Expr) (s : Stack) :
    run ρ (compile e) s = some (e.eval ρ :: s) := by
  induction e generalizing s with
  | lit n => simp [compile, run, step, Expr.eval]
  | var x => simp [compile, run, step, Expr.eval]
  | neg a iha => simp [compile, run_append, run, step, Expr.eval, iha]
  | add a b iha ihb => simp [compile, run_append, run, step, Expr.eval, iha, ihb]
  | mul a b iha ihb => simp [compile, run_append, run, step, Expr.eval, iha, ihb]
  | cond c t e ihc iht ihe =>
    simp [compile, run_append, run, step, Expr.eval, ihc, iht, ihe]

theorem length_compile (e : Expr) : (compile e).length = e.size := by
  induction e <;> simp [compile, Expr.size, *] <;> omega

/-! ## Constant folding by smart constructors -/

def mkNeg : Expr → Expr
  | .lit n => .lit (-n)
  | a => .neg a

def mkAdd : Expr → Expr → Expr
  | .lit m, .lit n => .lit (m + n)
  | a, b => .add a b

def mkMul : Expr → Expr → Expr
  | .lit m, .lit n => .lit (m * n)
  | a, b => .mul a b

theorem eval_mkNeg (ρ : Env) (a : Expr) : (mkNeg a).eval ρ = -a.eval ρ := by
  cases a <;> rfl

theorem eval_mkAdd (ρ : Env) (a b : Expr) :
    (mkAdd a b).eval ρ = a.eval ρ + b.eval ρ := by
  cases a <;> cases b <;> rfl

theorem eval_mkMul (ρ : Env) (a b : Expr) :
    (mkMul a b).eval ρ = a.eval ρ * b.eval ρ := by
  cases a <;> cases b <;> rfl

def Expr.fold : Expr → Expr
  | .lit n => .lit n
  | .var x => .var x
  | .neg a => mkNeg a.fold
  | .add a b => mkAdd a.fold b.fold
  | .mul a b => mkMul a.fold b.fold
  | .cond c t e => .cond c.fold t.fold e.fold

theorem eval_fold (ρ : Env) (e : Expr) : e.fold.eval ρ = e.eval ρ := by
  induction e <;>
    simp [Expr.fold, Expr.eval, eval_mkNeg, eval_mkAdd, eval_mkMul, *]

theorem optimised_correct (ρ : Env) (e : Expr) (s : Stack) :
    run ρ (compile e.fold) s = some (e.eval ρ :: s) := by
  rw [compile_correct, eval_fold]

end StackCompiler
