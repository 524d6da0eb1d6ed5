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
    scoped_lock_target,
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
    increasing_in=st.sets(st.sampled_from("ABC")).map(lambda names: tuple(sorted(names))),
    all_in=st.sets(st.sampled_from("ABC")).map(lambda names: tuple(sorted(names))),
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
        assert whole.stops_growth_in(name) == any(
            part.stops_growth_in(name) for part in (one, other)
        )
        assert whole.clears(name) == any(part.clears(name) for part in (one, other))


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


def test_a_remedy_within_contracts_leaves_the_others_alone() -> None:
    found = target_of(Remedy(allowed=(("B", 1),), cancel="all", within=("B", "A")))

    assert not found.cancel_increasing
    assert not found.cancel_all
    assert (found.increasing_in, found.all_in) == (("A", "B"), ("A", "B"))
    assert target_of(Remedy(cancel="increasing", within=("A",))).all_in == ()
    assert target_of(Remedy(within=("A",))).increasing_in == ()


def test_a_lock_on_some_contracts_demands_it_of_those_only() -> None:
    held = {"A": 2}

    assert scoped_lock_target(NO_NEW_ENTRY, held, ["A"]) == Target(increasing_in=("A",))
    reducing = scoped_lock_target(REDUCE_ONLY, held, ["B", "A"])
    assert reducing == Target(allowed=(("A", 2), ("B", 0)), increasing_in=("A", "B"))
    for mode in (FULL, "a newer mode"):
        closing = scoped_lock_target(mode, held, ["A"])
        assert closing == Target(allowed=(("A", 0),), increasing_in=("A",), all_in=("A",))
