package org.example.exchange

import scala.annotation.tailrec
import scala.collection.immutable.{Queue, TreeMap}

/** Price in ticks and quantity in lots: integers, never floating point. */
final case class Price(ticks: Long) extends AnyVal with Ordered[Price] {
  def compare(that: Price): Int = java.lang.Long.compare(ticks, that.ticks)
}
final case class Lots(count: Long) extends AnyVal {
  def -(that: Lots): Lots = Lots(count - that.count)
  def min(that: Lots): Lots = Lots(count min that.count)
  def isZero: Boolean = count == 0
}
final case class OrderId(value: Long) extends AnyVal

sealed trait Side {
  def opposite: Side
}
object Side {
  case object Buy extends Side { def opposite: Side = Sell }
  case object Sell extends Side { def opposite: Side = Buy }
}

sealed trait TimeInForce
object TimeInForce {
  case object GoodTillCancel extends TimeInForce
  case object ImmediateOrCancel extends TimeInForce
  case object FillOrKill extends TimeInForce
}

final case class Order(id: OrderId, owner: String, side: Side, limit: Price, open: Lots, tif: TimeInForce)

sealed trait Event
object Event {
  final case class Accepted(id: OrderId) extends Event
  final case class Traded(maker: OrderId, taker: OrderId, price: Price, quantity: Lots) extends Event
  final case class Cancelled(id: OrderId, remaining: Lots, reason: String) extends Event
  final case class Rejected(id: OrderId, reason: String) extends Event
}

/** Price-time priority matching for one instrument, as a pure state transition:
  * every command gives the next book and the events it caused, so a journal of
  * commands replays to the same book bit for bit.
  */
final case class OrderBook private (
    bids: OrderBook.Levels,
    asks: OrderBook.Levels,
    index: Map[OrderId, (Side, Price)]
) {
  import Event._
  import OrderBook._

  def bestBid: Option[Price] = bids.headOption.map(_._1)
  def bestAsk: Option[Price] = asks.headOption.map(_._1)
  def spread: Option[Long] = for (b <- bestBid; a <- bestAsk) yield a.ticks - b.ticks

  def depth(side: Side, levels: Int): List[(Price, Lots)] =
    of(side).iterator.take(levels).map { case (p, q) => p -> Lots(q.iterator.map(_.open.count).sum) }.toList

  def submit(order: Order): (OrderBook, Vector[Event]) =
    if (order.open.count <= 0) (this, Vector(Rejected(order.id, "quantity must be positive")))
    else if (index.contains(order.id)) (this, Vector(Rejected(order.id, "duplicate order id")))
    else if (order.tif == TimeInForce.FillOrKill && available(order).count < order.open.count)
      (this, Vector(Rejected(order.id, "cannot be filled at once")))
    else {
      val (book, left, events) = matchAgainst(order, Vector(Accepted(order.id)))
      if (left.open.isZero) (book, events)
      else if (left.tif == TimeInForce.GoodTillCancel) (book.rest(left), events)
      else (book, events :+ Cancelled(left.id, left.open, "immediate or cancel"))
    }

  def cancel(id: OrderId): (OrderBook, Vector[Event]) = index.get(id) match {
    case None => (this, Vector(Rejected(id, "unknown order")))
    case Some((side, price)) =>
      val (gone, kept) = of(side)(price).partition(_.id == id)
      val next = withLevel(side, price, kept).copy(index = index - id)
      (next, gone.map(o => Cancelled(id, o.open, "on request")).toVector)
  }

  @tailrec
  private def matchAgainst(taker: Order, events: Vector[Event]): (OrderBook, Order, Vector[Event]) =
    of(taker.side.opposite).headOption match {
      case Some((price, queue)) if !taker.open.isZero && crosses(taker, price) =>
        val (maker, rest) = queue.dequeue
        if (maker.owner == taker.owner)
          // Self-trade prevention: the older order gives way.
          withLevel(maker.side, price, rest)
            .copy(index = index - maker.id)
            .matchAgainst(taker, events :+ Cancelled(maker.id, maker.open, "self trade"))
        else {
          val quantity = maker.open min taker.open
          val makerLeft = maker.copy(open = maker.open - quantity)
          val nextQueue = if (makerLeft.open.isZero) rest else makerLeft +: rest
          val nextIndex = if (makerLeft.open.isZero) index - maker.id else index
          withLevel(maker.side, price, nextQueue)
            .copy(index = nextIndex)
            .matchAgainst(
              taker.copy(open = taker.open - quantity),
              events :+ Traded(maker.id, taker.id, price, quantity)
            )
        }
      case _ => (this, taker, events)
    }

  private def available(taker: Order): Lots = Lots(
    of(taker.side.opposite).iterator
      .takeWhile { case (price, _) => crosses(taker, price) }
      .flatMap(_._2)
      .filterNot(_.owner == taker.owner)
      .map(_.open.count)
      .sum
  )

  private def rest(order: Order): OrderBook = {
    val queue = of(order.side).getOrElse(order.limit, Queue.empty).enqueue(order)
    withLevel(order.side, order.limit, queue).copy(index = index + (order.id -> (order.side -> order.limit)))
  }

  private def of(side: Side): Levels = if (side == Side.Buy) bids else asks

  private def withLevel(side: Side, price: Price, queue: Queue[Order]): OrderBook = {
    val levels = if (queue.isEmpty) of(side) - price else of(side).updated(price, queue)
    if (side == Side.Buy) copy(bids = levels) else copy(asks = levels)
  }
}

object OrderBook {
  type Levels = TreeMap[Price, Queue[Order]]

  /** Bids are kept highest first, so that the head is the best on both sides. */
  val empty: OrderBook = {
    val ascending: Ordering[Price] = Ordering.by(_.ticks)
    new OrderBook(TreeMap.empty(ascending.reverse), TreeMap.empty(ascending), Map.empty)
  }

  private def crosses(taker: Order, price: Price): Boolean =
    if (taker.side == Side.Buy) price <= taker.limit else price >= taker.limit
}
