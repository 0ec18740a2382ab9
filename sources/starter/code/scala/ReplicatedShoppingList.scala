package org.example.crdt

/** A join-semilattice: `join` is associative, commutative and idempotent, which
  * is all that replicas need in order to agree without talking in any order.
  */
trait Lattice[A] {
  def bottom: A
  def join(a: A, b: A): A

  final def lteq(a: A, b: A): Boolean = join(a, b) == b
}

object Lattice {
  def apply[A](implicit L: Lattice[A]): Lattice[A] = L

  def instance[A](empty: A)(f: (A, A) => A): Lattice[A] = new Lattice[A] {
    def bottom: A = empty
    def join(a: A, b: A): A = f(a, b)
  }

  implicit def sets[A]: Lattice[Set[A]] = instance(Set.empty[A])(_ union _)

  implicit def maps[K, V](implicit V: Lattice[V]): Lattice[Map[K, V]] =
    instance(Map.empty[K, V]) { (a, b) =>
      b.foldLeft(a) { case (acc, (k, v)) => acc.updatedWith(k)(old => Some(old.fold(v)(V.join(_, v)))) }
    }

  implicit def pairs[A, B](implicit A: Lattice[A], B: Lattice[B]): Lattice[(A, B)] =
    instance((A.bottom, B.bottom))((x, y) => (A.join(x._1, y._1), B.join(x._2, y._2)))

  val maxLong: Lattice[Long] = instance(0L)(math.max)

  implicit final class JoinOps[A](private val a: A) extends AnyVal {
    def \/(b: A)(implicit L: Lattice[A]): A = L.join(a, b)
  }
}

final case class ReplicaId(name: String) extends AnyVal

/** One event of one replica. */
final case class Dot(replica: ReplicaId, counter: Long)

/** The events that a replica has seen, as a version vector. */
final case class Clock(seen: Map[ReplicaId, Long]) {
  def contains(d: Dot): Boolean = seen.getOrElse(d.replica, 0L) >= d.counter
  def tick(r: ReplicaId): (Dot, Clock) = {
    val next = seen.getOrElse(r, 0L) + 1
    (Dot(r, next), Clock(seen.updated(r, next)))
  }
}
object Clock {
  val zero: Clock = Clock(Map.empty)
  implicit val lattice: Lattice[Clock] =
    Lattice.instance(zero)((a, b) => Clock(Lattice.maps[ReplicaId, Long](Lattice.maxLong).join(a.seen, b.seen)))
}

/** Observed-remove set without tombstones: an element is present while at least
  * one dot supports it. A dot that the other side has seen in its clock, but no
  * longer holds, was removed there.
  */
final case class OrSet[A](entries: Map[A, Set[Dot]], clock: Clock) {
  def elements: Set[A] = entries.keySet

  def add(r: ReplicaId, a: A): OrSet[A] = {
    val (dot, next) = clock.tick(r)
    // The new dot replaces those seen so far, so entries stay small.
    OrSet(entries.updated(a, Set(dot)), next)
  }

  def remove(a: A): OrSet[A] = copy(entries = entries - a)
}

object OrSet {
  def empty[A]: OrSet[A] = OrSet(Map.empty, Clock.zero)

  implicit def lattice[A]: Lattice[OrSet[A]] = Lattice.instance(empty[A]) { (x, y) =>
    def survivors(mine: Set[Dot], theirs: Set[Dot], theirClock: Clock): Set[Dot] =
      mine.filter(d => theirs(d) || !theirClock.contains(d))

    val merged = for {
      a <- (x.entries.keySet ++ y.entries.keySet).iterator
      l = x.entries.getOrElse(a, Set.empty)
      r = y.entries.getOrElse(a, Set.empty)
      dots = survivors(l, r, y.clock) ++ survivors(r, l, x.clock)
      if dots.nonEmpty
    } yield a -> dots
    OrSet(merged.toMap, Lattice[Clock].join(x.clock, y.clock))
  }
}

/** Last writer wins; the replica name breaks ties so that all sides agree. */
final case class Register[A](value: A, time: Long, writer: ReplicaId)
object Register {
  def merge[A](a: Register[A], b: Register[A]): Register[A] =
    if (Ordering[(Long, String)].gteq((a.time, a.writer.name), (b.time, b.writer.name))) a else b
}

/** A shopping list shared between phones that are often offline. */
final case class ShoppingList(items: OrSet[String], notes: Map[String, Register[String]]) {
  def render: String =
    items.elements.toList.sorted
      .map(i => notes.get(i).fold(s"- $i")(n => s"- $i (${n.value})"))
      .mkString("\n")
}

object ShoppingList {
  val empty: ShoppingList = ShoppingList(OrSet.empty, Map.empty)

  implicit val lattice: Lattice[ShoppingList] = Lattice.instance(empty) { (a, b) =>
    val notes = b.notes.foldLeft(a.notes) { case (acc, (k, r)) =>
      acc.updatedWith(k)(old => Some(old.fold(r)(Register.merge(_, r))))
    }
    ShoppingList(Lattice[OrSet[String]].join(a.items, b.items), notes)
  }

  def main(args: Array[String]): Unit = {
    import Lattice._
    val (kitchen, car) = (ReplicaId("kitchen"), ReplicaId("car"))
    val base = empty.copy(items = OrSet.empty[String].add(kitchen, "milk").add(kitchen, "rice"))

    // Concurrently: the kitchen adds milk again while the car ticks it off.
    val atHome = base.copy(
      items = base.items.add(kitchen, "milk"),
      notes = Map("milk" -> Register("two litres", 10, kitchen))
    )
    val onTheRoad = base.copy(items = base.items.remove("milk").remove("rice").add(car, "bread"))

    val one = atHome \/ onTheRoad
    val other = onTheRoad \/ atHome
    assert(one == other, "join must be commutative")
    assert((one \/ atHome) == one, "join must be idempotent")
    println(one.render) // bread, and milk: the add was not seen by the remove
  }
}
