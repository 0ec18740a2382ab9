package org.example.report

import scala.annotation.targetName
import scala.collection.mutable.ListBuffer

/** A document builder made of context functions: each block receives the builder
  * of its surroundings implicitly, so a `cell` outside a `row` does not compile
  * and no builder is ever passed around by hand.
  */
object ReportDsl:

  enum Inline:
    case Plain(text: String)
    case Strong(text: String)
    case Link(text: String, target: String)

  enum Align:
    case Left, Right, Center

  enum Block:
    case Heading(level: Int, text: String)
    case Paragraph(content: List[Inline])
    case Bullets(items: List[List[Inline]])
    case Table(columns: List[(String, Align)], rows: List[List[String]])

  final case class Report(title: String, blocks: List[Block])

  // --- Builders, one per scope ------------------------------------------------

  final class Blocks(val level: Int, private[ReportDsl] val out: ListBuffer[Block])
  final class Words(private[ReportDsl] val out: ListBuffer[Inline])
  final class Items(private[ReportDsl] val out: ListBuffer[List[Inline]])
  final class Grid(
      private[ReportDsl] val columns: ListBuffer[(String, Align)],
      private[ReportDsl] val rows: ListBuffer[List[String]]
  )
  final class Cells(private[ReportDsl] val out: ListBuffer[String])

  def report(title: String)(body: Blocks ?=> Unit): Report =
    val out = ListBuffer.empty[Block]
    body(using Blocks(1, out))
    Report(title, out.toList)

  /** Sections nest; the heading level follows the nesting. */
  def section(title: String)(body: Blocks ?=> Unit)(using outer: Blocks): Unit =
    outer.out += Block.Heading(outer.level + 1, title)
    body(using Blocks(outer.level + 1, outer.out))

  def paragraph(body: Words ?=> Unit)(using b: Blocks): Unit =
    b.out += Block.Paragraph(inlines(body))

  def bullets(body: Items ?=> Unit)(using b: Blocks): Unit =
    val items = Items(ListBuffer.empty)
    body(using items)
    b.out += Block.Bullets(items.out.toList)

  def item(body: Words ?=> Unit)(using items: Items): Unit = items.out += inlines(body)

  private def inlines(body: Words ?=> Unit): List[Inline] =
    val words = Words(ListBuffer.empty)
    body(using words)
    words.out.toList

  def text(s: String)(using w: Words): Unit = w.out += Inline.Plain(s)
  def strong(s: String)(using w: Words): Unit = w.out += Inline.Strong(s)

  extension (label: String)
    @targetName("linkTo")
    infix def ~>(target: String)(using w: Words): Unit = w.out += Inline.Link(label, target)

  def table(body: Grid ?=> Unit)(using b: Blocks): Unit =
    val grid = Grid(ListBuffer.empty, ListBuffer.empty)
    body(using grid)
    val width = grid.columns.size
    for (row, i) <- grid.rows.zipWithIndex if row.size != width do
      throw IllegalArgumentException(s"row ${i + 1} has ${row.size} cells, the table has $width columns")
    b.out += Block.Table(grid.columns.toList, grid.rows.toList)

  def column(name: String, align: Align = Align.Left)(using g: Grid): Unit = g.columns += name -> align

  def row(body: Cells ?=> Unit)(using g: Grid): Unit =
    val cells = Cells(ListBuffer.empty)
    body(using cells)
    g.rows += cells.out.toList

  /** What may stand in a cell is open: anything with a `Show` instance. */
  trait Show[-A]:
    extension (a: A) def shown: String

  object Show:
    given Show[String] with
      extension (a: String) def shown = a.replace("|", "\\|")
    given Show[Int] with
      extension (a: Int) def shown = f"$a%,d"
    given Show[BigDecimal] with
      extension (a: BigDecimal) def shown = a.setScale(2, BigDecimal.RoundingMode.HALF_EVEN).toString

  def cell[A: Show](a: A)(using c: Cells): Unit = c.out += a.shown

  // --- Rendering --------------------------------------------------------------

  trait Renderer[Out]:
    def render(report: Report): Out

  object Markdown extends Renderer[String]:
    def render(report: Report): String =
      (s"# ${report.title}" :: report.blocks.map(block)).mkString("", "\n\n", "\n")

    private def block(b: Block): String = b match
      case Block.Heading(level, text) => s"${"#" * level} $text"
      case Block.Paragraph(content)   => content.map(inline).mkString
      case Block.Bullets(items)       => items.map(i => s"- ${i.map(inline).mkString}").mkString("\n")
      case Block.Table(columns, rows) =>
        val rule = columns.map:
          case (_, Align.Left)   => ":--"
          case (_, Align.Right)  => "--:"
          case (_, Align.Center) => ":-:"
        (columns.map(_._1) :: rule :: rows).map(_.mkString("| ", " | ", " |")).mkString("\n")

    private def inline(i: Inline): String = i match
      case Inline.Plain(t)   => t
      case Inline.Strong(t)  => s"**$t**"
      case Inline.Link(t, u) => s"[$t]($u)"

@main def energyReport(): Unit =
  import ReportDsl.*
  final case class Reading(building: String, kilowattHours: Int, cost: BigDecimal)
  val readings = List(Reading("Library", 18240, BigDecimal("4012.8")), Reading("Pool", 51100, BigDecimal(11242)))

  val monthly = report("Energy in March"):
    section("Summary"):
      paragraph:
        text("The pool used ")
        strong("74 %")
        text(" of the electricity; see the ")
        "method notes" ~> "https://example.org/method"
        text(".")
    section("By building"):
      table:
        column("Building")
        column("kWh", Align.Right)
        column("Cost", Align.Right)
        for r <- readings do
          row:
            cell(r.building)
            cell(r.kilowattHours)
            cell(r.cost)
  print(Markdown.render(monthly))
