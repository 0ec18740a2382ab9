/**
 * Dimensional analysis in the type system. A quantity carries the exponents of
 * its base dimensions as a tuple type, so adding metres to seconds is a compile
 * error, and dividing them yields something the compiler knows to be a speed.
 *
 * Exponents are limited to -4..4, which is ample for engineering formulae.
 */

type Exponent = -4 | -3 | -2 | -1 | 0 | 1 | 2 | 3 | 4;

/** Exponents of [length, mass, time]. */
type Dimension = readonly [Exponent, Exponent, Exponent];

interface Successor { "-4": -3; "-3": -2; "-2": -1; "-1": 0; "0": 1; "1": 2; "2": 3; "3": 4; "4": never }
interface Predecessor { "-4": never; "-3": -4; "-2": -3; "-1": -2; "0": -1; "1": 0; "2": 1; "3": 2; "4": 3 }
interface Negated { "-4": 4; "-3": 3; "-2": 2; "-1": 1; "0": 0; "1": -1; "2": -2; "3": -3; "4": -4 }

type Inc<E extends Exponent> = Successor[`${E}`];
type Dec<E extends Exponent> = Predecessor[`${E}`];
type Neg<E extends Exponent> = Negated[`${E}`];

/** Adds by walking the second operand towards zero, one step per recursion. */
type Add<A extends Exponent, B extends Exponent> =
  B extends 0 ? A
  : B extends 1 | 2 | 3 | 4 ? Inc<A> extends infer A1 extends Exponent ? Add<A1, Dec<B>> : never
  : Dec<A> extends infer A1 extends Exponent ? Add<A1, Inc<B>> : never;

type Times<P extends Dimension, Q extends Dimension> =
  readonly [Add<P[0], Q[0]>, Add<P[1], Q[1]>, Add<P[2], Q[2]>];

type Inverse<D extends Dimension> = readonly [Neg<D[0]>, Neg<D[1]>, Neg<D[2]>];

type Over<P extends Dimension, Q extends Dimension> = Times<P, Inverse<Q>>;

declare const dimension: unique symbol;

/** The value is always held in coherent SI units; only the type remembers which. */
export class Quantity<D extends Dimension> {
  declare readonly [dimension]: D;

  private constructor(readonly si: number) {}

  static of<D extends Dimension>(si: number): Quantity<D> {
    return new Quantity<D>(si);
  }

  plus(other: Quantity<D>): Quantity<D> {
    return new Quantity<D>(this.si + other.si);
  }

  minus(other: Quantity<D>): Quantity<D> {
    return new Quantity<D>(this.si - other.si);
  }

  scaledBy(factor: number): Quantity<D> {
    return new Quantity<D>(this.si * factor);
  }

  times<E extends Dimension>(other: Quantity<E>): Quantity<Times<D, E>> {
    return new Quantity<Times<D, E>>(this.si * other.si);
  }

  over<E extends Dimension>(other: Quantity<E>): Quantity<Over<D, E>> {
    return new Quantity<Over<D, E>>(this.si / other.si);
  }

  compareTo(other: Quantity<D>): number {
    return Math.sign(this.si - other.si);
  }

  in(unit: Unit<D>): number {
    return this.si / unit.factor;
  }
}

export type Length = readonly [1, 0, 0];
export type Area = readonly [2, 0, 0];
export type Mass = readonly [0, 1, 0];
export type Time = readonly [0, 0, 1];
export type Speed = readonly [1, 0, -1];
export type Acceleration = readonly [1, 0, -2];
export type Force = readonly [1, 1, -2];
export type Energy = readonly [2, 1, -2];
export type Pressure = readonly [-1, 1, -2];

interface Unit<D extends Dimension> {
  (value: number): Quantity<D>;
  readonly factor: number;
  readonly symbol: string;
}

function unit<D extends Dimension>(symbol: string, factor: number): Unit<D> {
  return Object.assign((value: number) => Quantity.of<D>(value * factor), { symbol, factor });
}

export const metres = unit<Length>("m", 1);
export const kilometres = unit<Length>("km", 1000);
export const nauticalMiles = unit<Length>("nmi", 1852);
export const kilograms = unit<Mass>("kg", 1);
export const tonnes = unit<Mass>("t", 1000);
export const seconds = unit<Time>("s", 1);
export const hours = unit<Time>("h", 3600);
export const knots = unit<Speed>("kn", 1852 / 3600);
export const newtons = unit<Force>("N", 1);
export const kilojoules = unit<Energy>("kJ", 1000);
export const bars = unit<Pressure>("bar", 1e5);

export const standardGravity = Quantity.of<Acceleration>(9.806_65);

export function format<D extends Dimension>(q: Quantity<D>, as: Unit<D>, digits = 2): string {
  return `${q.in(as).toFixed(digits)} ${as.symbol}`;
}

/** Kinetic energy; the return type is checked against the product, not asserted. */
export function kineticEnergy(mass: Quantity<Mass>, speed: Quantity<Speed>): Quantity<Energy> {
  return mass.times(speed).times(speed).scaledBy(0.5);
}

export function bearingPressure(load: Quantity<Mass>, footprint: Quantity<Area>): Quantity<Pressure> {
  return load.times(standardGravity).over(footprint);
}

const passage = nauticalMiles(126).over(hours(14));
console.log(format(passage, knots)); // 9.00 kn
console.log(format(kineticEnergy(tonnes(38), passage), kilojoules, 1));
console.log(format(bearingPressure(tonnes(38), metres(6).times(metres(0.4))), bars));

// @ts-expect-error a distance and a duration have no sum
metres(3).plus(seconds(4));

// @ts-expect-error a speed cannot be expressed in kilograms
passage.in(kilograms);
