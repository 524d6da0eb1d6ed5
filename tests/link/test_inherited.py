"""What a new link makes of goals without an end: in doubt, or certainly not sent."""

import msgspec
import pytest

from risk_daemon.core.events import (
    Fact,
    FeedChanged,
    Goal,
    GoalRefused,
    Intended,
    RequestSent,
    RequestSettled,
)
from risk_daemon.link.inherited import NOTHING, Inherited, Sent, inherited
from risk_daemon.wire.heart import LINK_IS_DOWN
from risk_daemon.wire.record import Record, new_record

ACCOUNT, ANOTHER = 7, 8
DOWN = FeedChanged(login="north", state="blind", why=LINK_IS_DOWN)
UP = FeedChanged(login="north", state="suspect", why="reading the accounts")
#: Spoken by a link that notes what it lets out in the log that is there now.
NOTING = FeedChanged(login="north", state="trusted", send_log="log")


def intended(
    key: str, *, act: str = "close", contract: str = "MNQ", account: int = ACCOUNT
) -> Intended:
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


def log(**left_at: int) -> Sent:
    return Sent("log", left_at.get)


def found(
    *facts: Fact, sent: Sent = NOTHING, kept: tuple[tuple[int, Intended], ...] = ()
) -> Inherited:
    """What comes of these facts, one second apart."""
    records = []
    for second, fact in enumerate(facts):
        new = new_record(fact)
        records.append(Record(second, second, 1, new.kind, new.account, new.payload, 0))
    return inherited(records, "north", (ACCOUNT,), sent, kept)


def in_segment(
    *kept: tuple[int, Intended], stored: tuple[Fact, ...] = (), sent: Sent = NOTHING
) -> list[tuple[int, str]]:
    """What is in doubt where goals lie in the segment since these times; no other is anything."""
    goals = found(*stored, sent=sent, kept=kept)
    assert goals.fresh == goals.superseded == []
    return [(at, one.key) for at, one in goals.in_doubt]


def doubtful(*facts: Fact, sent: Sent = NOTHING) -> list[tuple[int, str]]:
    return [(at, one.key) for at, one in found(*facts, sent=sent).in_doubt]


def fresh(*facts: Fact, sent: Sent = NOTHING) -> list[str]:
    return [one.key for one in found(*facts, sent=sent).fresh]


def test_a_goal_that_was_sent_and_has_no_end_is_in_doubt_from_its_sending_on() -> None:
    assert doubtful(intended("a"), sent("a"), DOWN) == [(1, "a")]


def test_a_goal_that_was_decided_before_the_end_may_have_been_sent() -> None:
    assert doubtful(intended("a"), DOWN) == [(0, "a")]


def test_a_goal_with_an_end_is_over() -> None:
    story = (intended("a"), sent("a"), settled("a"), intended("b"), refused("b"), DOWN)

    assert found(*story) == Inherited([], [], [], [])


def test_a_goal_that_left_though_a_link_that_died_had_refused_it_is_in_doubt_until_its_end() -> (
    None
):
    story = (intended("a"), refused("a"), sent("a"))

    assert doubtful(*story, DOWN) == [(2, "a")]
    assert found(*story, settled("a"), DOWN) == Inherited([], [], [], [])


def test_the_refusal_of_a_link_that_died_may_also_be_stored_after_it_left_by_the_next() -> None:
    assert doubtful(intended("a"), sent("a"), refused("a"), DOWN) == [(1, "a")]
    assert doubtful(NOTING, intended("a"), sent("a"), refused("a"), DOWN, sent=log(a=5)) == [
        (5, "a")
    ]


def test_a_goal_that_was_said_to_be_leaving_and_was_not_noted_ends_with_its_refusal() -> None:
    story = (NOTING, intended("a"), sent("a"), refused("a"), DOWN)

    assert found(*story, sent=log()) == Inherited([], [], [], [])


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


def test_the_other_one_is_over() -> None:
    for story, key in (
        ((intended("a"), sent("a"), intended("b"), DOWN), "b"),
        ((intended("a"), intended("b"), DOWN), "a"),
    ):
        assert [one.key for one in found(*story).over] == [key]
    assert found(intended("a"), intended("b", contract="MES"), DOWN).over == []


def test_each_contract_is_looked_at_by_itself() -> None:
    story = (intended("a"), intended("b", contract="MES"), DOWN)

    assert doubtful(*story) == [(0, "a"), (1, "b")]


def test_looks_and_other_logins_accounts_are_nobodys_request() -> None:
    story = (intended("a", act="look"), intended("b", account=ANOTHER))

    assert found(*story) == Inherited([], [], [], [])


# --- what the link before noted -------------------------------------------------


def test_a_goal_that_was_not_noted_has_certainly_not_left() -> None:
    assert fresh(NOTING, intended("a"), DOWN, sent=log()) == ["a"]
    assert fresh(NOTING, intended("a"), sent=log()) == ["a"]  # no witness is needed


