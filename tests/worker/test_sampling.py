"""What a worker tells of itself while a release is rolled out: nothing twice, nothing left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from risk_daemon.core.account import Doubt
from risk_daemon.core.engine import Poison
from risk_daemon.core.events import (
    DecisionCompared,
    Entry,
    Fact,
    FeedChanged,
    Pulse,
    RequestSent,
    RolloutStored,
    SampleTaken,
    Timed,
)
from risk_daemon.rules import CATALOG
from risk_daemon.wire import sample
from risk_daemon.wire.sample import Connected, Decided, Fired, Latencies, Reached
from risk_daemon.worker.goals import LATE_NS
from risk_daemon.worker.sampling import (
    AT_ONCE,
    FINGERPRINT,
    PAIRED_WITHIN_NS,
    PAIRS,
    TIMED_MAX,
    Sampler,
    fault_of,
    once_of,
)
from tests.build import (
    ACCOUNT,
    LOGIN,
    MS,
    SECOND,
    Stream,
    intents,
    lease,
    order,
    policy,
    reading,
    rule,
    trade,
)
from tests.worker.brought_back import brought_back

MINE, OTHER = "v1", "v2"


class Watched(Stream):
    """A stream whose every record a sampler sees too."""

    def __init__(
        self,
        name: str = "worker-1",
        release: str = MINE,
        catalog: Mapping[str, Any] = CATALOG,
    ) -> None:
        super().__init__(catalog)
        self.sampler = Sampler(name, release)
        self.told: list[Fact] = []
        #: What each record takes, in µs.
        self.takes = 7

    def feed(self, *facts: Fact, after: int = MS) -> list[Fact]:
        found: list[Fact] = []
        for fact in facts:
            found += self.one(fact, after)
        self.outputs += found
        return found

    def one(self, fact: Fact, after: int = MS) -> list[Fact]:
        self.seq += 1
        self.at += after
        entry = Entry(self.seq, self.at, getattr(fact, "account", 0), fact)
        self.entries.append(entry)
        outputs = self.engine.step(entry)
        self.sampler.timed(entry, self.takes * 1_000)
        self.told += self.sampler.take(entry, self.engine)
        return outputs

    def samples(self, kind: type) -> list[Any]:
        """The samples of a kind that were told."""
        bodies = [sample.decode(one.body) for one in self.told if isinstance(one, SampleTaken)]
        return [one for one in bodies if isinstance(one, kind)]


def row(stage: str) -> RolloutStored:
    return RolloutStored(rollout="r/1", revision=1, latch=f"r/1/{stage}/3", body=b"")


def watched(
    name: str = "worker-1", release: str = MINE, catalog: Mapping[str, Any] = CATALOG
) -> Watched:
    stream = Watched(name, release, catalog)
    stream.open(rule("max-contracts", limit=2), roots=("MNQ",))
    return stream


def rolled(name: str = "worker-1", release: str = MINE) -> Watched:
    stream = watched(name, release)
    stream.feed(row("canary"))
    return stream


# --- on and off ---


@pytest.mark.parametrize("stage", ["draft", "gated", "done", "aborted", "rolled back", ""])
def test_nothing_is_told_while_nothing_is_rolled_out(stage: str) -> None:
    stream = watched()
    stream.feed(row(stage))
    stream.fill(1, 1, 1)
    stream.pulse(90 * SECOND)

    assert stream.told == []


def test_a_row_of_another_make_begins_nothing() -> None:
    stream = watched()
    stream.feed(RolloutStored(rollout="r", revision=1, latch="canary", body=b""))
    assert not stream.sampler.is_on


def test_when_it_ends_what_was_begun_is_forgotten() -> None:
    stream = rolled()
    stream.fill(1, 1, 1)
    stream.feed(row("aborted"))
    stream.told.clear()
    stream.feed(row("canary"), row("10"))
    stream.pulse(60 * SECOND)

    (decided,) = stream.samples(Decided)
    assert decided.decided == (0, 0, 0)


# --- spans ---


def test_a_span_counts_what_was_decided_and_ends_ten_seconds_after_it_began() -> None:
    stream = rolled()
    begin = stream.at
    stream.fill(1, 1, 1)
    stream.mark("MNQ", "21000", "21001")
    stream.pulse(9 * SECOND)
    assert stream.samples(Decided) == []

    stream.pulse(SECOND)

    (decided,) = stream.samples(Decided)
    assert (decided.begin, decided.end) == (begin, stream.at)
    assert decided.decided == (2, 1, 0)
    assert (decided.failed, decided.failures) == ((0, 0, 0), ())
    assert decided.told == 1  # that the feed is there


def test_spans_follow_each_other_and_a_quiet_one_lasts_a_minute() -> None:
    stream = rolled()
    stream.pulse(10 * SECOND)  # the feed was told
    first = stream.samples(Decided)[0]
    for _ in range(59):
        stream.pulse()
    assert len(stream.samples(Decided)) == 1

    stream.pulse()
    second = stream.samples(Decided)[1]
    assert second.begin == first.end
    assert second.end - second.begin == 60 * SECOND


def test_an_attempt_to_enforce_is_a_class_of_its_own() -> None:
    stream = rolled()
    stream.fill(1, 1, 3)
    (intended,) = intents(stream.outputs)
    stream.send(intended)
    stream.pulse(10 * SECOND)

    assert stream.samples(Decided)[0].decided == (2, 0, 1)


class Odd:
    """A rule that raises on every third record, and else is the one it stands for."""

    def __init__(self, params: Any) -> None:
        self._rule = CATALOG["max-contracts"](params)
        self._looks = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rule, name)

    def check(self, world: Any, account: Any) -> Any:
        """Raise, or check."""
        self._looks += 1
        if self._looks % 3 == 0:
            raise ValueError("it is the third" + "." * 80)
        return self._rule.check(world, account)


def test_a_record_that_a_rule_raised_on_is_listed_with_its_place_and_no_other() -> None:
    stream = watched(catalog={**CATALOG, "max-contracts": Odd})
    stream.feed(row("canary"))
    begin = stream.seq
    for number in range(240):
        stream.feed(order(number + 1, 1, 1, status=3))
    stream.pulse(10 * SECOND)

    (decided,) = stream.samples(Decided)

    assert decided.failed == (80, 0, 0)
    assert len(decided.failures) == sample.FAILURES_MAX
    said = "rule:max-contracts: max-contracts failed: ValueError: it is the third"
    assert decided.failures[0].fingerprint.startswith(said)
    assert len(decided.failures[0].fingerprint) == len("rule:max-contracts: ") + FINGERPRINT
    first = decided.failures[0]
    assert [one.seq - first.seq for one in decided.failures[:3]] == [0, 3, 6]
    assert [one.nth - first.nth for one in decided.failures[:3]] == [0, 3, 6]
    assert first.seq - begin - 1 == first.nth


def test_what_a_rule_cannot_know_is_no_fault_of_the_release() -> None:
    stream = rolled()
    stream.account.doubts["rule:max-contracts"] = Doubt(since=1, why="there is no mark")
    stream.account.doubts["feed"] = Doubt(since=1, why="a rule failed: not this one")

    assert fault_of(stream.engine, ACCOUNT) == ""


def test_an_account_that_could_not_be_folded_is_a_fault() -> None:
    stream = rolled()
    stream.engine.poisoned[ACCOUNT] = Poison(7, "ValueError: " + "z" * 80)

    assert fault_of(stream.engine, ACCOUNT) == "poison: ValueError: " + "z" * 48


# --- who tells ---


def test_only_the_holder_tells_within_a_release_and_a_peer_goes_on_with_its_span() -> None:
    holder, peer = rolled("worker-1"), rolled("worker-2")
    for stream in (holder, peer):
        stream.fill(1, 1, 1)
        stream.pulse(10 * SECOND)
    assert peer.told == []

    first = holder.samples(Decided)[0]
    peer.feed(lease(2, "worker-2"))
    peer.pulse(60 * SECOND)
    assert peer.samples(Decided)[0].begin == first.end


def test_a_release_that_decides_beside_the_holder_tells_with_each_of_its_workers() -> None:
    told = []
    for name in ("worker-1@v2", "worker-2@v2"):
        stream = rolled(name, OTHER)
        stream.fill(1, 1, 1)
        stream.pulse(10 * SECOND)
        told.append([one for one in stream.told if isinstance(one, SampleTaken)])

    assert told[0] == told[1]
    assert len({once_of(one, 7) for one in told[0]}) == len(told[0]) == 2
    assert once_of(told[0][0], 7) != once_of(told[0][0], 8)
    assert all(one.release == OTHER for one in told[0])


def test_an_account_that_is_not_known_is_nobodys() -> None:
    stream = rolled()
    stream.one(compared(verdict="looser", account=99))

    assert stream.samples(Fired) == []


# --- other samples ---


def test_the_feed_is_told_again_in_each_phase_and_not_with_each_row_of_it() -> None:
    stream = rolled()
    stream.feed(row("canary"), row("10"), row("10"))

    assert [one.is_connected for one in stream.samples(Connected)] == [True, True]


def test_the_feed_is_told_at_the_beginning_and_when_it_changes() -> None:
    stream = rolled()
    stream.feed(FeedChanged(login="another", state="blind"))
    stream.feed(FeedChanged(login=LOGIN, state="trusted"))
    stream.feed(FeedChanged(login=LOGIN, state="blind"))

    assert [one.is_connected for one in stream.samples(Connected)] == [True, False]


def crowded(count: int) -> Watched:
    """So many accounts that are seen, with numbers that follow each other."""
    stream = watched()
    for number in range(ACCOUNT + 1, ACCOUNT + count):
        facts = policy(rule("max-contracts", limit=2)), lease(1), reading()
        stream.feed(*(msgspec.structs.replace(one, account=number) for one in facts))
    return stream


def test_of_many_accounts_so_many_are_told_of_at_once_and_the_others_with_the_next_pulses() -> None:
    stream = crowded(AT_ONCE + 2)

    stream.feed(row("canary"))
    assert len(stream.samples(Connected)) == AT_ONCE
    stream.pulse()

    told = [one.account for one in stream.samples(Connected)]
    assert told == [*range(ACCOUNT, ACCOUNT + AT_ONCE + 2)]
    stream.pulse()
    assert len(stream.samples(Connected)) == AT_ONCE + 2


def test_whose_feed_changed_before_its_turn_is_told_of_once() -> None:
    stream = crowded(AT_ONCE + 1)
    stream.feed(row("canary"))
    stream.feed(FeedChanged(login=LOGIN, state="blind"))
    stream.pulse()

    last = ACCOUNT + AT_ONCE
    told = [one.is_connected for one in stream.samples(Connected) if one.account == last]
    assert told == [False]


def test_of_many_spans_that_are_over_those_end_first_that_began_first() -> None:
    stream = crowded(AT_ONCE + 1)
    last = ACCOUNT + AT_ONCE
    stream.feed(row("canary"))
    stream.feed(Pulse())  # the last one's begins

    stream.feed(Pulse(), after=10 * SECOND)
    assert [one.account for one in stream.samples(Decided)] == [*range(ACCOUNT, last)]

    stream.feed(Pulse(), after=60 * SECOND)
    told = [one.account for one in stream.samples(Decided)]
    assert told[AT_ONCE:] == [last, *range(ACCOUNT, last - 1)]


def compared(
    verdict: str = "agrees", account: int = ACCOUNT, release: str = MINE, source: str = "live"
) -> DecisionCompared:
    return DecisionCompared(
        account=account,
        release=release,
        against=OTHER,
        rule="max-contracts",
        seq=5,
        decided_at=1,
        verdict=verdict,
        source=source,
        declared="tighter" if verdict == "declared" else "",
    )


@pytest.mark.parametrize(
    ("verdict", "how", "name"),
    [
        ("agrees", "agreeing", ""),
        ("looser", "looser", ""),
        ("stricter", "stricter", ""),
        ("declared", "declared", "tighter"),
    ],
)
def test_a_rule_that_fired_is_told_as_it_was_compared(verdict: str, how: str, name: str) -> None:
    stream = rolled()
    stream.feed(compared(verdict))

    (fired,) = stream.samples(Fired)
    assert (fired.rule, fired.how, fired.name) == ("max-contracts", how, name)


def test_what_nobody_can_tell_or_another_release_found_is_not_told() -> None:
    stream = rolled()
    stream.feed(compared("unseen"), compared(release=OTHER), compared(source="dreamt"))

    assert stream.samples(Fired) == []


@pytest.mark.parametrize(("source", "told"), [("live", 2), ("recorded", 1), ("generated", 1)])
def test_what_did_not_happen_live_is_told_and_not_counted_in_the_span(
    source: str, told: int
) -> None:
    stream = rolled()
    stream.feed(compared(source=source))
    stream.pulse(10 * SECOND)

    assert [one.source for one in stream.samples(Fired)] == [source]
    assert stream.samples(Decided)[0].told == told


def test_what_a_script_of_no_account_showed_is_told() -> None:
    stream = rolled()
    stream.feed(compared(source="generated", account=0))

    (fired,) = stream.samples(Fired)
    assert (fired.account, fired.rule, fired.source) == (0, "max-contracts", "generated")


@pytest.mark.parametrize(
    ("residues", "waits", "proof", "flaw"),
    [
        (0, 0, 0, ""),
        (0, 0, 20 * LATE_NS, ""),
        (0, LATE_NS, 0, "late"),
        (1, 0, 0, "residue"),
        (1, LATE_NS, 0, "residue"),
    ],
)
def test_a_goal_is_told_when_it_came_to_its_end_with_what_was_wrong_with_it(
    residues: int, waits: int, proof: int, flaw: str
) -> None:
    stream = rolled()
    brought_back(stream, residues, waits, proof)

    (reached,) = stream.samples(Reached)
    assert (reached.flaw, reached.account) == (flaw, ACCOUNT)
    assert reached.goal.startswith("CON.")


def test_a_request_of_another_contract_is_not_of_the_goal() -> None:
    stream = rolled()
    stream.feed(
        RequestSent(
            account=ACCOUNT, key="k", request="r", act="cancel", contract="OTHER", order=1, size=1,
            epoch=1,
        )
    )  # fmt: skip
    brought_back(stream, waits=LATE_NS)

    assert [one.flaw for one in stream.samples(Reached)] == ["late"]


def test_who_was_cut_off_is_not_late() -> None:
    stream = rolled()
    brought_back(stream, waits=LATE_NS, cut_off=True)

    (reached,) = stream.samples(Reached)
    assert reached.flaw == ""


# --- timing ---


def rows(release: str, *found: tuple[int, int]) -> Timed:
    return Timed(
        release=release, holder="h", rows=tuple((ACCOUNT, seq, took) for seq, took in found)
    )


def test_the_first_records_of_each_second_are_timed() -> None:
    stream = rolled()
    for number in range(TIMED_MAX):
        stream.fill(number, 1, 0)
    stream.pulse()
    stream.fill(99, 1, 0)
    stream.pulse()

    first, second = [one for one in stream.told if isinstance(one, Timed)]
    assert len(first.rows) == TIMED_MAX
    assert {row[2] for row in first.rows} == {7}
    assert [row[0] for row in second.rows] == [ACCOUNT, ACCOUNT]
    assert (first.release, first.holder) == (MINE, "worker-1")


@pytest.mark.parametrize(
    ("name", "release", "times"),
    [
        ("worker-1", MINE, True),
        ("worker-2", MINE, False),
        ("worker-1@v2", OTHER, True),
        ("worker-2@v2", OTHER, False),
    ],
)
def test_the_holder_times_and_one_of_those_who_decide_beside_it(
    name: str, release: str, times: bool
) -> None:
    stream = rolled(name, release)
    stream.fill(1, 1, 1)
    stream.pulse()

    assert any(isinstance(one, Timed) for one in stream.told) is times


def test_what_is_not_known_is_timed_for_nobody() -> None:
    stream = rolled()
    unknown = msgspec.structs.replace(trade(1, 1, 1), account=99)
    stream.sampler.timed(Entry(10_000, stream.at, 99, unknown), 5_000)
    stream.one(Pulse())

    assert [one for one in stream.told if isinstance(one, Timed)] == []


def test_timings_of_two_releases_for_one_record_are_paired_ten_at_a_time() -> None:
    stream = rolled()
    ours = [(seq, 100 + seq) for seq in range(1, PAIRS + 1)]
    theirs = [(seq, 200 + seq) for seq in range(1, PAIRS + 1)]
    stream.feed(rows(MINE, *ours[:5]), rows(OTHER, *theirs))
    assert stream.samples(Latencies) == []

    stream.feed(rows(MINE, *ours[5:]))

    (told,) = stream.samples(Latencies)
    assert told.ours == tuple(100 + seq for seq in range(1, PAIRS + 1))
    assert told.theirs == tuple(200 + seq for seq in range(1, PAIRS + 1))


def test_a_release_is_never_paired_with_itself_nor_two_others_with_each_other() -> None:
    stream = rolled()
    stream.feed(rows(MINE, (1, 5)), rows(MINE, (1, 6)))
    stream.feed(rows("v3", (2, 5)), rows("v4", (2, 6)))
    stream.feed(Timed(release=MINE, holder="h", rows=((99, 3, 5),)))
    stream.feed(Timed(release=OTHER, holder="h", rows=((99, 3, 5),)))

    assert stream.sampler._pairs == {}  # noqa: SLF001 - nothing was paired


def test_a_timing_that_the_other_does_not_tell_in_time_is_waited_for_no_longer() -> None:
    kept, gone = rolled(), rolled()
    for stream, late in ((kept, 0), (gone, 1)):
        stream.feed(rows(MINE, *[(seq, 5) for seq in range(1, PAIRS + 1)]))
        stream.feed(rows(OTHER), after=PAIRED_WITHIN_NS + late)
        stream.feed(rows(OTHER, *[(seq, 6) for seq in range(1, PAIRS + 1)]), after=0)

    assert [one.theirs for one in kept.samples(Latencies)] == [(6,) * PAIRS]
    assert gone.samples(Latencies) == []


def test_a_timing_is_stored_as_often_as_it_is_told() -> None:
    assert once_of(Timed(release=MINE, holder="h", rows=()), 7) == ""
