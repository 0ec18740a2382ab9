"""Property-style and example tests for the parcel tariff engine.

The tariff is loaded from a TOML document, so that most tests state their rules next
to what they expect of them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise

import pytest

TARIFF = """
currency = "EUR"
volumetric_divisor = 5000

[[zone]]
name = "domestic"
countries = ["AT"]
steps = [[1.0, "4.20"], [5.0, "6.90"], [31.5, "11.50"]]

[[zone]]
name = "neighbours"
countries = ["DE", "CZ", "HU", "SI"]
steps = [[1.0, "9.10"], [5.0, "13.40"], [20.0, "22.00"]]

[surcharge]
fuel = "0.085"
bulky = "7.50"
bulky_girth_cm = 300
"""


class NoRate(LookupError):
    """The tariff has no price for a parcel."""


class RateBook:
    def __init__(self, document: str) -> None:
        data = tomllib.loads(document)
        self.divisor = data["volumetric_divisor"]
        self.surcharge = data["surcharge"]
        self.zones = {c: zone for zone in data["zone"] for c in zone["countries"]}
        for zone in data["zone"]:
            limits = [limit for limit, _ in zone["steps"]]
            if limits != sorted(set(limits)):
                raise ValueError(f"zone {zone['name']}: steps must ascend")

    def chargeable_kg(self, kg: float, size_cm: tuple[int, int, int]) -> float:
        length, width, height = size_cm
        return max(kg, length * width * height / self.divisor)

    def price(self, country: str, kg: float, size_cm: tuple[int, int, int]) -> Decimal:
        try:
            zone = self.zones[country]
        except KeyError:
            raise NoRate(f"no zone for {country}") from None
        weight = self.chargeable_kg(kg, size_cm)
        for limit, price in zone["steps"]:
            if weight <= limit:
                base = Decimal(price)
                break
        else:
            raise NoRate(f"{weight:.1f} kg is too heavy for {zone['name']}")

        longest, *others = sorted(size_cm, reverse=True)
        if longest + 2 * sum(others) > self.surcharge["bulky_girth_cm"]:
            base += Decimal(self.surcharge["bulky"])
        total = base * (1 + Decimal(self.surcharge["fuel"]))
        return total.quantize(Decimal("0.01"), rounding=ROUND_HALF_UP)


@pytest.fixture(scope="module")
def book() -> RateBook:
    return RateBook(TARIFF)


@pytest.fixture
def altered() -> Callable[[str, str], RateBook]:
    """The tariff with one piece of text replaced; the piece must exist."""

    def alter(old: str, new: str) -> RateBook:
        assert TARIFF.count(old) == 1, f"{old!r} is not unique in the tariff"
        return RateBook(TARIFF.replace(old, new))

    return alter


SMALL = (20, 15, 10)


@pytest.mark.parametrize(
    ("country", "kg", "expected"),
    [
        pytest.param("AT", 0.3, "4.56", id="lowest step"),
        pytest.param("AT", 1.0, "4.56", id="limits are inclusive"),
        pytest.param("AT", 1.001, "7.49", id="just over a limit"),
        pytest.param("SI", 4.0, "14.54", id="second zone"),
    ],
)
def test_price_by_weight(book: RateBook, country: str, kg: float, expected: str) -> None:
    assert book.price(country, kg, SMALL) == Decimal(expected)


def test_light_but_large_parcels_pay_for_volume(book: RateBook) -> None:
    cushion = (60, 50, 40)
    assert book.chargeable_kg(1.2, cushion) == 24.0
    assert book.price("AT", 1.2, cushion) == book.price("AT", 24.0, SMALL)


def test_girth_adds_the_surcharge_whichever_way_up(book: RateBook) -> None:
    upright, flat = (15, 40, 195), (195, 40, 15)
    assert book.price("AT", 6, upright) == book.price("AT", 6, flat)
    difference = book.price("AT", 6, upright) - book.price("AT", 24, SMALL)
    assert difference == Decimal("8.14"), "the fuel surcharge applies to the bulky fee as well"


@pytest.mark.parametrize("country", ["AT", "DE"])
def test_price_never_falls_with_weight(book: RateBook, country: str) -> None:
    prices = [book.price(country, grams / 1000, SMALL) for grams in range(100, 20_000, 100)]
    assert all(lighter <= heavier for lighter, heavier in pairwise(prices))


def test_unknown_countries_and_heavy_parcels_have_no_rate(book: RateBook) -> None:
    with pytest.raises(NoRate, match="no zone for FR"):
        book.price("FR", 1, SMALL)
    with pytest.raises(NoRate, match=r"20\.5 kg is too heavy for neighbours"):
        book.price("CZ", 20.5, SMALL)


def test_half_cents_are_rounded_up(altered: Callable[[str, str], RateBook]) -> None:
    assert altered('fuel = "0.085"', 'fuel = "0.0125"').price("AT", 0.5, SMALL) == Decimal("4.25")
    assert altered('"4.20"', '"4.10"').price("AT", 0.5, SMALL) == Decimal("4.45")


def test_steps_out_of_order_are_refused(altered: Callable[[str, str], RateBook]) -> None:
    with pytest.raises(ValueError, match="domestic: steps must ascend"):
        altered('[5.0, "6.90"]', '[0.5, "6.90"]')
