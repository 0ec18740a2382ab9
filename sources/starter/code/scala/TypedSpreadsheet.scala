package org.example.sheet

import scala.collection.mutable

/** Formulas as a generalised algebraic data type: an ill-typed formula such as
  * `If(Num(1), …)` has no representation, so evaluation needs no run-time tags.
  */
enum Formula[A]:
  case Num(value: Double) extends Formula[Double]
  case Text(value: String) extends Formula[String]
  case Flag(value: Boolean) extends Formula[Boolean]
  case Ref[T](cell: CellName, expected: Kind[T]) extends Formula[T]
  case Arith(op: ArithOp, left: Formula[Double], right: Formula[Double]) extends Formula[Double]
  case Compare(op: CompareOp, left: Formula[Double], right: Formula[Double]) extends Formula[Boolean]
  case Concat(parts: List[Formula[String]]) extends Formula[String]
  case Format(value: Formula[Double], decimals: Int) extends Formula[String]
  case Sum(range: CellRange) extends Formula[Double]
  case If[T](test: Formula[Boolean], yes: Formula[T], no: Formula[T]) extends Formula[T]

enum ArithOp(val apply: (Double, Double) => Double):
  case Add extends ArithOp(_ + _)
  case Sub extends ArithOp(_ - _)
  case Mul extends ArithOp(_ * _)
  case Div extends ArithOp(_ / _)

enum CompareOp(val test: (Double, Double) => Boolean):
  case Less extends CompareOp(_ < _)
  case AtMost extends CompareOp(_ <= _)
  case Same extends CompareOp(_ == _)

/** A singleton per cell type, used to compare types at run time. */
enum Kind[A]:
  case Number extends Kind[Double]
  case Words extends Kind[String]
  case Truth extends Kind[Boolean]

  /** Each kind has one value, so equal values prove equal types. */
  def same[B](that: Kind[B]): Option[A =:= B] =
    Option.when(this == that)(summon[A =:= A].asInstanceOf[A =:= B])

final case class CellName(column: Char, row: Int):
  override def toString = s"$column$row"

final case class CellRange(from: CellName, to: CellName):
  def cells: Seq[CellName] =
    for c <- from.column to to.column; r <- from.row to to.row yield CellName(c, r)

/** A formula together with its type, hidden from the sheet's map. */
sealed trait AnyFormula:
  type T
  val kind: Kind[T]
  val formula: Formula[T]

object AnyFormula:
  def apply[A](k: Kind[A], f: Formula[A]): AnyFormula = new AnyFormula:
    type T = A
    val kind = k
    val formula = f

enum CellError:
  case Missing(cell: CellName)
  case WrongType(cell: CellName)
  case Circular(path: List[CellName])
  case DivisionByZero(cell: CellName)

type Result[A] = Either[CellError, A]

/** Evaluates on demand and remembers results. The path of cells in progress
  * travels as a context parameter, which is how cycles are found.
  */
final class Evaluator(cells: Map[CellName, AnyFormula]):
  private val done = mutable.Map.empty[CellName, Result[Any]]

  private final case class Path(open: List[CellName])
  private type InPath[A] = Path ?=> A

  def value[A](name: CellName, kind: Kind[A]): Result[A] = cell(name, kind)(using Path(Nil))

  private def cell[A](name: CellName, kind: Kind[A]): InPath[Result[A]] =
    val open = summon[Path].open
    cells.get(name) match
      case _ if open.contains(name) => Left(CellError.Circular((name :: open).reverse))
      case None                     => Left(CellError.Missing(name))
      case Some(any) =>
        any.kind.same(kind) match
          case None => Left(CellError.WrongType(name))
          case Some(proof) =>
            val result = done.getOrElseUpdate(name, eval(any.formula)(using Path(name :: open)))
            result.asInstanceOf[Result[any.T]].map(proof(_))

  private def eval[A](f: Formula[A]): InPath[Result[A]] = f match
    case Formula.Num(v)          => Right(v)
    case Formula.Text(v)         => Right(v)
    case Formula.Flag(v)         => Right(v)
    case Formula.Ref(name, kind) => cell(name, kind)
    case Formula.Arith(op, l, r) =>
      for
        a <- eval(l)
        b <- eval(r)
        _ <- Either.cond(op != ArithOp.Div || b != 0, (), CellError.DivisionByZero(summon[Path].open.head))
      yield op.apply(a, b)
    case Formula.Compare(op, l, r) => for a <- eval(l); b <- eval(r) yield op.test(a, b)
    case Formula.Concat(parts) =>
      parts.foldLeft[Result[String]](Right("")): (acc, part) =>
        for soFar <- acc; next <- eval(part) yield soFar + next
    case Formula.Format(v, decimals) => eval(v).map(x => s"%.${decimals}f".formatLocal(java.util.Locale.ROOT, x))
    case Formula.Sum(range) =>
      // Empty cells count as zero, as every spreadsheet user expects.
      range.cells.filter(cells.contains).foldLeft[Result[Double]](Right(0)): (acc, name) =>
        for total <- acc; v <- cell(name, Kind.Number) yield total + v
    case Formula.If(test, yes, no) => eval(test).flatMap(holds => if holds then eval(yes) else eval(no))

/** Surface syntax for the tests and for sheets defined in code. */
object syntax:
  extension (sc: StringContext)
    def cell(args: Any*): CellName =
      val text = sc.s(args*)
      CellName(text.head, text.tail.toInt)

  extension (l: Formula[Double])
    def +(r: Formula[Double]): Formula[Double] = Formula.Arith(ArithOp.Add, l, r)
    def *(r: Formula[Double]): Formula[Double] = Formula.Arith(ArithOp.Mul, l, r)
    def <=(r: Formula[Double]): Formula[Boolean] = Formula.Compare(CompareOp.AtMost, l, r)

  def num(name: CellName): Formula[Double] = Formula.Ref(name, Kind.Number)

@main def quotation(): Unit =
  import syntax.*
  val sheet = Map(
    cell"A1" -> AnyFormula(Kind.Number, Formula.Num(12)),
    cell"A2" -> AnyFormula(Kind.Number, Formula.Num(30.5)),
    cell"A3" -> AnyFormula(Kind.Number, Formula.Sum(CellRange(cell"A1", cell"A2"))),
    cell"B3" -> AnyFormula(Kind.Words, Formula.If(num(cell"A3") <= Formula.Num(40), Formula.Text("small"), Formula.Text("large")))
  )
  println(Evaluator(sheet).value(cell"B3", Kind.Words))
