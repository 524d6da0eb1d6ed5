"""What the stream shows of a phase: who lived through what, and what one is too many of."""

from __future__ import annotations

import msgspec
import pytest

from risk_daemon.core.events import AlarmRaised, DecisionCompared, Entry, Fact, FeedChanged, Pulse
from risk_daemon.operations.rollouts import witness
from risk_daemon.operations.rollouts.witness import Found, Phase, Seen
from risk_daemon.rollout.exposure import RECONNECT, RESTART
from risk_daemon.wire.sample import Damaged

NEW, OLD, OTHER = "v2", "v1", "v0"
OURS, THEIRS = f"worker-2@{NEW}", f"worker-1@{OLD}"
PHASE = Phase(
    release=NEW,
    fallback=OLD,
    workers=frozenset({f"worker-1@{NEW}", OURS}),
    others=frozenset({THEIRS, f"worker-2@{OLD}"}),
    logins=frozenset({"north"}),
    declared=frozenset({"kill-switch"}),
)


def told(*facts: Fact, anew: tuple[str, ...] = ()) -> list[Found | None]:
    seen = Seen()
    entries = [Entry(seq, 100 + seq, 0, fact) for seq, fact in enumerate(facts)]
    return [witness.take(seen, one, PHASE, anew) for one in entries]


def feed(state: str, login: str = "north") -> FeedChanged:
    return FeedChanged(login=login, state=state)


def alarm(what: str, source: str) -> AlarmRaised:
    return AlarmRaised(account=7, level="page", what=what, text="as it is", source=source)


UNANSWERED = DecisionCompared(
    account=7,
    release=OLD,
    against=NEW,
    rule="max-contracts",
    seq=1,
    decided_at=1,
    verdict="stricter",
    source="live",
    saw="",
    wanted="",
    other_saw="",
    other_wanted="",
    why="v1 asks for the goal, and v2 does not",
)


def test_a_feed_that_was_lost_and_came_back_is_a_reconnect_and_counts_once() -> None:
    states = ("trusted", "blind", "suspect", "trusted", "trusted", "polling", "trusted")

    found = told(*map(feed, states))

    assert found == [None, None, None, RECONNECT, None, None, RECONNECT]


def test_a_login_without_an_account_of_the_phase_shows_nothing() -> None:
    assert told(feed("blind", "south"), feed("trusted", "south")) == [None, None]


@pytest.mark.parametrize(("anew", "shown"), [((OURS,), RESTART), ((), None)])
def test_only_a_worker_that_was_started_in_the_phase_shows_a_restart(
    anew: tuple[str, ...], shown: str | None
) -> None:
    assert told(alarm("state regained", OURS), anew=anew) == [shown]


@pytest.mark.parametrize(
    ("what", "source", "is_damage"),
    [
        ("state differs", OURS, True),
        ("state differs", THEIRS, False),
        ("facts differ", OURS, True),
        ("facts differ", THEIRS, True),
        ("facts differ", f"worker-1@{OTHER}", False),
        ("releases differ", THEIRS, False),
    ],
)
def test_a_state_that_is_another_one_is_damage(what: str, source: str, is_damage: bool) -> None:
    (found,) = told(alarm(what, source))

    wanted = Damaged(account=7, release=NEW, at=100, what="state-diverged", detail="as it is")
    assert found == (wanted if is_damage else None)


def test_what_only_the_way_back_would_have_answered_is_damage() -> None:
    (found,) = told(UNANSWERED)

    assert isinstance(found, Damaged)
    assert (found.what, found.account) == ("breach-unanswered", 7)
    assert found.detail == "max-contracts: v1 asks for the goal, and v2 does not"


@pytest.mark.parametrize(
    "change",
    [
        {"release": OTHER},
        {"against": OTHER},
        {"release": NEW, "against": OLD},
        {"verdict": "looser"},
        {"verdict": "agrees"},
        {"source": "recorded"},
        {"rule": "kill-switch"},
    ],
)
def test_another_pair_another_verdict_and_a_rule_that_was_meant_to_change_prove_nothing(
    change: dict[str, str],
) -> None:
    assert told(msgspec.structs.replace(UNANSWERED, **change)) == [None]


def test_what_is_none_of_it_says_nothing() -> None:
    assert told(Pulse()) == [None]
