package org.example.csv

import java.time.LocalDate
import scala.compiletime.{constValueTuple, erasedValue, summonInline}
import scala.deriving.Mirror
import scala.util.Try

/** Reads one cell. */
trait Cell[A]:
  def decode(text: String): Either[String, A]
  def encode(a: A): String
  /** What to use when the column is missing altogether. */
  def absent: Option[A] = None

object Cell:
  def apply[A](using c: Cell[A]): Cell[A] = c

  private def parsing[A](kind: String)(read: String => A): Cell[A] = new Cell[A]:
    def decode(text: String) = Try(read(text.trim)).toEither.left.map(_ => s"'$text' is not $kind")
    def encode(a: A) = a.toString

  given Cell[Int] = parsing("a whole number")(_.toInt)
  given Cell[BigDecimal] = parsing("a decimal number")(BigDecimal(_))
  given Cell[LocalDate] = parsing("a date (YYYY-MM-DD)")(LocalDate.parse(_))

  given Cell[String] with
    def decode(text: String) = Right(text)
    def encode(a: String) = a

  given Cell[Boolean] with
    def decode(text: String) = text.trim.toLowerCase match
      case "yes" | "true" | "1"       => Right(true)
      case "no" | "false" | "0" | "" => Right(false)
      case other                      => Left(s"'$other' is neither yes nor no")
    def encode(a: Boolean) = if a then "yes" else "no"

  given [A](using inner: Cell[A]): Cell[Option[A]] with
    def decode(text: String) = if text.isBlank then Right(None) else inner.decode(text).map(Some(_))
    def encode(a: Option[A]) = a.fold("")(inner.encode)
    override def absent = Some(None)

/** Where in the file something went wrong. */
final case class Problem(line: Int, column: String, message: String):
  override def toString = s"line $line, column $column: $message"

/** Reads and writes rows of a product type; `derives Row` on a case class is all
  * that is needed. Column names come from the field names, in kebab case.
  */
trait Row[A]:
  def columns: List[String]
  def decode(line: Int, cells: Map[String, String]): Either[List[Problem], A]
  def encode(a: A): List[String]

object Row:
  inline def derived[A <: Product](using m: Mirror.ProductOf[A]): Row[A] =
    val labels = constValueTuple[m.MirroredElemLabels].toList.asInstanceOf[List[String]].map(kebab)
    val cells = summonCells[m.MirroredElemTypes]
    ProductRow(labels, cells, values => m.fromProduct(values))

  /** Collects one `Cell` per field, by recursion over the tuple of field types. */
  private inline def summonCells[T <: Tuple]: List[Cell[?]] =
    inline erasedValue[T] match
      case _: EmptyTuple => Nil
      case _: (t *: ts)  => summonInline[Cell[t]] :: summonCells[ts]

  private def kebab(name: String): String =
    name.flatMap(c => if c.isUpper then s"-${c.toLower}" else c.toString)

  // A class rather than an anonymous instance, so that inlining stays small.
  final class ProductRow[A <: Product](
      val columns: List[String],
      cells: List[Cell[?]],
      build: Tuple => A
  ) extends Row[A]:

    def decode(line: Int, row: Map[String, String]): Either[List[Problem], A] =
      val results = columns.zip(cells).map: (column, cell) =>
        row.get(column) match
          case Some(text) => cell.decode(text).left.map(Problem(line, column, _))
          case None       => cell.absent.toRight(Problem(line, column, "column is missing"))
      // Every field is checked, so that a user sees all mistakes of a row at once.
      results.partitionMap(identity) match
        case (Nil, values)  => Right(build(Tuple.fromArray(values.toArray[Any].map(_.asInstanceOf[Object]))))
        case (problems, _) => Left(problems)

    def encode(a: A): List[String] =
      a.productIterator.zip(cells.iterator).map((v, c) => c.asInstanceOf[Cell[Any]].encode(v)).toList

object Csv:
  def split(line: String): List[String] =
    val out = List.newBuilder[String]
    val current = StringBuilder()
    var quoted = false
    var i = 0
    while i < line.length do
      line(i) match
        case '"' if quoted && i + 1 < line.length && line(i + 1) == '"' =>
          current += '"'
          i += 1
        case '"'            => quoted = !quoted
        case ',' if !quoted => out += current.result(); current.clear()
        case c              => current += c
      i += 1
    (out += current.result()).result()

  def quote(cell: String): String =
    if cell.exists(c => c == ',' || c == '"' || c == '\n') then s"\"${cell.replace("\"", "\"\"")}\"" else cell

  def read[A](text: String)(using row: Row[A]): (List[Problem], List[A]) =
    text.linesIterator.zipWithIndex.filterNot(_._1.isBlank).toList match
      case Nil => (Nil, Nil)
      case (header, _) :: body =>
        val names = split(header).map(_.trim.toLowerCase)
        val (bad, good) = body.partitionMap: (line, index) =>
          row.decode(index + 1, names.zip(split(line)).toMap)
        (bad.flatten, good)

  def write[A](rows: Iterable[A])(using row: Row[A]): String =
    (row.columns :: rows.map(row.encode).toList).map(_.map(quote).mkString(",")).mkString("", "\n", "\n")

final case class Membership(
    memberNo: Int,
    fullName: String,
    joinedOn: LocalDate,
    yearlyFee: BigDecimal,
    sponsor: Option[Int],
    newsletter: Boolean
) derives Row

@main def importMembers(): Unit =
  val text =
    """member-no,full-name,joined-on,yearly-fee,newsletter
      |17,"Okafor, Ada",2019-04-01,48.00,yes
      |18,Ilse Brandt,1st of May,forty,no
      |""".stripMargin
  val (problems, members) = Csv.read[Membership](text)
  problems.foreach(p => Console.err.println(p))
  print(Csv.write(members))
