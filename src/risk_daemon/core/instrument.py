"""Exact numbers: prices and money as integers of 1e-9, and what a tick is worth.

A binary float never takes part: `ceil((1.1 - 1.0) / 0.1)` is 2 in floats and 1
in fact, and a limit hangs on it. Averages are kept as cost basis and size, so
that no division happens before the figure is shown or compared.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

UNIT: Final = 1_000_000_000
#: Larger figures are a fault of the message, not a price or a balance.
VALUE_MAX: Final = 10**12 * UNIT


class Instrument(msgspec.Struct, frozen=True, gc=False):
    """A contract's price grid: `tick_size` in price, `tick_value` in money, both in units."""

    contract: str
    root: str
    tick_size: int
    tick_value: int


#: How far two sums of the same fills may be apart when only one of them was rounded to cents.
CENT: Final = UNIT // 100


def divide(numerator: int, denominator: int) -> int:
    """Divide to the nearest unit, halves to even; `denominator` is positive."""
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient % 2):
        return quotient + 1
    return quotient


def money(instrument: Instrument, price_contracts: int) -> int:
    """Return the money of a price difference times contracts (in units, signed)."""
    return divide(price_contracts * instrument.tick_value, instrument.tick_size)


def ticks_between(instrument: Instrument, one: int, other: int) -> int:
    """Return the whole ticks between two prices, never negative, rounded down."""
    return abs(one - other) // instrument.tick_size


def parse(text: str) -> int:
    """Read decimal text into units; ValueError if it is no finite number or too fine."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None
    if not value.is_finite():
        raise ValueError(f"{text!r} is not a finite number")
    scaled = value * UNIT
    if scaled != scaled.to_integral_value():
        raise ValueError(f"{text!r} is finer than 0.000000001")
    if abs(scaled) > VALUE_MAX:
        raise ValueError(f"{text!r} is beyond any balance or price")
    return int(scaled)


def show(units: int, places: int = 2) -> str:
    """Write units as decimal text with at least `places` decimals, no rounding."""
    sign = "-" if units < 0 else ""
    whole, rest = divmod(abs(units), UNIT)
    decimals = f"{rest:09d}".rstrip("0").ljust(places, "0")
    return f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}"
