package org.example.lift

import java.util.PriorityQueue
import kotlin.math.abs
import kotlin.math.ln
import kotlin.random.Random

/** Discrete-event simulation of a bank of lifts, to compare dispatching policies. */
typealias Seconds = Double

data class Passenger(val id: Int, val from: Int, val to: Int, val calledAt: Seconds) {
    var boardedAt: Seconds = Double.NaN
    var arrivedAt: Seconds = Double.NaN
}

enum class Direction(val step: Int) { UP(1), DOWN(-1), IDLE(0) }

class Lift(val name: String, val capacity: Int, var floor: Int = 0) {
    val riders = mutableListOf<Passenger>()
    val assigned = mutableListOf<Passenger>()
    var direction = Direction.IDLE

    private val targets get() = riders.map(Passenger::to) + assigned.map(Passenger::from)

    /** Collective control: keep going while something lies ahead, then turn. */
    fun chooseDirection() {
        val ahead = { d: Direction -> targets.any { (it - floor) * d.step > 0 } }
        direction = when {
            targets.isEmpty() -> Direction.IDLE
            direction != Direction.IDLE && ahead(direction) -> direction
            ahead(Direction.UP) -> Direction.UP
            ahead(Direction.DOWN) -> Direction.DOWN
            else -> Direction.IDLE
        }
    }

    fun mustStop(): Boolean = targets.any { it == floor }
}

fun interface Policy {
    fun choose(lifts: List<Lift>, caller: Passenger): Lift
}

object Policies {
    val nearest = Policy { lifts, caller -> lifts.minBy { abs(it.floor - caller.from) } }

    /** Counts the stops and the detour that the caller would have to sit through. */
    val leastEffort = Policy { lifts, caller ->
        lifts.minBy { lift ->
            val approaching = lift.direction.step * (caller.from - lift.floor) >= 0
            val detour = if (approaching) 0 else 12
            abs(lift.floor - caller.from) + 3 * (lift.riders.size + lift.assigned.size) + detour
        }
    }

    /** Every lift serves a band of floors of its own; the lobby goes by destination. */
    fun zoned(floors: Int) = Policy { lifts, caller ->
        val upper = maxOf(caller.from, caller.to)
        lifts[(upper - 1) * lifts.size / floors]
    }
}

class Building(val floors: Int, private val lifts: List<Lift>, private val policy: Policy) {
    private sealed interface Event {
        val at: Seconds
        data class Call(override val at: Seconds, val who: Passenger) : Event
        data class Arrives(override val at: Seconds, val lift: Lift) : Event
        data class DoorsClosed(override val at: Seconds, val lift: Lift) : Event
    }

    private val agenda = PriorityQueue<Event>(compareBy { it.at })
    private val delivered = mutableListOf<Passenger>()

    fun run(traffic: Sequence<Passenger>): List<Passenger> {
        traffic.forEach { agenda += Event.Call(it.calledAt, it) }
        generateSequence { agenda.poll() }.forEach { event ->
            when (event) {
                is Event.Call -> assign(event.who, event.at)
                is Event.Arrives -> stopOrPass(event.lift, event.at)
                is Event.DoorsClosed -> depart(event.lift, event.at)
            }
        }
        return delivered
    }

    private fun assign(caller: Passenger, now: Seconds) {
        val lift = policy.choose(lifts, caller)
        val asleep = lift.direction == Direction.IDLE && lift.riders.isEmpty() && lift.assigned.isEmpty()
        lift.assigned += caller
        if (asleep) if (lift.floor == caller.from) stopOrPass(lift, now) else depart(lift, now)
    }

    private fun depart(lift: Lift, now: Seconds) {
        lift.chooseDirection()
        // Somebody may have called from this very floor while the doors were closing.
        if (lift.direction == Direction.IDLE) return if (lift.mustStop()) stopOrPass(lift, now) else Unit
        lift.floor += lift.direction.step
        agenda += Event.Arrives(now + FLOOR_TIME, lift)
    }

    private fun stopOrPass(lift: Lift, now: Seconds) {
        if (!lift.mustStop()) return depart(lift, now)
        val leaving = lift.riders.filter { it.to == lift.floor }.onEach { it.arrivedAt = now + DOOR_TIME }
        lift.riders -= leaving.toSet()
        delivered += leaving

        val room = lift.capacity - lift.riders.size
        val (entering, leftBehind) = lift.assigned.filter { it.from == lift.floor }.let { it.take(room) to it.drop(room) }
        entering.forEach { it.boardedAt = now + DOOR_TIME }
        lift.assigned -= entering.toSet() + leftBehind
        lift.riders += entering
        // Those who did not fit press the button again after the doors have closed.
        val doorsClosed = now + DOOR_TIME + TRANSFER_TIME * (leaving.size + entering.size)
        leftBehind.forEach { agenda += Event.Call(doorsClosed + 5.0, it) }
        agenda += Event.DoorsClosed(doorsClosed, lift)
    }

    private companion object {
        const val FLOOR_TIME: Seconds = 2.4
        const val DOOR_TIME: Seconds = 3.0
        const val TRANSFER_TIME: Seconds = 1.1
    }
}

/** Poisson arrivals: most people ride up from the lobby, some move between floors. */
fun morningPeak(floors: Int, perMinute: Double, length: Seconds, random: Random): Sequence<Passenger> = sequence {
    var now = 0.0
    var id = 0
    while (true) {
        now += -ln(1 - random.nextDouble()) * 60 / perMinute
        if (now > length) break
        val from = if (random.nextDouble() < 0.85) 0 else random.nextInt(1, floors)
        val to = (0 until floors).filter { it != from }.random(random)
        yield(Passenger(id++, from, to, now))
    }
}

fun List<Double>.percentile(p: Double): Double = sorted()[(p * (size - 1)).toInt()]

fun main() {
    val floors = 18
    val policies = mapOf("nearest" to Policies.nearest, "least effort" to Policies.leastEffort, "zoned" to Policies.zoned(floors))
    for ((name, policy) in policies) {
        val lifts = List(4) { Lift("L${it + 1}", capacity = 10) }
        val served = Building(floors, lifts, policy).run(morningPeak(floors, 14.0, 3600.0, Random(7)))
        val waits = served.map { it.boardedAt - it.calledAt }
        println("%-13s served %4d  wait median %5.1f s  p95 %6.1f s".format(name, served.size, waits.percentile(0.5), waits.percentile(0.95)))
    }
}
