"""Merging: a lattice join."""

from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.core.decision import (
    FULL,
    NO_NEW_ENTRY,
    NOTHING,
    REDUCE_ONLY,
    Remedy,
    Target,
    lock_target,
    merge,
    target_of,
)

targets = st.builds(
    Target,
    flatten=st.booleans(),
    allowed=st.dictionaries(st.sampled_from("ABC"), st.integers(0, 9)).map(
        lambda caps: tuple(sorted(caps.items()))
    ),
    cancel_increasing=st.booleans(),
    cancel_all=st.booleans(),
    cancel_orders=st.sets(st.integers(1, 9)).map(lambda orders: tuple(sorted(orders))),
)


@given(st.lists(targets), st.randoms())
def test_the_order_of_rules_makes_no_difference(found: list[Target], chance: object) -> None:
    shuffled = list(found)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]

    assert merge(shuffled) == merge(found)


@given(st.lists(targets), st.lists(targets))
def test_neither_does_grouping_nor_repetition(one: list[Target], other: list[Target]) -> None:
    whole = merge([*one, *other])

    assert merge([merge(one), merge(other)]) == whole
    assert merge([whole, *one]) == whole


@given(targets, targets)
def test_a_merged_target_is_as_strict_as_each_of_its_parts(one: Target, other: Target) -> None:
    whole = merge([one, other])

    for name in "ABC":
        caps = [cap for part in (one, other) if (cap := part.allowance(name)) is not None]
        assert whole.allowance(name) == (min(caps) if caps else None)


def test_nothing_changes_nothing() -> None:
    assert merge([]) == NOTHING
    assert NOTHING.allowance("A") is None


def test_a_remedy_says_which_orders_it_wants_gone() -> None:
    assert target_of(Remedy(cancel="all")).cancel_all
    assert target_of(Remedy(cancel="all")).cancel_increasing
    assert target_of(Remedy(cancel="increasing")).cancel_increasing
    assert not target_of(Remedy(cancel="increasing")).cancel_all
    assert not target_of(Remedy()).cancel_increasing
    assert target_of(Remedy(cancel_orders=(2, 1, 2))).cancel_orders == (1, 2)


def test_each_lock_demands_what_its_mode_says() -> None:
    held = {"A": 2}

    assert lock_target(NO_NEW_ENTRY, held, ["A", "B"]) == Target(cancel_increasing=True)
    assert lock_target(REDUCE_ONLY, held, ["A", "B"]).allowed == (("A", 2), ("B", 0))
    assert lock_target(FULL, held, ["A"]).flatten
    assert lock_target("a newer mode", held, ["A"]).flatten
