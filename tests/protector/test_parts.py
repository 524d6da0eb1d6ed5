"""The minimal protector's parts: the plan on the disk, what it closes, and its few frames."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.journal.plans import Plans
from risk_daemon.protector.decide import Position, closes, equity
from risk_daemon.protector.link import pack, unpack
from risk_daemon.protector.plan import (
    Grid,
    Lock,
    Plan,
    line_of,
    names,
    newest,
    parse,
    read,
    slot_of,
)

MNQ, MES = "CON.F.US.MNQ.Z26", "CON.F.US.MES.Z26"
GRIDS = {
    MNQ: Grid("MNQ", Decimal("0.25"), Decimal("0.5")),
    MES: Grid("MES", Decimal("0.25"), Decimal("1.25")),
}
LONG = Position(MNQ, 2, Decimal(20_000))
SHORT = Position(MES, -1, Decimal(6_000))
BODY = (
    b'{"account":7,"contracts":{"CON.F.US.MNQ.Z26":["MNQ","0.25","0.5"]},"floor":"49500.00",'
    b'"format":1,"locks":[["full","",null],["reduce-only","MNQ",5]],"login":"north"}'
)


def plan(floor: str | None = "49500", *locks: Lock) -> Plan:
    limit = None if floor is None else Decimal(floor)
    return Plan(account=7, login="north", floor=limit, locks=locks, contracts=GRIDS)


# --- on the disk ------------------------------------------------------------------------


def test_a_plan_is_written_in_turn_and_the_newer_slot_is_read(tmp_path: Path) -> None:
    plans = Plans(tmp_path)
    for floor in (b"1", b"2", b"2", b"3"):
        plans.keep(7, BODY.replace(b"49500", floor))

    found = read(tmp_path, 7)

    assert found is not None
    assert found.floor == 3
    assert found.locks == (Lock("full"), Lock("reduce-only", "MNQ", 5))
    assert found.contracts == {MNQ: GRIDS[MNQ]}
    numbers = [slot_of((tmp_path / name).read_bytes()) for name in names(7)]
    assert sorted(one[0] for one in numbers if one) == [2, 3]


def test_another_journal_goes_on_where_the_one_before_ended(tmp_path: Path) -> None:
    Plans(tmp_path).keep(7, BODY)
    after = Plans(tmp_path)
    after.keep(7, BODY)
    after.keep(7, BODY + b" ")

    assert newest((tmp_path / name).read_bytes() for name in names(7)) == (2, BODY + b" ")


def test_what_is_no_plan_or_cannot_be_written_leaves_the_one_before(tmp_path: Path) -> None:
    plans = Plans(tmp_path)
    plans.keep(7, BODY)
    plans.keep(7, BODY + b"\n")
    plans.keep(7, b"x" * 70_000)
    (tmp_path / names(7)[0]).mkdir()
    plans.keep(7, BODY + b" ")

    assert newest([(tmp_path / names(7)[1]).read_bytes()]) == (1, BODY)


@pytest.mark.parametrize("at", [0, 5, 9, 11, 60, -2])
def test_of_a_damaged_slot_the_other_one_counts(tmp_path: Path, at: int) -> None:
    plans = Plans(tmp_path)
    plans.keep(7, BODY)
    plans.keep(7, BODY.replace(b"49500", b"1"))
    raw = bytearray((tmp_path / names(7)[0]).read_bytes())
    raw[at] ^= 1
    (tmp_path / names(7)[0]).write_bytes(raw)

    found = read(tmp_path, 7)

    assert found is not None
    assert found.floor == Decimal("49500.00")


def test_without_a_whole_slot_there_is_no_plan(tmp_path: Path) -> None:
    assert read(tmp_path, 7) is None
    (tmp_path / names(7)[0]).write_bytes(line_of(2, BODY)[:-9])
    assert read(tmp_path, 7) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", BODY.replace(b'"format":1', b'"format":2'), BODY.replace(b"49500", b"x")],
)
def test_what_cannot_be_understood_is_no_plan(body: bytes) -> None:
    assert parse(body) is None


# --- what is closed -----------------------------------------------------------------------


def test_equity_is_balance_and_what_open_positions_would_make() -> None:
    prices = {MNQ: Decimal(19_990), MES: Decimal(6_001)}

    # 2 contracts, 40 ticks of 0.5 each; 1 contract, 4 ticks of 1.25.
    assert equity(plan(), Decimal(50_000), [LONG, SHORT], prices) == Decimal(50_000 - 40 - 5)
    assert equity(plan(), Decimal(50_000), [LONG, SHORT], {MNQ: Decimal(1)}) is None


@pytest.mark.parametrize(
    ("balance", "price", "why"),
    [
        ("49540", "19990", "equity 49500.00 is at the limit of 49500.00"),
        ("49540.01", "19990", ""),
        ("49500", None, "balance 49500.00 is at the limit of 49500.00"),
        ("49500.01", None, ""),
        (None, "1", ""),
    ],
)
def test_at_the_limit_everything_is_closed(
    balance: str | None, price: str | None, why: str
) -> None:
    prices = {} if price is None else {MNQ: Decimal(price)}
    flat = Position(MES, 0, Decimal(0))

    found = closes(plan(), 0, None if balance is None else Decimal(balance), [LONG, flat], prices)

    assert found == ({MNQ: why} if why else {})


@pytest.mark.parametrize(
    ("lock", "now", "is_closed"),
    [
        (Lock("full"), 10, True),
        (Lock("full", "", 11), 10, True),
        (Lock("full", "", 10), 10, False),
        (Lock("full", "MNQ"), 10, True),
        (Lock("full", "MES"), 10, False),
        (Lock("reduce-only"), 10, False),
    ],
)
def test_a_full_lock_closes_what_it_covers(lock: Lock, now: int, *, is_closed: bool) -> None:
    found = closes(plan(None, lock), now, Decimal(0), [LONG], {})

    assert found == ({MNQ: "the account is locked"} if is_closed else {})


def test_a_contract_without_a_grid_is_covered_by_a_lock_of_the_account_only() -> None:
    odd = [Position("CON.F.US.ODD.Z26", 1, Decimal(1))]

    assert closes(plan(None, Lock("full", "ODD")), 0, None, odd, {}) == {}
    assert len(closes(plan(None, Lock("full")), 0, None, odd, {})) == 1


# --- frames -------------------------------------------------------------------------------

values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.text(max_size=40)
    | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=30,
)


@given(values)
def test_what_others_pack_is_unpacked(value: Any) -> None:
    assert unpack(msgspec.msgpack.encode(value)) == value


@given(values.filter(lambda value: "." not in repr(value) and "inf" not in repr(value)))
def test_what_is_packed_others_unpack(value: Any) -> None:
    try:
        packed = pack(value)
    except TypeError:
        return  # a float: none is ever sent
    assert msgspec.msgpack.decode(packed) == value


@given(st.binary(max_size=40))
def test_what_is_no_frame_is_said_to_be_none(raw: bytes) -> None:
    try:
        unpack(raw)
    except (ValueError, IndexError, KeyError, TypeError):
        return
    except Exception as error:  # noqa: BLE001 - named, to be seen
        assert type(error).__name__ == "error"  # noqa: PT017 - struct.error
