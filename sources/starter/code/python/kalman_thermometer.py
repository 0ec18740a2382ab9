"""Fuse two drifting thermometers with a Kalman filter, using plain lists.

The state is ``[temperature, rate of change, offset of sensor B]``. Sensor A is
unbiased but noisy, sensor B is quiet but reads too high by an unknown, slowly
varying amount. Run as a script, the module simulates an oven and reports how much
each estimate is off.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

Matrix = list[list[float]]


def dot(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(x * y for x, y in zip(a, b, strict=True))


def matmul(a: Matrix, b: Matrix) -> Matrix:
    columns = list(zip(*b, strict=True))
    return [[dot(row, column) for column in columns] for row in a]


def transpose(a: Matrix) -> Matrix:
    return [list(column) for column in zip(*a, strict=True)]


def add(a: Matrix, b: Matrix) -> Matrix:
    return [[x + y for x, y in zip(r, s, strict=True)] for r, s in zip(a, b, strict=True)]


class Reading(NamedTuple):
    """One sample: when, from which sensor, and what it showed."""

    at: float
    sensor: str
    celsius: float


@dataclass(frozen=True)
class Sensor:
    """How a sensor sees the state: a row of the observation matrix and its noise."""

    observes: tuple[float, float, float]
    variance: float


SENSORS = {
    "A": Sensor((1.0, 0.0, 0.0), variance=2.0**2),
    "B": Sensor((1.0, 0.0, 1.0), variance=0.3**2),
}


@dataclass
class ThermalFilter:
    """A three-state filter that takes readings one at a time, at irregular times."""

    acceleration_noise: float = 2e-4
    offset_noise: float = 1e-4
    state: list[float] = field(default_factory=lambda: [20.0, 0.0, 0.0])
    covariance: Matrix = field(
        default_factory=lambda: [[100.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 25.0]])
    _now: float | None = None

    @property
    def celsius(self) -> float:
        return self.state[0]

    def predict(self, dt: float) -> None:
        transition = [[1.0, dt, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
        q = self.acceleration_noise
        process = [
            [q * dt**3 / 3, q * dt**2 / 2, 0.0],
            [q * dt**2 / 2, q * dt, 0.0],
            [0.0, 0.0, self.offset_noise * dt],
        ]
        self.state = [row[0] for row in matmul(transition, [[x] for x in self.state])]
        self.covariance = add(
            matmul(matmul(transition, self.covariance), transpose(transition)), process)

    def update(self, reading: Reading, gate: float = 4.0) -> bool:
        """Take in a reading; return whether it was plausible enough to be used."""
        if self._now is not None:
            self.predict(reading.at - self._now)
        self._now = reading.at

        sensor = SENSORS[reading.sensor]
        h = sensor.observes
        residual = reading.celsius - dot(h, self.state)
        ph = [row[0] for row in matmul(self.covariance, [[x] for x in h])]
        spread = dot(h, ph) + sensor.variance
        if residual**2 > gate**2 * spread:
            return False

        gain = [x / spread for x in ph]
        self.state = [x + k * residual for x, k in zip(self.state, gain, strict=True)]
        # The Joseph form stays symmetric and positive in spite of rounding.
        keep = [[(i == j) - gain[i] * h[j] for j in range(3)] for i in range(3)]
        noise = [[gain[i] * gain[j] * sensor.variance for j in range(3)] for i in range(3)]
        self.covariance = add(matmul(matmul(keep, self.covariance), transpose(keep)), noise)
        return True


def simulate_oven(seed: int, minutes: int = 90) -> Iterator[tuple[float, Reading]]:
    """Yield the true temperature with each reading: warm-up, hold, door opened."""
    rng = random.Random(seed)
    celsius, offset, at = 20.0, 3.5, 0.0
    while at < minutes * 60:
        target = 180.0 if at < 60 * 60 else 60.0
        step = rng.uniform(2.0, 9.0)
        celsius += (target - celsius) * (1 - math.exp(-step / 600))
        offset += rng.gauss(0, 0.01) * math.sqrt(step)
        at += step
        sensor = "A" if rng.random() < 0.4 else "B"
        shown = celsius + rng.gauss(0, math.sqrt(SENSORS[sensor].variance))
        shown += offset if sensor == "B" else 0.0
        if rng.random() < 0.01:
            shown += rng.choice((-60, 85))  # a loose contact
        yield celsius, Reading(at, sensor, shown)


def root_mean_square(errors: Iterable[float]) -> float:
    squares: Sequence[float] = [e * e for e in errors]
    return math.sqrt(math.fsum(squares) / len(squares))


def main() -> None:
    thermal = ThermalFilter()
    rejected, filtered, raw = 0, [], {"A": [], "B": []}
    for truth, reading in simulate_oven(seed=7):
        rejected += not thermal.update(reading)
        filtered.append(thermal.celsius - truth)
        raw[reading.sensor].append(reading.celsius - truth)
    for name, errors in (("sensor A", raw["A"]), ("sensor B", raw["B"]), ("filter", filtered)):
        print(f"{name:9} off by {root_mean_square(errors):6.2f} K")
    print(f"{rejected} readings rejected, offset of B estimated as {thermal.state[2]:+.2f} K")


if __name__ == "__main__":
    main()
