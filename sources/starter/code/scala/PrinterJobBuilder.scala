package org.example.print

import scala.annotation.implicitNotFound

/** A print job whose builder refuses, at compile time, to submit a job that has
  * no paper, no document or a finish that the chosen paper cannot take.
  *
  * State lives in phantom type parameters. They have no values and cost nothing
  * at run time: `Builder[Set, Unset, Plain]` erases to a plain class.
  */
object PrinterJobBuilder {

  // --- Phantom states --------------------------------------------------------

  sealed trait Presence
  sealed trait Set extends Presence
  sealed trait Unset extends Presence

  sealed trait Stock
  sealed trait Plain extends Stock
  sealed trait Card extends Stock
  sealed trait Transparency extends Stock

  sealed abstract class Paper[S <: Stock](val name: String, val gramsPerSquareMetre: Int)
  object Paper {
    case object Office extends Paper[Plain]("office", 80)
    case object Letterhead extends Paper[Plain]("letterhead", 100)
    case object Cover extends Paper[Card]("cover", 250)
    case object Foil extends Paper[Transparency]("foil", 120)
  }

  sealed trait Finish { def describe: String }
  final case class Fold(panels: Int) extends Finish { def describe = s"folded into $panels panels" }
  final case class Staple(corners: Int) extends Finish { def describe = s"$corners staple(s)" }
  case object Laminate extends Finish { def describe = "laminated" }

  // --- Evidence: which finish goes with which stock --------------------------

  @implicitNotFound("A ${F} finish is not possible on ${S} stock.")
  sealed trait Accepts[S <: Stock, F <: Finish]
  object Accepts {
    private def witness[S <: Stock, F <: Finish]: Accepts[S, F] = new Accepts[S, F] {}

    implicit val plainFolds: Accepts[Plain, Fold] = witness
    implicit val plainStaples: Accepts[Plain, Staple] = witness
    implicit val cardFolds: Accepts[Card, Fold] = witness
    implicit val cardLaminates: Accepts[Card, Laminate.type] = witness
  }

  @implicitNotFound("Duplex printing is not possible on ${S} stock.")
  sealed trait TwoSided[S <: Stock]
  object TwoSided {
    implicit val plain: TwoSided[Plain] = new TwoSided[Plain] {}
    implicit val card: TwoSided[Card] = new TwoSided[Card] {}
  }

  // --- The result ------------------------------------------------------------

  final case class Job(
      title: String,
      pages: Range.Inclusive,
      copies: Int,
      paper: String,
      duplex: Boolean,
      finishes: Vector[Finish]
  ) {
    def sheets: Int = {
      val sides = pages.size
      copies * (if (duplex) (sides + 1) / 2 else sides)
    }

    override def toString: String = {
      val extras = if (finishes.isEmpty) "" else finishes.map(_.describe).mkString(", ", ", ", "")
      s"$title: pages ${pages.start}-${pages.end}, $copies x on $paper$extras ($sheets sheets)"
    }
  }

  // --- The builder -----------------------------------------------------------

  final class Builder[Document <: Presence, Loaded <: Presence, S <: Stock] private[PrinterJobBuilder] (job: Job) {

    def document(title: String, pages: Int): Builder[Set, Loaded, S] =
      new Builder(job.copy(title = title, pages = 1 to pages))

    /** Changing the stock forgets finishes that were proven for the old one. */
    def on[T <: Stock](paper: Paper[T]): Builder[Document, Set, T] =
      new Builder(job.copy(paper = paper.name, finishes = Vector.empty, duplex = false))

    def copies(n: Int): Builder[Document, Loaded, S] = {
      require(n > 0, "at least one copy")
      new Builder(job.copy(copies = n))
    }

    def only(from: Int, to: Int)(implicit ev: Document =:= Set): Builder[Document, Loaded, S] = {
      require(job.pages.contains(from) && job.pages.contains(to), s"pages $from-$to are not in the document")
      new Builder(job.copy(pages = from to to))
    }

    def duplex(implicit ev: TwoSided[S]): Builder[Document, Loaded, S] =
      new Builder(job.copy(duplex = true))

    def finish[F <: Finish](f: F)(implicit paper: Loaded =:= Set, ev: Accepts[S, F]): Builder[Document, Loaded, S] =
      new Builder(job.copy(finishes = job.finishes :+ f))

    def build(implicit
        @implicitNotFound("Choose a document before building the job.") doc: Document =:= Set,
        @implicitNotFound("Choose the paper before building the job.") paper: Loaded =:= Set
    ): Job = job
  }

  def newJob: Builder[Unset, Unset, Nothing] =
    new Builder(Job("", 1 to 1, 1, "", duplex = false, Vector.empty))

  // --- Examples --------------------------------------------------------------

  def main(args: Array[String]): Unit = {
    val minutes = newJob.document("Minutes", 7).on(Paper.Office).duplex.finish(Staple(1)).copies(12).build
    val menu = newJob.document("Menu", 2).on(Paper.Cover).finish(Fold(2)).finish(Laminate).build
    val slide = newJob.document("Talk", 30).on(Paper.Foil).only(3, 5).build
    List(minutes, menu, slide).foreach(println)

    // None of these compile:
    //   newJob.on(Paper.Office).build                              // no document
    //   newJob.document("Talk", 30).on(Paper.Foil).duplex          // foil is one-sided
    //   newJob.document("Menu", 2).on(Paper.Cover).finish(Staple(2))
  }
}
