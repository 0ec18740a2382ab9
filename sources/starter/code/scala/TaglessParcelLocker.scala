package org.example.lockers

import scala.collection.immutable.Queue

/** Business rules of a parcel locker station, written against algebras in an
  * abstract effect `F[_]`. Production runs them in the station's I/O type; here
  * they run in a pure state monad, which is what makes the rules testable.
  */
trait Monad[F[_]] {
  def pure[A](a: A): F[A]
  def flatMap[A, B](fa: F[A])(f: A => F[B]): F[B]
  def map[A, B](fa: F[A])(f: A => B): F[B] = flatMap(fa)(a => pure(f(a)))
}

object Monad {
  def apply[F[_]](implicit F: Monad[F]): Monad[F] = F

  implicit final class Ops[F[_], A](private val fa: F[A]) extends AnyVal {
    def flatMap[B](f: A => F[B])(implicit F: Monad[F]): F[B] = F.flatMap(fa)(f)
    def map[B](f: A => B)(implicit F: Monad[F]): F[B] = F.map(fa)(f)
    def >>[B](next: => F[B])(implicit F: Monad[F]): F[B] = F.flatMap(fa)(_ => next)
  }
}

// --- Domain ------------------------------------------------------------------

sealed abstract class Size(val litres: Int)
object Size {
  case object Small extends Size(10)
  case object Medium extends Size(30)
  case object Large extends Size(80)
}

final case class Compartment(number: Int, size: Size)
final case class Parcel(code: String, size: Size, recipient: String)
final case class Deposit(parcel: Parcel, compartment: Compartment, pin: Int, day: Int)

sealed trait LockerError
object LockerError {
  case object StationFull extends LockerError
  final case class AlreadyStored(code: String) extends LockerError
  final case class WrongPin(attemptsLeft: Int) extends LockerError
  case object NothingHere extends LockerError
}

// --- Algebras ----------------------------------------------------------------

trait Compartments[F[_]] {
  def free: F[List[Compartment]]
  def unlock(c: Compartment): F[Unit]
}
trait Deposits[F[_]] {
  def find(code: String): F[Option[Deposit]]
  def all: F[List[Deposit]]
  def put(d: Deposit): F[Unit]
  def remove(code: String): F[Unit]
}
trait Station[F[_]] {
  def today: F[Int]
  def newPin: F[Int]
  def notify(recipient: String, text: String): F[Unit]
}

// --- Program -----------------------------------------------------------------

final class LockerService[F[_]: Monad](boxes: Compartments[F], deposits: Deposits[F], station: Station[F]) {
  import LockerError._
  import Monad._

  type Result[A] = F[Either[LockerError, A]]
  private def fail[A](e: LockerError): Result[A] = Monad[F].pure(Left(e))

  /** A courier drops a parcel off: the tightest compartment that fits is used. */
  def store(parcel: Parcel): Result[Compartment] =
    deposits.find(parcel.code).flatMap {
      case Some(_) => fail(AlreadyStored(parcel.code))
      case None =>
        boxes.free.flatMap { free =>
          free.filter(_.size.litres >= parcel.size.litres).minByOption(_.size.litres) match {
            case None => fail(StationFull)
            case Some(box) =>
              for {
                pin <- station.newPin
                day <- station.today
                _ <- deposits.put(Deposit(parcel, box, pin, day))
                _ <- boxes.unlock(box)
                _ <- station.notify(parcel.recipient, s"Parcel ${parcel.code} is in box ${box.number}, PIN $pin.")
              } yield Right(box): Either[LockerError, Compartment]
          }
        }
    }

  def collect(code: String, pin: Int, attemptsLeft: Int): Result[Compartment] =
    deposits.find(code).flatMap {
      case None                    => fail(NothingHere)
      case Some(d) if d.pin != pin => fail(WrongPin(attemptsLeft - 1))
      case Some(d) =>
        boxes.unlock(d.compartment) >> deposits.remove(code) >>
          Monad[F].pure(Right(d.compartment): Either[LockerError, Compartment])
    }

  /** Frees every box that has been occupied for more than `days` days. */
  def sweep(days: Int): F[List[Parcel]] =
    for {
      today <- station.today
      stored <- deposits.all
      late = stored.filter(d => today - d.day > days)
      _ <- late.foldLeft(Monad[F].pure(()))((acc, d) => acc >> deposits.remove(d.parcel.code))
    } yield late.map(_.parcel)
}

// --- Pure interpreter --------------------------------------------------------

final case class State[S, A](run: S => (S, A))
object State {
  implicit def monad[S]: Monad[({ type L[A] = State[S, A] })#L] = new Monad[({ type L[A] = State[S, A] })#L] {
    def pure[A](a: A): State[S, A] = State(s => (s, a))
    def flatMap[A, B](fa: State[S, A])(f: A => State[S, B]): State[S, B] =
      State { s => val (next, a) = fa.run(s); f(a).run(next) }
  }
  def inspect[S, A](f: S => A): State[S, A] = State(s => (s, f(s)))
  def modify[S](f: S => S): State[S, Unit] = State(s => (f(s), ()))
}

final case class World(
    boxes: List[Compartment], stored: Map[String, Deposit], day: Int, pins: LazyList[Int], log: Queue[String])

object PureStation {
  type F[A] = State[World, A]
  import State._

  val service: LockerService[F] = new LockerService[F](
    new Compartments[F] {
      def free: F[List[Compartment]] = inspect(w => w.boxes.diff(w.stored.values.map(_.compartment).toSeq))
      def unlock(c: Compartment): F[Unit] = modify(w => w.copy(log = w.log :+ s"unlock ${c.number}"))
    },
    new Deposits[F] {
      def find(code: String): F[Option[Deposit]] = inspect(_.stored.get(code))
      def all: F[List[Deposit]] = inspect(_.stored.values.toList)
      def put(d: Deposit): F[Unit] = modify(w => w.copy(stored = w.stored + (d.parcel.code -> d)))
      def remove(code: String): F[Unit] = modify(w => w.copy(stored = w.stored - code))
    },
    new Station[F] {
      def today: F[Int] = inspect(_.day)
      def newPin: F[Int] = State(w => (w.copy(pins = w.pins.tail), w.pins.head))
      def notify(to: String, text: String): F[Unit] = modify(w => w.copy(log = w.log :+ s"$to: $text"))
    }
  )
}
