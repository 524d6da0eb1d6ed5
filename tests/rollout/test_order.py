"""Who goes when: test accounts, then the calm, chance in a band, kinds in turn, a cap on risk."""

from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.rollout.order import MILLION, Member, Ranked, rank, upto

DOLLAR = 1_000_000_000


def some(n: int, *, risk: int = 1, kinds: int = 1) -> tuple[Member, ...]:
    return tuple(
        Member(account=number, risk=risk * number * DOLLAR, kind=f"k{number % kinds}")
        for number in range(1, n + 1)
    )


def ranked(
    members: tuple[Member, ...],
    tests: tuple[int, ...] = (),
    rollout: str = "r1",
    cap: int = MILLION,
) -> Ranked:
    n = len(members)
    uptos = (1, max(1, -(-n // 10)), -(-n // 2), n)
    return rank(rollout, members, tests, uptos, (cap, cap, cap, MILLION))


def test_test_accounts_come_first_as_they_are_listed() -> None:
    assert ranked(some(20), tests=(17, 3)).order[:2] == (17, 3)


def test_the_calm_come_before_the_risky_band_by_band() -> None:
    order = ranked(some(20)).order

    bands = [set(order[at : at + 4]) for at in range(0, 20, 4)]
    assert bands == [set(range(at, at + 4)) for at in range(1, 21, 4)]


def test_accounts_alike_in_risk_are_ordered_by_size_then_rules_then_tier() -> None:
    members = tuple(
        Member(account=number, size=number > 10, open_rules=number % 10 > 4, tier=number % 2)
        for number in range(1, 21)
    )
    order = ranked(members).order

    assert set(order[:4]) == {2, 4, 10, 1} or set(order[:4]) <= {1, 2, 3, 4, 10}
    assert set(order[10:]) == set(range(11, 21))


def test_the_next_rollout_begins_with_others_and_the_same_one_with_the_same() -> None:
    members = some(100)

    assert ranked(members).order == ranked(members[::-1]).order
    assert ranked(members).order != ranked(members, rollout="r2").order


def test_the_kinds_of_account_take_turns() -> None:
    members = tuple(Member(account=number, kind=f"k{number % 4}") for number in range(1, 101))
    order = ranked(members).order

    kinds = [{f"k{number % 4}" for number in order[at : at + 4]} for at in range(0, 20, 4)]
    assert kinds == [{"k0", "k1", "k2", "k3"}] * 5


def test_an_account_that_brings_too_much_risk_waits_for_a_later_phase() -> None:
    members = (
        Member(account=1, risk=0),
        Member(account=2, risk=50),
        *(Member(account=number, risk=50) for number in range(3, 11)),
    )
    found = rank("r1", members, (2,), (1, 3, 10), (MILLION // 5, MILLION // 5, MILLION))

    assert (found.order[0], found.order[1]) == (2, 1)
    assert found.shares_ppm == (111_112, 222_223, MILLION)


def test_a_cap_that_nothing_keeps_is_kept_as_well_as_can_be_and_told() -> None:
    members = (Member(account=1, risk=90), Member(account=2, risk=10))
    found = rank("r1", members, (), (1, 2), (50_000, MILLION))

    assert found == Ranked((2, 1), (100_000, MILLION))


def test_a_share_that_is_just_the_cap_is_under_it() -> None:
    members = (Member(account=1, risk=10), Member(account=2, risk=90))

    assert rank("r1", members, (), (1,), (100_000,)).shares_ppm == (100_000,)
    assert rank("r1", members[:1], (), (1,), (0,)).shares_ppm == (MILLION,)


def test_without_any_open_risk_there_is_no_share() -> None:
    assert ranked(tuple(Member(account=number) for number in (1, 2))).shares_ppm == (0, 0, 0, 0)


def test_a_percentage_is_rounded_up_and_adds_at_least_one_account() -> None:
    assert upto(10, 20, 1) == 2
    assert upto(10, 21, 1) == 3
    assert upto(10, 5, 1) == 2
    assert upto(50, 5, 2) == 3
    assert upto(1, 1, 1) == 1
    assert upto(10, 5, 0) == 1
    assert upto(100, 7, 4) == 7


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=60),
    st.integers(1, 4),
    st.integers(0, MILLION),
    st.text(max_size=5),
)
def test_an_order_has_everybody_once_and_its_prefixes_keep_the_cap_or_tell(
    risks: list[int], kinds: int, cap: int, rollout: str
) -> None:
    members = tuple(
        Member(account=number, risk=risk, kind=str(number % kinds))
        for number, risk in enumerate(risks, start=1)
    )
    found = ranked(members, tests=(1,), rollout=rollout, cap=cap)

    assert sorted(found.order) == list(range(1, len(members) + 1))
    assert found.order[0] == 1
    total = sum(risks)
    n = len(risks)
    for length, share in zip(
        (1, max(1, -(-n // 10)), -(-n // 2), n), found.shares_ppm, strict=True
    ):
        held = sum(risks[number - 1] for number in found.order[:length])
        assert share * total >= held * MILLION > (share - 1) * total or not total
