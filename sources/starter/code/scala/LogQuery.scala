package org.example.logs

import java.time.{Duration, Instant}
import scala.util.matching.Regex
import scala.util.parsing.combinator.{JavaTokenParsers, PackratParsers}

/** One structured log line. */
final case class Record(at: Instant, level: Level, service: String, message: String, fields: Map[String, String])

sealed abstract class Level(val rank: Int) extends Ordered[Level] {
  def compare(that: Level): Int = rank compare that.rank
}
object Level {
  case object Debug extends Level(0)
  case object Info extends Level(1)
  case object Warn extends Level(2)
  case object Error extends Level(3)

  val byName: Map[String, Level] =
    List(Debug, Info, Warn, Error).map(l => l.toString.toLowerCase -> l).toMap
}

/** Filter expressions such as
  * {{{
  *   level >= warn and service = "checkout" and not message ~ /timeout|reset/
  *     and latency_ms > 250 within last 15m
  * }}}
  */
sealed trait Query {
  import Query._

  /** `now` is passed in so that one evaluation sees one clock. */
  def matches(r: Record, now: Instant): Boolean = this match {
    case And(l, q)            => l.matches(r, now) && q.matches(r, now)
    case Or(l, q)             => l.matches(r, now) || q.matches(r, now)
    case Not(q)               => !q.matches(r, now)
    case LevelIs(op, level)   => op(r.level compare level)
    case Text(field, op, s)   => lookup(r, field).exists(v => op(v compareTo s))
    case Number(field, op, n) => lookup(r, field).flatMap(_.toDoubleOption).exists(v => op(v compare n))
    case Like(field, regex)   => lookup(r, field).exists(regex.findFirstIn(_).isDefined)
    case Has(field)           => lookup(r, field).isDefined
    case Within(q, window)    => !r.at.isBefore(now.minus(window)) && q.matches(r, now)
  }
}

object Query {
  final case class And(left: Query, right: Query) extends Query
  final case class Or(left: Query, right: Query) extends Query
  final case class Not(query: Query) extends Query
  final case class LevelIs(op: Comparison, level: Level) extends Query
  final case class Text(field: String, op: Comparison, value: String) extends Query
  final case class Number(field: String, op: Comparison, value: Double) extends Query
  final case class Like(field: String, regex: Regex) extends Query
  final case class Has(field: String) extends Query
  final case class Within(query: Query, window: Duration) extends Query

  final class Comparison(val symbol: String, test: Int => Boolean) {
    def apply(sign: Int): Boolean = test(sign)
    override def toString: String = symbol
  }
  object Comparison {
    // Longest first: "<=" must be tried before "<".
    val all: List[Comparison] = List(
      new Comparison("<=", _ <= 0),
      new Comparison(">=", _ >= 0),
      new Comparison("!=", _ != 0),
      new Comparison("<", _ < 0),
      new Comparison(">", _ > 0),
      new Comparison("=", _ == 0)
    )
  }

  private def lookup(r: Record, field: String): Option[String] = field match {
    case "service" => Some(r.service)
    case "message" => Some(r.message)
    case other     => r.fields.get(other)
  }

  final case class SyntaxError(line: Int, column: Int, detail: String)

  def parse(source: String): Either[SyntaxError, Query] = Grammar.run(source)

  private object Grammar extends JavaTokenParsers with PackratParsers {
    override protected val whiteSpace: Regex = """(\s|#[^\n]*)+""".r

    private def word(w: String): Parser[String] = s"(?i)$w\\b".r.withFailureMessage(s"'$w' expected")

    lazy val query: PackratParser[Query] =
      disjunction ~ opt(word("within") ~> word("last") ~> duration) ^^ {
        case q ~ Some(window) => Within(q, window)
        case q ~ None         => q
      }

    // Left recursion is what PackratParsers is for.
    lazy val disjunction: PackratParser[Query] =
      disjunction ~ (word("or") ~> conjunction) ^^ { case l ~ r => Or(l, r) } | conjunction

    lazy val conjunction: PackratParser[Query] =
      conjunction ~ (word("and") ~> factor) ^^ { case l ~ r => And(l, r) } | factor

    lazy val factor: PackratParser[Query] =
      word("not") ~> factor ^^ Not |
        "(" ~> disjunction <~ ")" |
        word("has") ~> field ^^ Has |
        predicate

    lazy val predicate: Parser[Query] =
      word("level") ~> comparison ~ level ^^ { case op ~ l => LevelIs(op, l) } |
        field ~ ("~" ~> pattern) ^^ { case f ~ r => Like(f, r) } |
        field ~ comparison ~ floatingPointNumber ^^ { case f ~ op ~ n => Number(f, op, n.toDouble) } |
        field ~ comparison ~ stringLiteral ^^ { case f ~ op ~ s => Text(f, op, s.substring(1, s.length - 1)) }

    lazy val field: Parser[String] = """[A-Za-z_][\w.]*""".r.withFailureMessage("field name expected")

    lazy val level: Parser[Level] = ident ^? (
      { case name if Level.byName.contains(name.toLowerCase) => Level.byName(name.toLowerCase) },
      name => s"'$name' is not a level; use ${Level.byName.keys.mkString(", ")}"
    )

    lazy val comparison: Parser[Comparison] =
      Comparison.all.map(c => c.symbol ^^^ c).reduce(_ | _)

    lazy val pattern: Parser[Regex] =
      """/(?:[^/\\]|\\.)+/""".r ^^ (s => s.substring(1, s.length - 1).replace("\\/", "/").r)

    lazy val duration: Parser[Duration] = wholeNumber ~ "[smhd]".r ^^ {
      case n ~ "s" => Duration.ofSeconds(n.toLong)
      case n ~ "m" => Duration.ofMinutes(n.toLong)
      case n ~ "h" => Duration.ofHours(n.toLong)
      case n ~ _   => Duration.ofDays(n.toLong)
    }

    def run(source: String): Either[SyntaxError, Query] = parseAll(query, source) match {
      case Success(q, _)       => Right(q)
      case NoSuccess.I(msg, at) => Left(SyntaxError(at.pos.line, at.pos.column, msg))
    }
  }
}
