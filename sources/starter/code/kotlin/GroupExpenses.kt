package org.example.expenses

import java.io.BufferedReader
import java.math.BigDecimal
import java.math.RoundingMode.DOWN
import kotlin.system.exitProcess

/**
 * Settles the shared costs of a trip.
 *
 * Reads lines such as
 * ```
 * ada paid 84.00 for hut            # split between everybody
 * ben paid 31.50 for petrol between ben, cem
 * cem paid 120 for tickets between ada x2, ben, cem
 * dora joins
 * ```
 * and prints who has to pay whom, in as few transfers as the greedy method finds.
 */
@JvmInline
value class Person(val name: String) : Comparable<Person> {
    override fun compareTo(other: Person) = name.compareTo(other.name)
    override fun toString() = name.replaceFirstChar(Char::titlecase)
}

sealed interface Entry {
    data class Joins(val who: Person) : Entry

    /** Null shares: everybody who takes part, once each. */
    data class Expense(val payer: Person, val amount: BigDecimal, val what: String, val shares: Map<Person, Int>?) : Entry
}

data class Transfer(val from: Person, val to: Person, val amount: BigDecimal)

class SyntaxError(line: Int, reason: String) : Exception("line $line: $reason")

// --- Reading -----------------------------------------------------------------

private val expensePattern = Regex("""(?<payer>\w+) paid (?<amount>\d+(?:\.\d{1,2})?) for (?<what>.+?)(?: between (?<shares>.+))?""")
private val joinsPattern = Regex("""(?<who>\w+) joins""")
private val sharePattern = Regex("""(?<who>\w+)(?: x(?<weight>[1-9]\d*))?""")

private operator fun MatchResult.get(group: String): String? = groups[group]?.value

private fun String.person() = Person(lowercase())

fun parseEntry(number: Int, line: String): Entry? {
    val text = line.substringBefore('#').trim()
    if (text.isEmpty()) return null

    joinsPattern.matchEntire(text)?.let { return Entry.Joins(it["who"]!!.person()) }
    val match = expensePattern.matchEntire(text)
        ?: throw SyntaxError(number, "expected 'NAME paid AMOUNT for WHAT [between NAMES]', got '$text'")

    val shares = match["shares"]?.split(',')?.map(String::trim)?.map { share ->
        val m = sharePattern.matchEntire(share) ?: throw SyntaxError(number, "'$share' is not a share")
        m["who"]!!.person() to (m["weight"]?.toInt() ?: 1)
    }
    shares?.groupingBy { it.first }?.eachCount()?.entries?.firstOrNull { it.value > 1 }?.let { (who, _) ->
        throw SyntaxError(number, "$who is named twice; write '${who.name} x2'")
    }
    return Entry.Expense(match["payer"]!!.person(), match["amount"]!!.toBigDecimal(), match["what"]!!, shares?.toMap())
}

fun BufferedReader.entries(): List<Entry> =
    lineSequence().mapIndexedNotNull { i, line -> parseEntry(i + 1, line) }.toList()

// --- Accounting --------------------------------------------------------------

/**
 * Divides an amount by weight without losing a cent: everyone gets their part
 * rounded down, and the cents left over go to the largest remainders.
 */
fun BigDecimal.splitBy(weights: Map<Person, Int>): Map<Person, BigDecimal> {
    val cent = BigDecimal("0.01")
    val whole = weights.values.sum().toBigDecimal()
    val exact = weights.mapValues { (_, w) -> multiply(w.toBigDecimal()).divide(whole, 10, DOWN) }
    val floored = exact.mapValues { (_, v) -> v.setScale(2, DOWN) }
    val missing = (setScale(2) - floored.values.sumOf { it }).divide(cent).toInt()
    val lucky = exact.keys.sortedWith(compareByDescending<Person> { exact.getValue(it) - floored.getValue(it) }.thenBy { it })
        .take(missing).toSet()
    return floored.mapValues { (who, v) -> if (who in lucky) v + cent else v }
}

class Ledger(entries: List<Entry>) {
    val people: Set<Person> = buildSet {
        for (entry in entries) when (entry) {
            is Entry.Joins -> add(entry.who)
            is Entry.Expense -> {
                add(entry.payer)
                entry.shares?.keys?.let(::addAll)
            }
        }
    }.toSortedSet()

    /** Positive: the group owes them. Negative: they owe the group. */
    val balances: Map<Person, BigDecimal> = people.associateWith { BigDecimal.ZERO.setScale(2) }.toMutableMap().apply {
        for (expense in entries.filterIsInstance<Entry.Expense>()) {
            merge(expense.payer, expense.amount, BigDecimal::add)
            expense.amount.splitBy(expense.shares ?: people.associateWith { 1 }).forEach { (who, part) ->
                merge(who, part.negate(), BigDecimal::add)
            }
        }
        check(values.sumOf { it }.signum() == 0) { "the books do not balance" }
    }

    /** The largest debtor pays the largest creditor until nothing is left. */
    fun settle(): List<Transfer> {
        val open = balances.filterValues { it.signum() != 0 }.toMutableMap()
        return generateSequence {
            val creditor = open.maxByOption { it.value } ?: return@generateSequence null
            val debtor = open.minBy { it.value }
            val amount = creditor.value.min(debtor.value.negate())
            Transfer(debtor.key, creditor.key, amount).also {
                open.adjust(it.from, amount)
                open.adjust(it.to, amount.negate())
            }
        }.toList()
    }

    private fun MutableMap<Person, BigDecimal>.adjust(who: Person, by: BigDecimal) {
        computeIfPresent(who) { _, old -> (old + by).takeIf { it.signum() != 0 } }
    }
}

private fun <K, V : Comparable<V>> Map<K, V>.maxByOption(by: (Map.Entry<K, V>) -> V) = entries.maxByOrNull(by)

fun main() {
    runCatching { System.`in`.bufferedReader().entries() }
        .mapCatching(::Ledger)
        .onSuccess { ledger ->
            val width = ledger.people.maxOfOrNull { it.name.length } ?: 0
            ledger.balances.forEach { (who, balance) -> println("%-${width}s %10s".format(who, balance.toPlainString())) }
            println()
            ledger.settle().forEach { (from, to, amount) -> println("$from pays $to ${amount.toPlainString()}") }
        }
        .onFailure { problem ->
            System.err.println(problem.message)
            exitProcess(1)
        }
}
