"""What a worker tells of its own work: latencies, error episodes, flaws; each once, bounded."""

from __future__ import annotations

import pytest

from risk_daemon.core.engine import Poison
from risk_daemon.core.events import Entry, Fact, RequestSent
from risk_daemon.rules import CATALOG
from risk_daemon.worker import gauging
from risk_daemon.worker.gauging import Gauge
from risk_daemon.worker.goals import LATE_NS
from tests.build import (
    ACCOUNT,
    MS,
    Stream,
    intents,
    position,
    reading,
    rule,
)
from tests.worker.brought_back import brought_back


class Gauged(Stream):
    """A stream that a worker folds, with its gauge."""

    def __init__(self) -> None:
        super().__init__(CATALOG)
        self.gauge, self.is_mine = Gauge(), True

    def feed(self, *facts: Fact, after: int = MS) -> list[Fact]:
        found: list[Fact] = []
        for fact in facts:
            self.seq += 1
            self.at += after
            entry = Entry(self.seq, self.at, getattr(fact, "account", 0), fact)
            self.entries.append(entry)
            found += self.engine.step(entry)
            self.gauge.take(entry, self.engine, 7_900, is_mine=self.is_mine)
        self.outputs += found
        return found


def gauged() -> Gauged:
    stream = Gauged()
    stream.open(rule("max-contracts", limit=2), roots=("MNQ",))
    return stream


def asked(stream: Gauged, after: int = 0) -> tuple[int, list[list[int]]]:
    told = stream.gauge.since(after)
    return told["next"], told["decided"]


def test_a_broker_fact_is_told_with_what_it_took_and_once() -> None:
    stream = gauged()
    place, _ = asked(stream)
    stream.fill(1, 1, 1)
    stream.pulse()

    after, decided = asked(stream, place)

    assert decided
    assert all(row == [ACCOUNT, 7, 0] for row in decided)
    assert asked(stream, after) == (after, [])


def test_who_does_not_hold_an_account_tells_nothing_of_it() -> None:
    stream = gauged()
    place, _ = asked(stream)
    stream.is_mine = False
    stream.fill(1, 1, 1)

    assert asked(stream, place) == (place, [])


def test_a_worker_that_was_restarted_tells_all_of_its_new_count() -> None:
    stream = gauged()
    stream.fill(1, 1, 1)
    assert asked(stream, 1_000_000) == asked(stream)


def test_of_more_than_is_kept_the_number_is_told() -> None:
    stream = gauged()
    place, _ = asked(stream)
    fact = next(one for one in reversed(stream.entries) if one.account)
    for number in range(gauging.KEPT + 5):
        stream.gauge.take(fact, stream.engine, number, is_mine=True)

    told = stream.gauge.since(place)

    assert len(told["decided"]) <= gauging.KEPT
    assert told["lost"] + len(told["decided"]) == told["next"] - place


def test_what_nobody_asked_for_in_a_minute_is_forgotten_and_counted_as_lost() -> None:
    stream = gauged()
    stream.feed(reading())
    brought_back(stream)
    stream.pulse()
    place, decided = asked(stream)
    ended = stream.gauge.since(0)["ended"]
    assert decided
    assert ended

    stream.at += gauging.KEPT_NS
    stream.pulse()

    told = stream.gauge.since(0)
    assert (told["decided"], told["ended"]) == ([], [])
    assert told["lost"] == told["next"] == place


def test_an_episode_begins_once_and_again_with_another_fault() -> None:
    stream = gauged()
    place, _ = asked(stream)
    for why in ("first", "first", "second"):
        stream.engine.poisoned[ACCOUNT] = Poison(1, why)
        stream.feed(position(2))

    assert [row[2] for row in asked(stream, place)[1]] == [1, 0, 1]


@pytest.mark.parametrize(
    ("residues", "waits", "cut_off", "flaw"),
    [
        (0, 0, False, ""),
        (0, LATE_NS, False, "late"),
        (0, LATE_NS, True, ""),
        (1, 0, False, "residue"),
        (1, LATE_NS, False, "residue"),
    ],
)
def test_a_goal_is_told_when_it_came_to_its_end_with_what_was_wrong_with_it(
    residues: int, waits: int, cut_off: bool, flaw: str
) -> None:
    stream = gauged()
    brought_back(stream, residues, waits, cut_off=cut_off)

    assert stream.gauge.since(0)["ended"] == [[ACCOUNT, flaw]]


def test_a_goal_of_an_account_that_another_worker_holds_is_not_told() -> None:
    stream = gauged()
    stream.is_mine = False
    brought_back(stream)

    assert stream.gauge.since(0)["ended"] == []


def test_a_request_of_no_goal_changes_nothing() -> None:
    stream = gauged()
    stream.feed(
        RequestSent(
            account=ACCOUNT, key="k", request="r", act="cancel", contract="OTHER", order=1, size=1,
            epoch=1,
        )
    )  # fmt: skip
    stream.fill(1, 1, 3)
    (intended,) = intents(stream.outputs)
    stream.send(intended)
    stream.feed(
        RequestSent(
            account=ACCOUNT, key="k", request="r", act="cancel", contract="OTHER", order=1, size=1,
            epoch=1,
        )
    )  # fmt: skip

    assert stream.gauge.since(0)["ended"] == []
