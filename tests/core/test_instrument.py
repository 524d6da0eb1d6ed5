"""Exact numbers."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.core.instrument import UNIT, Instrument, divide, money, parse, show, ticks_between

ZN = Instrument("CON.F.US.ZN.Z26", "ZN", parse("0.015625"), parse("15.625"))


def test_a_sixty_fourth_of_a_note_is_worth_what_the_exchange_says() -> None:
    assert money(ZN, parse("0.015625") * 2) == parse("31.25")


@given(st.integers(-(10**24), 10**24), st.integers(1, 10**12))
def test_division_is_the_nearest_whole_halves_to_even(numerator: int, denominator: int) -> None:
    exact = (Decimal(numerator) / Decimal(denominator)).quantize(Decimal(1), "ROUND_HALF_EVEN")

    if abs(numerator) < 10**20:
        assert divide(numerator, denominator) == int(exact)
    assert abs(divide(numerator, denominator) * denominator - numerator) * 2 <= denominator


@pytest.mark.parametrize(
    ("numerator", "denominator", "nearest"),
    [(1, 2, 0), (3, 2, 2), (5, 2, 2), (7, 2, 4), (9, 2, 4), (-1, 2, 0), (-3, 2, -2), (-5, 2, -2)],
)
def test_a_half_goes_to_the_even_neighbour(numerator: int, denominator: int, nearest: int) -> None:
    assert divide(numerator, denominator) == nearest


@given(st.integers(-(10**20), 10**20))
def test_what_is_shown_is_read_back_to_the_last_unit(value: int) -> None:
    assert parse(show(value)) == value


@pytest.mark.parametrize("places", [0, 2])
def test_whole_numbers_show_as_many_places_as_asked(places: int) -> None:
    assert show(5 * UNIT, places) == {0: "5", 2: "5.00"}[places]


@pytest.mark.parametrize("text", ["", "abc", "NaN", "Infinity", "1e13", "0.0000000001"])
def test_what_is_no_exact_amount_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is"):
        parse(text)


def test_ticks_between_prices_count_both_ways() -> None:
    assert ticks_between(ZN, parse("110.03125"), parse("110")) == 2
    assert ticks_between(ZN, parse("110"), parse("110.03125")) == 2
