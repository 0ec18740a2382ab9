package org.example.units

import scala.annotation.targetName
import scala.compiletime.ops.int.{+, -}

/** Physical quantities whose dimension is checked by the compiler.
  *
  * The dimension is a triple of integer literal types (length, time, mass). The
  * value itself is an opaque `Double`: no boxing, no run-time dimension.
  */
object quantity:
  opaque type Quantity[L <: Int, T <: Int, M <: Int] = Double

  type Scalar = Quantity[0, 0, 0]
  type Length = Quantity[1, 0, 0]
  type Area = Quantity[2, 0, 0]
  type Volume = Quantity[3, 0, 0]
  type Time = Quantity[0, 1, 0]
  type Mass = Quantity[0, 0, 1]
  type Speed = Quantity[1, -1, 0]
  type Acceleration = Quantity[1, -2, 0]
  type Force = Quantity[1, -2, 1]
  type Energy = Quantity[2, -2, 1]
  type Power = Quantity[2, -3, 1]
  type Density = Quantity[-3, 0, 1]

  def scalar(x: Double): Scalar = x
  def metres(x: Double): Length = x
  def seconds(x: Double): Time = x
  def kilograms(x: Double): Mass = x

  extension [L <: Int, T <: Int, M <: Int](a: Quantity[L, T, M])
    @targetName("plus") def +(b: Quantity[L, T, M]): Quantity[L, T, M] = a + b
    @targetName("minus") def -(b: Quantity[L, T, M]): Quantity[L, T, M] = a - b

    @targetName("times")
    def *[L2 <: Int, T2 <: Int, M2 <: Int](b: Quantity[L2, T2, M2]): Quantity[L + L2, T + T2, M + M2] = a * b

    @targetName("over")
    def /[L2 <: Int, T2 <: Int, M2 <: Int](b: Quantity[L2, T2, M2]): Quantity[L - L2, T - T2, M - M2] = a / b

    def scaled(k: Double): Quantity[L, T, M] = a * k

    /** The bare number in coherent SI units; the only way out of the type. */
    def si: Double = a

    def in(unit: Quantity[L, T, M]): Double = a / unit
    def abs: Quantity[L, T, M] = math.abs(a)

  given [L <: Int, T <: Int, M <: Int]: Ordering[Quantity[L, T, M]] = Ordering.Double.TotalOrdering

  given [L <: Int, T <: Int, M <: Int]: Numeric0[Quantity[L, T, M]] with
    def zero: Quantity[L, T, M] = 0.0
    def add(a: Quantity[L, T, M], b: Quantity[L, T, M]): Quantity[L, T, M] = a + b

/** The part of `Numeric` that makes sense for a quantity with a dimension. */
trait Numeric0[A]:
  def zero: A
  def add(a: A, b: A): A

object units:
  import quantity.*

  extension (x: Double)
    def m: Length = metres(x)
    def km: Length = metres(x * 1e3)
    def s: Time = seconds(x)
    def h: Time = seconds(x * 3600)
    def kg: Mass = kilograms(x)
    def tonnes: Mass = kilograms(x * 1e3)
    def kmh: Speed = metres(x * 1e3) / seconds(3600)
    def kW: Power = kilograms(x * 1e3) * metres(1) * metres(1) / (seconds(1) * seconds(1) * seconds(1))

  val kWh: Energy = 1.0.kW * 1.0.h
  val standardGravity: Acceleration = metres(9.80665) / (seconds(1) * seconds(1))

  extension [A](xs: Iterable[A])
    def total[Q](f: A => Q)(using n: Numeric0[Q]): Q = xs.iterator.map(f).foldLeft(n.zero)(n.add)

/** Energy use of a train on a line, from rolling resistance, drag and climbing. */
object railway:
  import quantity.*
  import units.*

  final case class Train(
      mass: Mass,
      frontal: Area,
      dragCoefficient: Double,
      rollingCoefficient: Double,
      driveEfficiency: Double,
      recuperation: Double
  )

  /** A stretch at constant speed; `rise` is negative downhill. */
  final case class Stretch(length: Length, rise: Length, speed: Speed)

  private val airDensity: Density = kilograms(1.2) / (metres(1) * metres(1) * metres(1))

  def resistance(train: Train, speed: Speed): Force =
    val rolling: Force = (train.mass * standardGravity).scaled(train.rollingCoefficient)
    val drag: Force = (airDensity * train.frontal * speed * speed).scaled(train.dragCoefficient / 2)
    rolling + drag

  def energy(train: Train, stretch: Stretch): Energy =
    val friction: Energy = resistance(train, stretch.speed) * stretch.length
    val climbing: Energy = train.mass * standardGravity * stretch.rise
    val atWheel = friction + climbing
    if atWheel.si >= 0 then atWheel.scaled(1 / train.driveEfficiency)
    else atWheel.scaled(train.recuperation * train.driveEfficiency)

  def power(train: Train, stretch: Stretch): Power =
    energy(train, stretch) / duration(stretch)

  def duration(stretch: Stretch): Time = stretch.length / stretch.speed

  // Does not compile: `train.mass + stretch.length`, nor `val p: Power = resistance(train, v)`.

@main def branchLine(): Unit =
  import quantity.*
  import units.*
  import railway.*

  val unit = Train(110.0.tonnes, 9.5.m * 1.0.m, 0.8, 0.0015, 0.85, 0.7)
  val line = List(
    Stretch(6.2.km, 41.0.m, 80.0.kmh),
    Stretch(3.5.km, 0.0.m, 120.0.kmh),
    Stretch(7.9.km, -63.0.m, 100.0.kmh)
  )

  val used: Energy = line.total(energy(unit, _))
  val minutes = line.total(duration).in(60.0.s)
  val hardest = line.maxBy(power(unit, _).si)
  println(f"energy   ${used.in(kWh)}%8.1f kWh")
  println(f"duration $minutes%8.1f min")
  println(f"peak     ${power(unit, hardest).in(1.0.kW)}%8.0f kW over ${hardest.length.in(1.0.km)}%.1f km")
