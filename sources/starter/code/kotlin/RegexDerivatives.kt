package org.example.automata

/**
 * Regular expressions matched by Brzozowski derivatives: the derivative of a
 * language by a character `c` holds what may still follow after `c`. With
 * intersection and complement, and without any backtracking.
 */
sealed interface Re {
    data object Nothing : Re
    data object Empty : Re
    data class Chars(val set: CharClass) : Re
    data class Then(val first: Re, val second: Re) : Re
    data class Either(val options: Set<Re>) : Re
    data class Both(val parts: Set<Re>) : Re
    data class Many(val inner: Re) : Re
    data class Not(val inner: Re) : Re

    /** Does the language hold the empty string? */
    val nullable: Boolean
        get() = when (this) {
            Nothing, is Chars -> false
            Empty, is Many -> true
            is Then -> first.nullable && second.nullable
            is Either -> options.any(Re::nullable)
            is Both -> parts.all(Re::nullable)
            is Not -> !inner.nullable
        }

    fun derive(c: Char): Re = when (this) {
        Nothing, Empty -> Nothing
        is Chars -> if (c in set) Empty else Nothing
        is Then -> {
            val head = first.derive(c) then second
            if (first.nullable) head or second.derive(c) else head
        }
        is Either -> options.map { it.derive(c) }.reduce(Re::or)
        is Both -> parts.map { it.derive(c) }.reduce(Re::and)
        is Many -> inner.derive(c) then this
        is Not -> !inner.derive(c)
    }

    /** Characters that lie between two cuts lead to the same derivative. */
    fun cuts(): Set<Char> = when (this) {
        Nothing, Empty -> emptySet()
        is Chars -> set.cuts()
        is Then -> if (first.nullable) first.cuts() + second.cuts() else first.cuts()
        is Either -> options.flatMapTo(mutableSetOf(), Re::cuts)
        is Both -> parts.flatMapTo(mutableSetOf(), Re::cuts)
        is Many -> inner.cuts()
        is Not -> inner.cuts()
    }

    companion object {
        val anything: Re = Many(Chars(CharClass(listOf(Char.MIN_VALUE..Char.MAX_VALUE))))
        fun literal(s: String): Re = s.fold(Empty as Re) { acc, c -> acc then Chars(CharClass(listOf(c..c))) }
        fun range(r: CharRange): Re = Chars(CharClass(listOf(r)))
    }
}

data class CharClass(val ranges: List<CharRange>) {
    operator fun contains(c: Char) = ranges.any { c in it }
    fun cuts() = ranges.flatMapTo(mutableSetOf()) { r ->
        listOfNotNull(r.first, if (r.last == Char.MAX_VALUE) null else r.last + 1)
    }
}

// Smart constructors keep terms small. Without them the set of derivatives of an
// expression need not be finite and compilation would not end.

infix fun Re.then(next: Re): Re = when {
    this == Re.Nothing || next == Re.Nothing -> Re.Nothing
    this == Re.Empty -> next
    next == Re.Empty -> this
    this is Re.Then -> first then (second then next)
    else -> Re.Then(this, next)
}

infix fun Re.or(other: Re): Re {
    val options = (flattenOr(this) + flattenOr(other)) - Re.Nothing
    return when {
        Re.anything in options || Re.Not(Re.Nothing) in options -> Re.anything
        options.isEmpty() -> Re.Nothing
        else -> options.singleOrNull() ?: Re.Either(options)
    }
}

infix fun Re.and(other: Re): Re {
    val parts = (flattenAnd(this) + flattenAnd(other)) - Re.anything
    return when {
        Re.Nothing in parts -> Re.Nothing
        parts.isEmpty() -> Re.anything
        else -> parts.singleOrNull() ?: Re.Both(parts)
    }
}

operator fun Re.not(): Re = when (this) {
    is Re.Not -> inner
    Re.Nothing -> Re.anything
    Re.anything -> Re.Nothing
    else -> Re.Not(this)
}

fun Re.many(): Re = if (this is Re.Many || this == Re.Empty) this else Re.Many(this)
fun Re.atLeastOnce(): Re = this then many()
fun Re.optional(): Re = this or Re.Empty

private fun flattenOr(re: Re): Set<Re> = if (re is Re.Either) re.options else setOf(re)
private fun flattenAnd(re: Re): Set<Re> = if (re is Re.Both) re.parts else setOf(re)

/** A deterministic automaton whose states are the distinct derivatives. */
class Automaton private constructor(
    private val moves: List<java.util.TreeMap<Char, Int>>,
    private val accepting: Set<Int>,
) {
    val size: Int get() = moves.size

    fun matches(input: CharSequence): Boolean =
        input.fold(0) { state, c -> moves[state].floorEntry(c).value } in accepting

    companion object {
        fun compile(re: Re): Automaton {
            val numbers = linkedMapOf(re to 0)
            val moves = mutableListOf<java.util.TreeMap<Char, Int>>()
            val queue = ArrayDeque(listOf(re))
            while (queue.isNotEmpty()) {
                val state = queue.removeFirst()
                val row = java.util.TreeMap<Char, Int>()
                for (cut in state.cuts() + Char.MIN_VALUE) {
                    val next = state.derive(cut)
                    row[cut] = numbers.getOrPut(next) { queue.addLast(next); numbers.size }
                }
                moves += row
            }
            return Automaton(moves, numbers.filterKeys(Re::nullable).values.toSet())
        }
    }
}

fun main() {
    val letter = Re.range('a'..'z') or Re.range('A'..'Z')
    val digit = Re.range('0'..'9')
    // A password rule: letters and digits, at least one of each, never "abc".
    val rule = (letter or digit).atLeastOnce() and
        (Re.anything then digit then Re.anything) and
        (Re.anything then letter then Re.anything) and
        !(Re.anything then Re.literal("abc") then Re.anything)
    val automaton = Automaton.compile(rule)
    println("${automaton.size} states")
    listOf("a1", "letters", "12abc", "ab1c", "").forEach { println("%-8s %s".format(it, automaton.matches(it))) }
}
