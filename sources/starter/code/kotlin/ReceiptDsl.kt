package org.example.pos

import java.io.ByteArrayOutputStream
import java.nio.charset.Charset

/**
 * A builder for thermal printer receipts in the ESC/POS command set.
 *
 * ```
 * val bytes = receipt(width = 32) {
 *     header { +"Corner Bakery" }
 *     items { "Rye bread" x 2 at 340; "Roll" x 6 at 45 }
 *     rule('=')
 *     barcode("4006381333931")
 *     cut()
 * }
 * ```
 */
@DslMarker
annotation class ReceiptDsl

/** Printer primitives. Only this class knows the byte sequences. */
internal class EscPos(charset: String = "IBM850") {
    private val out = ByteArrayOutputStream()
    private val charset = Charset.forName(charset)

    init {
        command(ESC, '@'.code)
        command(ESC, 't'.code, 2) // code page 850
    }

    fun command(vararg bytes: Int) = bytes.forEach(out::write)
    fun text(s: String) = out.write(s.toByteArray(charset))
    fun line(s: String) = text(s + '\n')
    fun bytes(): ByteArray = out.toByteArray()

    companion object {
        const val ESC = 0x1B
        const val GS = 0x1D
    }
}

enum class Alignment(val code: Int) { LEFT(0), CENTER(1), RIGHT(2) }

@JvmInline
value class Cents(val value: Long) : Comparable<Cents> {
    operator fun plus(other: Cents) = Cents(value + other.value)
    operator fun times(n: Int) = Cents(value * n)
    override fun compareTo(other: Cents) = value.compareTo(other.value)
    override fun toString() = "%s%d.%02d".format(if (value < 0) "-" else "", Math.abs(value) / 100, Math.abs(value) % 100)
}

@ReceiptDsl
class Style internal constructor(private val printer: EscPos) {
    operator fun String.unaryPlus() = printer.line(this)

    fun bold(block: Style.() -> Unit) = toggled(0x45, block)
    fun underlined(block: Style.() -> Unit) = toggled(0x2D, block)

    fun doubled(block: Style.() -> Unit) = around(block, intArrayOf(EscPos.GS, '!'.code), on = 0x11)

    private fun toggled(code: Int, block: Style.() -> Unit) = around(block, intArrayOf(EscPos.ESC, code), on = 1)

    private fun around(block: Style.() -> Unit, prefix: IntArray, on: Int) {
        printer.command(*prefix, on)
        block()
        printer.command(*prefix, 0)
    }
}

/** Collects lines first, so that the columns can be aligned to the longest amount. */
@ReceiptDsl
class Items internal constructor() {
    internal data class Line(val name: String, val quantity: Int, var unit: Cents) {
        val amount: Cents get() = unit * quantity
    }

    internal val lines = mutableListOf<Line>()

    inner class Quantified internal constructor(private val index: Int) {
        infix fun at(cents: Int) {
            lines[index].unit = Cents(cents.toLong())
        }
    }

    infix fun String.x(quantity: Int): Quantified {
        require(quantity != 0) { "quantity of '$this' is zero" }
        lines += Line(this, quantity, Cents(0))
        return Quantified(lines.lastIndex)
    }

    fun discount(label: String, cents: Int) {
        lines += Line(label, 1, Cents(-cents.toLong()))
    }

    internal val total: Cents get() = lines.fold(Cents(0)) { sum, line -> sum + line.amount }
}

@ReceiptDsl
class Receipt internal constructor(private val width: Int) {
    private val printer = EscPos()

    fun header(block: Style.() -> Unit) = aligned(Alignment.CENTER) { bold { doubled(block) } }

    fun aligned(alignment: Alignment, block: Style.() -> Unit) {
        printer.command(EscPos.ESC, 'a'.code, alignment.code)
        Style(printer).block()
        printer.command(EscPos.ESC, 'a'.code, Alignment.LEFT.code)
    }

    fun rule(char: Char = '-') = line(char.toString().repeat(width))

    fun items(block: Items.() -> Unit): Cents {
        val items = Items().apply(block)
        val column = items.lines.maxOfOrNull { it.amount.toString().length } ?: 0
        for (item in items.lines) {
            val label = if (item.quantity == 1) item.name else "${item.quantity} x ${item.name}"
            // Long names wrap; the amount stays on the last row.
            val rows = label.chunked(width - column - 1)
            rows.dropLast(1).forEach(::line)
            line(rows.last().padEnd(width - column) + item.amount.toString().padStart(column))
        }
        rule()
        val total = "TOTAL".padEnd(width - 12) + items.total.toString().padStart(12)
        aligned(Alignment.LEFT) { bold { +total } }
        return items.total
    }

    fun barcode(ean13: String) {
        val digits = ean13.map { it.digitToIntOrNull() ?: throw IllegalArgumentException("not a digit: $it") }
        require(digits.size == 13) { "EAN-13 has 13 digits, got ${digits.size}" }
        val check = (10 - digits.dropLast(1).mapIndexed { i, d -> if (i % 2 == 0) d else 3 * d }.sum() % 10) % 10
        require(check == digits.last()) { "check digit should be $check" }
        printer.command(EscPos.GS, 'k'.code, 67, 13)
        printer.line(ean13)
    }

    fun cut() = printer.command(EscPos.GS, 'V'.code, 66, 3)

    private fun line(s: String) = printer.line(s)

    internal fun bytes() = printer.bytes()
}

fun receipt(width: Int = 42, block: Receipt.() -> Unit): ByteArray = Receipt(width).apply(block).bytes()
