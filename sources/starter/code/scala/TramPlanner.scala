package org.example.transit

import scala.annotation.tailrec
import scala.io.Source
import scala.util.Using
import scala.util.matching.Regex

/** Earliest-arrival planner over a timetable (the connection scan algorithm).
  *
  * Usage: `tram-planner TIMETABLE FROM TO HH:MM`, where each timetable line is
  * {{{
  * trip 7a  Harbour 08:02  Market 08:06/08:07  University 08:15
  * walk     Market  Townhall  4
  * }}}
  */
object TramPlanner {
  final case class Stop(name: String) extends AnyVal
  final case class Minute(value: Int) extends AnyVal {
    def +(m: Int): Minute = Minute(value + m)
    override def toString: String = f"${value / 60}%02d:${value % 60}%02d"
  }

  /** One vehicle moving between two neighbouring stops. */
  final case class Connection(trip: String, from: Stop, departs: Minute, to: Stop, arrives: Minute)
  final case class Footpath(from: Stop, to: Stop, minutes: Int)
  final case class Timetable(connections: Vector[Connection], footpaths: Map[Stop, List[Footpath]])

  sealed trait Leg { def from: Stop; def to: Stop }
  final case class Ride(trip: String, from: Stop, departs: Minute, to: Stop, arrives: Minute) extends Leg
  final case class Walk(from: Stop, to: Stop, minutes: Int) extends Leg

  /** Minutes one needs to change vehicles at the same stop. */
  private val changeTime = 2

  // --- Reading ---------------------------------------------------------------

  private val Time: Regex = """(\d{1,2}):(\d{2})""".r
  private val Dwell: Regex = """(\d{1,2}:\d{2})(?:/(\d{1,2}:\d{2}))?""".r

  def time(text: String): Either[String, Minute] = text match {
    case Time(h, m) if m.toInt < 60 => Right(Minute(h.toInt * 60 + m.toInt))
    case _                          => Left(s"not a time: $text")
  }

  /** Trip lines alternate stop names and times; a slash splits arrival from departure. */
  private def trip(id: String, words: List[String]): Either[String, List[Connection]] = {
    val calls = words.grouped(2).map {
      case List(stop, Dwell(arr, dep)) =>
        for (a <- time(arr); d <- time(Option(dep).getOrElse(arr))) yield (Stop(stop), a, d)
      case other => Left(s"trip $id: cannot read ${other.mkString(" ")}")
    }
    calls.toList.partitionMap(identity) match {
      case (Nil, good) =>
        Right(good.zip(good.drop(1)).map { case ((s1, _, dep), (s2, arr, _)) => Connection(id, s1, dep, s2, arr) })
      case (problem :: _, _) => Left(problem)
    }
  }

  def read(lines: Iterator[String]): Either[String, Timetable] = {
    val parsed = lines.map(_.trim).filterNot(l => l.isEmpty || l.startsWith("#")).map(_.split("\\s+").toList).map {
      case "trip" :: id :: calls => trip(id, calls).map(Left(_))
      case List("walk", a, b, m) if m.toIntOption.isDefined =>
        Right(Right(List(Footpath(Stop(a), Stop(b), m.toInt), Footpath(Stop(b), Stop(a), m.toInt))))
      case other => Left(s"unknown line: ${other.mkString(" ")}")
    }
    parsed.toList.partitionMap(identity) match {
      case (Nil, good) =>
        val (rides, walks) = good.partitionMap(identity)
        // The scan relies on departures being in order.
        Right(Timetable(rides.flatten.sortBy(_.departs.value).toVector, walks.flatten.groupBy(_.from)))
      case (problems, _) => Left(problems.mkString("\n"))
    }
  }

  // --- Scanning --------------------------------------------------------------

  private final case class Scan(reached: Map[Stop, Minute], boarded: Map[String, Connection], via: Map[Stop, Leg]) {
    def at(s: Stop): Option[Minute] = reached.get(s)
    def improves(s: Stop, m: Minute): Boolean = at(s).forall(_.value > m.value)

    def arrive(leg: Leg, when: Minute, walks: List[Footpath]): Scan =
      if (!improves(leg.to, when)) this
      else
        walks.foldLeft(copy(reached = reached + (leg.to -> when), via = via + (leg.to -> leg))) { (scan, w) =>
          val there = when + w.minutes
          if (!scan.improves(w.to, there)) scan
          else scan.copy(scan.reached + (w.to -> there), via = scan.via + (w.to -> Walk(w.from, w.to, w.minutes)))
        }
  }

  def plan(table: Timetable, from: Stop, to: Stop, start: Minute): Option[List[Leg]] = {
    val onFoot = table.footpaths.getOrElse(from, Nil)
    val origin = Scan(
      Map(from -> start) ++ onFoot.map(w => w.to -> (start + w.minutes)),
      Map.empty,
      onFoot.map(w => w.to -> Walk(w.from, w.to, w.minutes)).toMap
    )
    val done = table.connections.iterator
      .dropWhile(_.departs.value < start.value)
      .foldLeft(origin) { (scan, c) =>
        val slack = if (c.from == from || scan.via.get(c.from).exists(_.isInstanceOf[Walk])) 0 else changeTime
        val canBoard = scan.at(c.from).exists(_.value + slack <= c.departs.value)
        if (!scan.boarded.contains(c.trip) && !canBoard) scan
        else {
          val entry = scan.boarded.getOrElse(c.trip, c)
          scan
            .copy(boarded = scan.boarded.updated(c.trip, entry))
            .arrive(Ride(c.trip, entry.from, entry.departs, c.to, c.arrives), c.arrives, table.footpaths.getOrElse(c.to, Nil))
        }
      }

    @tailrec def unwind(stop: Stop, legs: List[Leg]): List[Leg] =
      if (stop == from) legs else { val leg = done.via(stop); unwind(leg.from, leg :: legs) }
    if (done.reached.contains(to)) Some(unwind(to, Nil)) else None
  }

  def main(args: Array[String]): Unit = args match {
    case Array(file, a, b, at) =>
      val answer = for {
        start <- time(at)
        table <- Using.resource(Source.fromFile(file))(s => read(s.getLines()))
        legs <- plan(table, Stop(a), Stop(b), start).toRight(s"no connection from $a to $b after $start today")
      } yield legs.map {
        case Ride(t, f, d, s, r) => f"$d%s ${f.name}%-14s line $t%-6s ${s.name}%-14s $r%s"
        case Walk(f, s, m)       => f"      ${f.name}%-14s walk $m%2d min ${s.name}%s"
      }
      answer.fold(e => { Console.err.println(e); sys.exit(1) }, _.foreach(println))
    case _ => Console.err.println("usage: tram-planner TIMETABLE FROM TO HH:MM"); sys.exit(2)
  }
}
