package org.example.clickstream

import java.sql.{Date, Timestamp}
import org.apache.spark.sql.expressions.{Aggregator, Window}
import org.apache.spark.sql.functions._
import org.apache.spark.sql.{Dataset, Encoder, Encoders, SaveMode, SparkSession}

final case class Hit(visitor: String, at: Timestamp, path: String, referrer: Option[String], status: Int)

final case class SessionHit(visitor: String, session: Long, at: Timestamp, path: String, referrer: Option[String])

final case class Session(
    visitor: String,
    session: Long,
    startedAt: Timestamp,
    seconds: Long,
    pages: Long,
    channel: String,
    converted: Boolean
)

final case class ChannelDay(day: Date, channel: String, sessions: Long, conversions: Long, medianSeconds: Double)

/** Cuts a visitor's hits into sessions and rolls the sessions up by channel.
  *
  * {{{
  * spark-submit --class org.example.clickstream.SessionizeClickstream clickstream.jar \
  *   --in /data/hits --out /data/sessions --gap-minutes 30
  * }}}
  */
object SessionizeClickstream {

  final case class Config(in: String = "", out: String = "", gapMinutes: Int = 30, goal: String = "/checkout/done")

  def parse(args: List[String], config: Config = Config()): Either[String, Config] = args match {
    case "--in" :: dir :: rest  => parse(rest, config.copy(in = dir))
    case "--out" :: dir :: rest => parse(rest, config.copy(out = dir))
    case "--goal" :: p :: rest  => parse(rest, config.copy(goal = p))
    case "--gap-minutes" :: n :: rest =>
      n.toIntOption.filter(_ > 0).toRight(s"--gap-minutes: not a positive number: $n").flatMap { m =>
        parse(rest, config.copy(gapMinutes = m))
      }
    case Nil if config.in.isEmpty || config.out.isEmpty => Left("--in and --out are required")
    case Nil                                            => Right(config)
    case unknown :: _                                   => Left(s"unknown option $unknown")
  }

  /** A session ends after `gapMinutes` of silence. The running sum over the
    * "starts a session" flag numbers the sessions of one visitor from 1.
    */
  def assignSessions(hits: Dataset[Hit], gapMinutes: Int): Dataset[SessionHit] = {
    import hits.sparkSession.implicits._
    val timeline = Window.partitionBy($"visitor").orderBy($"at")
    val gapSeconds = unix_timestamp($"at") - unix_timestamp(lag($"at", 1).over(timeline))
    val starts = when(gapSeconds.isNull || gapSeconds > gapMinutes * 60L, 1L).otherwise(0L)

    hits
      .filter(h => h.status < 400 && !h.path.startsWith("/static/"))
      .withColumn("starts", starts)
      .withColumn(
        "session",
        sum($"starts").over(timeline.rowsBetween(Window.unboundedPreceding, Window.currentRow))
      )
      .select($"visitor", $"session", $"at", $"path", $"referrer")
      .as[SessionHit]
  }

  /** Typed aggregation: cheaper than collecting the hits of a session in a list. */
  final case class Partial(first: Long, last: Long, pages: Long, entry: Option[String], converted: Boolean)

  final class Summarise(goal: String) extends Aggregator[SessionHit, Partial, Partial] {
    def zero: Partial = Partial(Long.MaxValue, Long.MinValue, 0L, None, converted = false)

    def reduce(p: Partial, h: SessionHit): Partial = {
      val t = h.at.getTime
      Partial(
        first = math.min(p.first, t),
        last = math.max(p.last, t),
        pages = p.pages + 1,
        // The referrer that counts is the one of the earliest hit.
        entry = if (t < p.first) h.referrer else p.entry,
        converted = p.converted || h.path == goal
      )
    }

    def merge(a: Partial, b: Partial): Partial = Partial(
      math.min(a.first, b.first),
      math.max(a.last, b.last),
      a.pages + b.pages,
      if (a.first <= b.first) a.entry else b.entry,
      a.converted || b.converted
    )

    def finish(p: Partial): Partial = p
    def bufferEncoder: Encoder[Partial] = Encoders.product[Partial]
    def outputEncoder: Encoder[Partial] = Encoders.product[Partial]
  }

  def channelOf(referrer: Option[String]): String = referrer.map(_.toLowerCase) match {
    case None | Some("")                                      => "direct"
    case Some(r) if r.contains("utm_medium=email")            => "newsletter"
    case Some(r) if r.contains("gclid=") || r.contains("/ad") => "paid"
    case Some(r) if r.startsWith("https://search.example.com")    => "search"
    case Some(_)                                              => "referral"
  }

  def summarise(hits: Dataset[SessionHit], goal: String): Dataset[Session] = {
    import hits.sparkSession.implicits._
    hits
      .groupByKey(h => (h.visitor, h.session))
      .agg(new Summarise(goal).toColumn)
      .map { case ((visitor, number), p) =>
        val seconds = (p.last - p.first) / 1000
        Session(visitor, number, new Timestamp(p.first), seconds, p.pages, channelOf(p.entry), p.converted)
      }
  }

  def byChannel(sessions: Dataset[Session]): Dataset[ChannelDay] = {
    import sessions.sparkSession.implicits._
    sessions
      .groupBy(to_date($"startedAt").as("day"), $"channel")
      .agg(
        count(lit(1)).as("sessions"),
        sum($"converted".cast("long")).as("conversions"),
        expr("percentile_approx(seconds, 0.5)").cast("double").as("medianSeconds")
      )
      .as[ChannelDay]
  }

  def main(args: Array[String]): Unit = parse(args.toList) match {
    case Left(problem) =>
      System.err.println(s"error: $problem")
      sys.exit(2)
    case Right(config) =>
      val spark = SparkSession.builder().appName("sessionize-clickstream").getOrCreate()
      import spark.implicits._
      try {
        val hits = spark.read.schema(Encoders.product[Hit].schema).parquet(config.in).as[Hit]
        val sessions = summarise(assignSessions(hits, config.gapMinutes), config.goal).cache()
        sessions.write.mode(SaveMode.Overwrite).partitionBy("channel").parquet(s"${config.out}/sessions")
        byChannel(sessions).coalesce(1).write.mode(SaveMode.Overwrite).option("header", "true").csv(s"${config.out}/daily")
      } finally spark.stop()
  }
}
