package org.example.tracking

import kotlin.math.hypot
import kotlin.math.sqrt

/** A small dense matrix of doubles. Sizes are checked, storage is row-major. */
class Matrix private constructor(val rows: Int, val columns: Int, private val cells: DoubleArray) {
    operator fun get(r: Int, c: Int): Double = cells[r * columns + c]

    operator fun plus(other: Matrix) = zip(other) { a, b -> a + b }
    operator fun minus(other: Matrix) = zip(other) { a, b -> a - b }

    operator fun times(other: Matrix): Matrix {
        require(columns == other.rows) { "cannot multiply ${shape()} by ${other.shape()}" }
        return build(rows, other.columns) { r, c ->
            var sum = 0.0
            for (k in 0 until columns) sum += this[r, k] * other[k, c]
            sum
        }
    }

    operator fun times(scale: Double) = build(rows, columns) { r, c -> this[r, c] * scale }

    val transposed: Matrix get() = build(columns, rows) { r, c -> this[c, r] }

    /** Gauss-Jordan with partial pivoting; returns null for a singular matrix. */
    fun inverse(): Matrix? {
        require(rows == columns) { "${shape()} is not square" }
        val n = rows
        val left = Array(n) { r -> DoubleArray(n) { c -> this[r, c] } }
        val right = Array(n) { r -> DoubleArray(n) { c -> if (r == c) 1.0 else 0.0 } }
        for (i in 0 until n) {
            val pivot = (i until n).maxBy { kotlin.math.abs(left[it][i]) }
            if (kotlin.math.abs(left[pivot][i]) < 1e-12) return null
            left.swap(i, pivot)
            right.swap(i, pivot)
            val factor = 1 / left[i][i]
            for (c in 0 until n) {
                left[i][c] *= factor
                right[i][c] *= factor
            }
            for (r in 0 until n) {
                if (r == i) continue
                val f = left[r][i]
                for (c in 0 until n) {
                    left[r][c] -= f * left[i][c]
                    right[r][c] -= f * right[i][c]
                }
            }
        }
        return build(n, n) { r, c -> right[r][c] }
    }

    private inline fun zip(other: Matrix, op: (Double, Double) -> Double): Matrix {
        require(rows == other.rows && columns == other.columns) { "${shape()} and ${other.shape()} differ" }
        return build(rows, columns) { r, c -> op(this[r, c], other[r, c]) }
    }

    private fun shape() = "$rows x $columns"

    companion object {
        inline fun build(rows: Int, columns: Int, cell: (Int, Int) -> Double): Matrix =
            of(rows, columns, DoubleArray(rows * columns) { cell(it / columns, it % columns) })

        @PublishedApi
        internal fun of(rows: Int, columns: Int, cells: DoubleArray) = Matrix(rows, columns, cells)

        fun identity(n: Int) = diagonal(DoubleArray(n) { 1.0 })
        fun diagonal(d: DoubleArray) = build(d.size, d.size) { r, c -> if (r == c) d[r] else 0.0 }
        fun column(vararg d: Double) = build(d.size, 1) { r, _ -> d[r] }
        fun rows(vararg rows: DoubleArray) = build(rows.size, rows[0].size) { r, c -> rows[r][c] }
    }
}

private fun <T> Array<T>.swap(i: Int, j: Int) {
    this[i] = this[j].also { this[j] = this[i] }
}

private fun row(vararg d: Double) = d

data class Fix(val time: Double, val east: Double, val north: Double, val accuracy: Double)

data class Estimate(val east: Double, val north: Double, val speed: Double, val radius: Double, val accepted: Boolean)

/**
 * Smooths GPS fixes of a moving vehicle with a constant-velocity Kalman filter.
 * The state is (east, north, velocity east, velocity north), in metres and m/s.
 *
 * Fixes whose innovation is implausibly large (multipath between tall buildings)
 * are skipped, but not for ever: after [patience] of them in a row the filter
 * accepts that the vehicle really is somewhere else and starts afresh.
 */
class KalmanTracker(
    private val acceleration: Double = 1.5,
    private val gate: Double = 9.21, // 99 % of a chi-square with two degrees of freedom
    private val patience: Int = 4,
) {
    private var time = Double.NaN
    private var state = Matrix.column(0.0, 0.0, 0.0, 0.0)
    private var covariance = Matrix.identity(4)
    private var rejected = 0

    fun update(fix: Fix): Estimate {
        if (time.isNaN()) return restart(fix)
        require(fix.time > time) { "fixes must be in order: ${fix.time} after $time" }
        predict(fix.time - time)
        time = fix.time

        val innovation = Matrix.column(fix.east, fix.north) - OBSERVE * state
        val noise = Matrix.identity(2) * (fix.accuracy * fix.accuracy)
        val spread = OBSERVE * covariance * OBSERVE.transposed + noise
        val inverse = spread.inverse() ?: return estimate(accepted = false)

        val distance = (innovation.transposed * inverse * innovation)[0, 0]
        if (distance > gate) {
            return if (++rejected >= patience) restart(fix) else estimate(accepted = false)
        }
        rejected = 0
        val gain = covariance * OBSERVE.transposed * inverse
        val keep = Matrix.identity(4) - gain * OBSERVE
        state += gain * innovation
        // Joseph form: stays symmetric and positive despite rounding.
        covariance = keep * covariance * keep.transposed + gain * noise * gain.transposed
        return estimate(accepted = true)
    }

    private fun predict(dt: Double) {
        val move = Matrix.build(4, 4) { r, c -> if (r == c) 1.0 else if (c == r + 2) dt else 0.0 }
        val push = Matrix.rows(row(dt * dt / 2, 0.0), row(0.0, dt * dt / 2), row(dt, 0.0), row(0.0, dt))
        state = move * state
        covariance = move * covariance * move.transposed + push * push.transposed * (acceleration * acceleration)
    }

    private fun restart(fix: Fix): Estimate {
        val variance = fix.accuracy * fix.accuracy
        time = fix.time
        rejected = 0
        state = Matrix.column(fix.east, fix.north, 0.0, 0.0)
        covariance = Matrix.diagonal(doubleArrayOf(variance, variance, 400.0, 400.0))
        return estimate(accepted = true)
    }

    private fun estimate(accepted: Boolean) = Estimate(
        state[0, 0], state[1, 0], hypot(state[2, 0], state[3, 0]), sqrt(covariance[0, 0] + covariance[1, 1]), accepted,
    )

    private companion object {
        val OBSERVE = Matrix.rows(row(1.0, 0.0, 0.0, 0.0), row(0.0, 1.0, 0.0, 0.0))
    }
}
