package org.example.resilience

import java.util.concurrent.{Executors, ScheduledExecutorService, ThreadFactory, TimeUnit}
import scala.concurrent.duration._
import scala.concurrent.{ExecutionContext, Future, Promise}
import scala.util.control.NonFatal
import scala.util.{Failure, Random, Success, Try}

/** A retry schedule is a function from what has happened so far to a decision.
  *
  * Schedules are values: small ones are combined into large ones, and none of
  * them touches a clock or a thread. Only [[Retrier]] does.
  */
final case class RetrySchedule(decide: RetrySchedule.History => RetrySchedule.Decision) {
  import RetrySchedule._

  /** Goes on while both agree, waiting for the longer of the two delays. */
  def &&(that: RetrySchedule): RetrySchedule = RetrySchedule { h =>
    (decide(h), that.decide(h)) match {
      case (Continue(a), Continue(b)) => Continue(a max b)
      case (Stop(why), _)             => Stop(why)
      case (_, stop)                  => stop
    }
  }

  /** Goes on while either agrees, with the shorter delay. */
  def ||(that: RetrySchedule): RetrySchedule = RetrySchedule { h =>
    (decide(h), that.decide(h)) match {
      case (Continue(a), Continue(b)) => Continue(a min b)
      case (go: Continue, _)          => go
      case (_, other)                 => other
    }
  }

  /** Uses `this` until it stops, then starts `next` with a fresh history. */
  def andThen(next: RetrySchedule): RetrySchedule = RetrySchedule { h =>
    decide(h) match {
      case go: Continue => go
      case Stop(_) =>
        val used = LazyList.from(1).takeWhile(n => decide(h.copy(attempts = n)).isInstanceOf[Continue]).size
        next.decide(h.copy(attempts = (h.attempts - used) max 1))
    }
  }

  def capped(limit: FiniteDuration): RetrySchedule = mapDelay(_ min limit)

  /** Full jitter: anything between zero and the delay, to break up convoys. */
  def jittered(random: Random): RetrySchedule =
    mapDelay(d => (d.toNanos * random.nextDouble()).toLong.nanos)

  def onlyIf(retryable: PartialFunction[Throwable, Boolean]): RetrySchedule = RetrySchedule { h =>
    if (retryable.applyOrElse(h.lastError, (_: Throwable) => false)) decide(h)
    else Stop(s"not retryable: ${h.lastError.getClass.getSimpleName}")
  }

  private def mapDelay(f: FiniteDuration => FiniteDuration): RetrySchedule = RetrySchedule { h =>
    decide(h) match {
      case Continue(d) => Continue(f(d))
      case stop        => stop
    }
  }
}

object RetrySchedule {
  final case class History(attempts: Int, elapsed: FiniteDuration, lastError: Throwable)

  sealed trait Decision
  final case class Continue(after: FiniteDuration) extends Decision
  final case class Stop(reason: String) extends Decision

  def attempts(n: Int): RetrySchedule =
    RetrySchedule(h => if (h.attempts < n) Continue(Duration.Zero) else Stop(s"gave up after $n attempts"))

  def fixed(delay: FiniteDuration): RetrySchedule = RetrySchedule(_ => Continue(delay))

  def exponential(base: FiniteDuration, factor: Double = 2.0): RetrySchedule = RetrySchedule { h =>
    val nanos = base.toNanos * math.pow(factor, (h.attempts - 1).toDouble)
    Continue(math.min(nanos, 1.day.toNanos.toDouble).toLong.nanos)
  }

  def upTo(budget: FiniteDuration): RetrySchedule =
    RetrySchedule(h => if (h.elapsed < budget) Continue(Duration.Zero) else Stop(s"budget of $budget is spent"))
}

final class RetriesExhausted(reason: String, cause: Throwable) extends RuntimeException(reason, cause)

/** Runs an asynchronous action under a schedule without blocking a thread. */
final class Retrier(scheduler: ScheduledExecutorService)(implicit ec: ExecutionContext) {
  import RetrySchedule._

  def run[A](schedule: RetrySchedule)(action: => Future[A]): Future[A] = {
    val started = System.nanoTime()

    def attempt(n: Int): Future[A] = {
      // An action that throws before it returns a Future is a failure as well.
      val running = try action catch { case NonFatal(e) => Future.failed(e) }
      running.recoverWith { case NonFatal(error) =>
        val elapsed = (System.nanoTime() - started).nanos
        schedule.decide(History(n, elapsed, error)) match {
          case Continue(delay) => after(delay)(attempt(n + 1))
          case Stop(reason)    => Future.failed(new RetriesExhausted(reason, error))
        }
      }
    }
    attempt(1)
  }

  private def after[A](delay: FiniteDuration)(next: => Future[A]): Future[A] =
    if (delay <= Duration.Zero) next
    else {
      val gate = Promise[Unit]()
      scheduler.schedule((() => gate.success(())): Runnable, delay.toNanos, TimeUnit.NANOSECONDS)
      gate.future.flatMap(_ => next)
    }
}

object Retrier {
  private val daemon: ThreadFactory = task => {
    val t = new Thread(task, "retry-timer")
    t.setDaemon(true)
    t
  }

  def apply()(implicit ec: ExecutionContext): Retrier =
    new Retrier(Executors.newSingleThreadScheduledExecutor(daemon))

  /** Blocking variant for scripts and migrations. */
  def blocking[A](schedule: RetrySchedule, sleep: FiniteDuration => Unit)(action: => A): Try[A] =
    Iterator
      .unfold((1, Option.empty[Try[A]])) {
        case (_, Some(Success(_))) => None
        case (n, _)                => val r = Try(action); Some((n -> r, (n + 1, Some(r))))
      }
      .map {
        case (n, Failure(e)) =>
          schedule.decide(RetrySchedule.History(n, Duration.Zero, e)) match {
            case RetrySchedule.Continue(d)  => sleep(d); None
            case RetrySchedule.Stop(reason) => Some(Failure(new RetriesExhausted(reason, e)))
          }
        case (_, success) => Some(success)
      }
      .collectFirst { case Some(result) => result }
      .getOrElse(Failure(new IllegalStateException("schedule ended without a result")))
}