def test_a_goal_that_was_noted_is_in_doubt_though_no_record_says_that_it_left() -> None:
    assert doubtful(NOTING, intended("a"), DOWN, sent=log(a=77)) == [(77, "a")]
    assert doubtful(NOTING, intended("a"), sent("a"), DOWN, sent=log(a=77)) == [(77, "a")]


def test_a_goal_whose_record_says_that_it_is_sent_and_that_was_not_noted_has_not_left() -> None:
    assert fresh(NOTING, intended("a"), sent("a"), DOWN, sent=log()) == ["a"]


def test_a_goal_that_left_without_the_journal_and_was_stored_later_is_in_doubt() -> None:
    assert doubtful(NOTING, DOWN, intended("a"), sent=log(a=1)) == [(1, "a")]


def test_a_goal_of_before_the_log_was_begun_is_in_doubt() -> None:
    assert doubtful(intended("a"), NOTING, DOWN, sent=log()) == [(0, "a")]
    assert doubtful(NOTING, intended("a"), DOWN) == [(1, "a")]  # this log is another one


def test_a_link_that_notes_elsewhere_or_nowhere_leaves_all_before_and_after_it_in_doubt() -> None:
    elsewhere = FeedChanged(login="north", state="trusted", send_log="another")
    for other in (UP, elsewhere):
        story = (NOTING, intended("a"), DOWN, other, intended("b", contract="MES"), DOWN)
        assert doubtful(*story, sent=log()) == [(1, "a"), (4, "b")]


def test_what_was_decided_while_no_link_was_there_stays_fresh_over_a_link_that_notes() -> None:
    assert fresh(UP, DOWN, intended("a"), NOTING, DOWN, sent=log()) == ["a"]


def test_of_two_goals_for_one_contract_that_have_not_left_the_last_is_taken_up() -> None:
    one = found(NOTING, intended("a"), intended("b"), intended("c", contract="MES"), sent=log())

    assert [goal.key for goal in one.fresh] == ["b", "c"]
    assert [goal.key for goal in one.superseded] == ["a"]
    assert one.in_doubt == []


def test_beside_a_goal_that_left_one_that_has_not_is_still_taken_up() -> None:
    one = found(NOTING, intended("a"), intended("b"), DOWN, sent=log(a=5))

    assert [(at, goal.key) for at, goal in one.in_doubt] == [(5, "a")]
    assert [goal.key for goal in one.fresh] == ["b"]


# --- what lies in the segment -----------------------------------------------------


def test_a_goal_in_the_segment_is_in_doubt_since_it_was_written_though_no_record_tells_of_it() -> (
    None
):
    assert in_segment((50, intended("a"))) == [(50, "a")]


def test_it_is_so_whoever_was_there_when_it_was_stored_too() -> None:
    for before in (DOWN, NOTING):
        stored = (before, intended("a"))
        assert fresh(*stored, sent=log()) == ["a"]
        assert in_segment((50, intended("a")), stored=stored, sent=log()) == [(50, "a")]


def test_it_is_in_doubt_since_it_was_noted_where_it_was() -> None:
    assert in_segment((50, intended("a")), sent=log(a=77)) == [(77, "a")]


def test_it_is_over_when_its_end_is_known_also_before_it_is_folded_in() -> None:
    for end in (settled("a"), refused("a")):
        assert in_segment((50, intended("a")), stored=(end,)) == []
        assert in_segment((50, intended("a")), stored=(intended("a"), end)) == []
        assert found(end, intended("a")) == Inherited([], [], [], [])


def test_of_two_for_one_contract_it_is_the_one_in_the_segment_that_left_last() -> None:
    kept = (50, intended("a"))

    assert in_segment(kept, stored=(intended("a"), intended("b"))) == [(50, "a")]
    assert in_segment(kept, stored=(intended("b"), sent("b"))) == [(50, "a")]
    assert in_segment(kept, stored=(NOTING, intended("b")), sent=log(b=40)) == [(50, "a")]
    assert in_segment(kept, (60, intended("c"))) == [(60, "c")]
    assert [one.key for one in found(intended("b"), kept=(kept,)).over] == ["b"]


@pytest.mark.parametrize(
    ("act", "wanted"),
    [("close", "close"), ("partial", "reduce"), ("cancel", "cancel"), ("modify", "resize")],
)
def test_a_request_that_left_and_whose_goal_was_never_folded_in_is_in_doubt(
    act: str, wanted: str
) -> None:
    """An old copy was put back, and the segment is empty already: a worker waits for its end."""
    said = msgspec.structs.replace(sent("a"), act=act)

    ((at, goal),) = found(DOWN, said).in_doubt

    assert (at, goal.key, goal.account, goal.goal.contract) == (1, "a", ACCOUNT, "MNQ")
    assert goal.goal.act == wanted
    assert doubtful(DOWN, said, intended("a")) == [(2, "a")]
    assert found(said, settled("a")) == found(settled("a"), said) == Inherited([], [], [], [])


def test_so_is_none_of_another_login() -> None:
    other = msgspec.structs.replace(sent("a"), account=ANOTHER)

    assert found(other) == Inherited([], [], [], [])
