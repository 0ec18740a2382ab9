package org.example.collection

import scala.annotation.tailrec
import scala.collection.immutable.Queue

/** A closed interval `[lo, hi]` over any ordered type. */
final case class Interval[A](lo: A, hi: A)(implicit ord: Ordering[A]) {
  require(ord.lteq(lo, hi), s"interval runs backwards: $lo > $hi")

  def overlaps(that: Interval[A]): Boolean = ord.lteq(lo, that.hi) && ord.lteq(that.lo, hi)
  def contains(point: A): Boolean = ord.lteq(lo, point) && ord.lteq(point, hi)
}

/** Persistent map from intervals to values, balanced as an AVL tree on the lower
  * bound and augmented with the greatest upper bound of each subtree.
  *
  * Overlap queries cost O(log n + k). Several values may share one interval.
  */
sealed abstract class IntervalTree[A, +V] extends Iterable[(Interval[A], V)] {
  import IntervalTree._

  private[collection] def height: Int
  private[collection] def maxHi: Option[A]

  override def className: String = "IntervalTree"

  def +[W >: V](entry: (Interval[A], W))(implicit ord: Ordering[A]): IntervalTree[A, W] = this match {
    case Leaf() => Node(Leaf[A](), entry._1, Queue(entry._2), Leaf[A]())
    case Node(l, key, values, r) =>
      compareKeys(entry._1, key) match {
        case 0          => Node(l, key, (values: Queue[W]).enqueue(entry._2), r)
        case c if c < 0 => balance(l + entry, key, values, r)
        case _          => balance(l, key, values, r + entry)
      }
  }

  def -(key: Interval[A])(implicit ord: Ordering[A]): IntervalTree[A, V] = this match {
    case Leaf() => this
    case Node(l, k, values, r) =>
      compareKeys(key, k) match {
        case 0          => join(l, r)
        case c if c < 0 => balance(l - key, k, values, r)
        case _          => balance(l, k, values, r - key)
      }
  }

  /** Everything that touches `window`, in order of the lower bound. */
  def overlapping(window: Interval[A])(implicit ord: Ordering[A]): LazyList[(Interval[A], V)] = this match {
    case Leaf() => LazyList.empty
    // Nothing below reaches far enough to the right.
    case n: Node[A, V] if n.maxHi.exists(ord.lt(_, window.lo)) => LazyList.empty
    case Node(l, key, values, r) =>
      def here = if (key.overlaps(window)) LazyList.from(values.map(key -> _)) else LazyList.empty
      // Keys to the right start later still.
      def right = if (ord.gt(key.lo, window.hi)) LazyList.empty else r.overlapping(window)
      l.overlapping(window) #::: here #::: right
  }

  def at(point: A)(implicit ord: Ordering[A]): LazyList[V] =
    overlapping(Interval(point, point)).map(_._2)

  override def iterator: Iterator[(Interval[A], V)] = {
    @tailrec def descend(t: IntervalTree[A, V], path: List[Node[A, V]]): List[Node[A, V]] = t match {
      case n: Node[A, V] => descend(n.left, n :: path)
      case _             => path
    }
    Iterator
      .unfold(descend(this, Nil)) {
        case n :: rest => Some((n, descend(n.right, rest)))
        case Nil       => None
      }
      .flatMap(n => n.values.iterator.map(n.key -> _))
  }
}

object IntervalTree {
  private final case class Leaf[A]() extends IntervalTree[A, Nothing] {
    private[collection] def height = 0
    private[collection] def maxHi = None
  }

  private final case class Node[A, +V](
      left: IntervalTree[A, V],
      key: Interval[A],
      values: Queue[V],
      right: IntervalTree[A, V]
  )(implicit ord: Ordering[A])
      extends IntervalTree[A, V] {
    private[collection] val height = 1 + math.max(left.height, right.height)
    private[collection] val maxHi = Some((left.maxHi ++ right.maxHi ++ Some(key.hi)).max)
  }

  def empty[A, V]: IntervalTree[A, V] = Leaf[A]()

  def from[A: Ordering, V](entries: IterableOnce[(Interval[A], V)]): IntervalTree[A, V] =
    entries.iterator.foldLeft(empty[A, V])(_ + _)

  private def compareKeys[A](a: Interval[A], b: Interval[A])(implicit ord: Ordering[A]): Int = {
    val byStart = ord.compare(a.lo, b.lo)
    if (byStart != 0) byStart else ord.compare(a.hi, b.hi)
  }

  private def balance[A: Ordering, V](
      l: IntervalTree[A, V],
      key: Interval[A],
      values: Queue[V],
      r: IntervalTree[A, V]
  ): IntervalTree[A, V] = (l, r) match {
    case (Node(ll, lk, lv, lr), _) if l.height > r.height + 1 =>
      lr match {
        case Node(a, mk, mv, b) if lr.height > ll.height =>
          Node(Node(ll, lk, lv, a), mk, mv, Node(b, key, values, r))
        case _ => Node(ll, lk, lv, Node(lr, key, values, r))
      }
    case (_, Node(rl, rk, rv, rr)) if r.height > l.height + 1 =>
      rl match {
        case Node(a, mk, mv, b) if rl.height > rr.height =>
          Node(Node(l, key, values, a), mk, mv, Node(b, rk, rv, rr))
        case _ => Node(Node(l, key, values, rl), rk, rv, rr)
      }
    case _ => Node(l, key, values, r)
  }

  private def join[A: Ordering, V](l: IntervalTree[A, V], r: IntervalTree[A, V]): IntervalTree[A, V] =
    r match {
      case Leaf() => l
      case n: Node[A, V] =>
        val (key, values, rest) = popLeast(n)
        balance(l, key, values, rest)
    }

  private def popLeast[A: Ordering, V](n: Node[A, V]): (Interval[A], Queue[V], IntervalTree[A, V]) =
    n.left match {
      case Leaf() => (n.key, n.values, n.right)
      case l: Node[A, V] =>
        val (key, values, rest) = popLeast(l)
        (key, values, balance(rest, n.key, n.values, n.right))
    }
}
