"""What a new link makes of goals without an end: in doubt, or certainly not sent."""

from risk_daemon.core.events import (
    Fact,
    FeedChanged,
    Goal,
    GoalRefused,
    Intended,
    RequestSent,
    RequestSettled,
)
from risk_daemon.link.inherited import Inherited, inherited
from risk_daemon.wire.heart import LINK_IS_DOWN
from risk_daemon.wire.record import Record, new_record

ACCOUNT, ANOTHER = 7, 8
DOWN = FeedChanged(login="north", state="blind", why=LINK_IS_DOWN)
UP = FeedChanged(login="north", state="suspect", why="reading the accounts")


def intended(
    key: str, *, act: str = "close", contract: str = "MNQ", account: int = ACCOUNT
) -> Fact:
    goal = Goal(act=act, account=account, contract=contract)
    return Intended(account=account, epoch=1, cause_seq=0, key=key, goal=goal)


def sent(key: str) -> Fact:
    return RequestSent(
        account=ACCOUNT, key=key, request="r", act="close", contract="MNQ", order=0, size=0, epoch=1
    )


def settled(key: str) -> Fact:
    return RequestSettled(
        account=ACCOUNT,
        key=key,
        request="r",
        act="close",
        contract="MNQ",
        order=0,
        how="filled",
        filled=1,
    )


def refused(key: str) -> Fact:
    return GoalRefused(account=ACCOUNT, key=key, contract="MNQ", order=0, why="")


def found(*facts: Fact) -> Inherited:
    """What comes of these facts, one second apart."""
    records = []
    for second, fact in enumerate(facts):
        new = new_record(fact)
        records.append(Record(second, second, 1, new.kind, new.account, new.payload, 0))
    return inherited(records, "north", (ACCOUNT,))


def doubtful(*facts: Fact) -> list[tuple[int, str]]:
    return [(at, one.key) for at, one in found(*facts).in_doubt]


def fresh(*facts: Fact) -> list[str]:
    return [one.key for one in found(*facts).fresh]


def test_a_goal_that_was_sent_and_has_no_end_is_in_doubt_from_its_sending_on() -> None:
    assert doubtful(intended("a"), sent("a"), DOWN) == [(1, "a")]


def test_a_goal_that_was_decided_before_the_end_may_have_been_sent() -> None:
    assert doubtful(intended("a"), DOWN) == [(0, "a")]


def test_a_goal_with_an_end_is_over() -> None:
    story = (intended("a"), sent("a"), settled("a"), intended("b"), refused("b"), DOWN)

    assert found(*story) == Inherited([], [])


def test_a_goal_decided_after_the_end_has_certainly_not_left() -> None:
    assert fresh(DOWN, intended("a")) == ["a"]
    assert doubtful(DOWN, intended("a")) == []


def test_until_another_link_has_spoken() -> None:
    assert fresh(DOWN, intended("a"), UP, DOWN) == []
    assert doubtful(DOWN, intended("a"), UP, DOWN) == [(1, "a")]


def test_the_end_of_another_logins_link_says_nothing() -> None:
    other = FeedChanged(login="south", state="blind", why=LINK_IS_DOWN)

    assert doubtful(other, intended("a")) == [(1, "a")]


def test_of_two_goals_for_one_contract_only_the_one_that_was_sent_is_in_doubt() -> None:
    assert doubtful(intended("a"), sent("a"), intended("b"), DOWN) == [(1, "a")]
    assert doubtful(intended("a"), intended("b"), sent("b"), DOWN) == [(2, "b")]
    assert doubtful(intended("a"), intended("b"), DOWN) == [(1, "b")]


def test_each_contract_is_looked_at_by_itself() -> None:
    story = (intended("a"), intended("b", contract="MES"), DOWN)

    assert doubtful(*story) == [(0, "a"), (1, "b")]


def test_looks_and_other_logins_accounts_are_nobodys_request() -> None:
    assert found(intended("a", act="look"), intended("b", account=ANOTHER)) == Inherited([], [])
