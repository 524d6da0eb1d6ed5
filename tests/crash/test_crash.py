"""kill -9 of one process of each kind, under load: nothing is lost, and the verdict can say no."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from risk_daemon.core.events import Entry, FeedChanged, LockEnded, LockPlaced, ProtectionEnabled
from risk_daemon.journal.reader import Reader
from risk_daemon.stage.crash import (
    EXCESS,
    KINDS,
    LIMIT,
    in_words,
    shortened_locks,
    too_much,
)
from risk_daemon.stage.witness import Witness
from risk_daemon.wire.heart import LINK_IS_DOWN
from risk_daemon.wire.record import Record, decode, encode

DRIVE = Path(__file__).parent / "drive.py"
ALL = 1 << 62
HOUR = 3_600 * 10**9


@pytest.fixture(scope="module")
def crashed(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The verdict after one kill of each kind, and the journal it left."""
    folder = tmp_path_factory.mktemp("crash")
    words = [sys.executable, str(DRIVE), "--per-kind", "1", "--json", "--keep", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=110)
    assert done.stdout, done.stderr
    verdict = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == (0 if verdict["ok"] else 1)
    return verdict, folder / "home" / "state" / "journal.db"


def test_after_one_kill_of_each_kind_nothing_is_lost(crashed: tuple[dict[str, Any], Path]) -> None:
    verdict, _ = crashed

    assert verdict["problems"] == []
    assert verdict["ok"]
    assert {kind: row["kills"] for kind, row in verdict["kinds"].items()} == dict.fromkeys(KINDS, 1)
    assert verdict["breaches"] == verdict["answered"] >= len(KINDS)
    assert verdict["acknowledged"] > 0


def test_a_login_whose_link_was_killed_is_blind_until_the_next_one_has_read_it(
    crashed: tuple[dict[str, Any], Path],
) -> None:
    _, file = crashed
    reader = Reader(file)
    found = reader.records(1, ALL, ("feed-changed",), ALL).records
    reader.close()
    facts = [fact for record in found if isinstance(fact := decode(record).fact, FeedChanged)]
    north = [(fact.state, fact.why) for fact in facts if fact.login == "crash-north"]

    trusted = north.index(("trusted", ""))
    killed = north.index(("blind", LINK_IS_DOWN), trusted)
    assert ("trusted", "") in north[killed:]


# --- the verdict can say no --------------------------------------------------------


def placed(until: int | None) -> LockPlaced:
    return LockPlaced(
        account=1, lock="a", rule="r", mode="full", began_at=0, until=until, reason="because"
    )


def story(*facts: tuple[int, LockPlaced | LockEnded]) -> list[Entry]:
    return [Entry(seq, at, 1, fact) for seq, (at, fact) in enumerate(facts, start=1)]


def test_a_lock_that_ends_at_its_time_is_not_shortened() -> None:
    ended = LockEnded(account=1, lock="a", why="its time is over")

    assert shortened_locks(story((0, placed(HOUR)), (HOUR, ended)), set()) == []


def test_a_lock_that_ends_a_nanosecond_early_is_shortened() -> None:
    ended = LockEnded(account=1, lock="a", why="its time is over")

    (problem,) = shortened_locks(story((0, placed(HOUR)), (HOUR - 1, ended)), set())

    assert problem == "lock a of account 1 ended before its time: its time is over"


def test_a_lock_without_an_end_may_be_ended_by_a_person_only() -> None:
    by_person = LockEnded(account=1, lock="a", why="ended by anna: seen to")
    by_itself = LockEnded(account=1, lock="a", why="its time is over")

    assert shortened_locks(story((0, placed(None)), (HOUR, by_person)), set()) == []
    assert len(shortened_locks(story((0, placed(None)), (HOUR, by_itself)), set())) == 1


def test_a_lock_that_was_placed_and_is_not_in_force_is_a_problem() -> None:
    assert shortened_locks(story((0, placed(None))), {(1, "a")}) == []
    (problem,) = shortened_locks(story((0, placed(None))), set())
    assert problem == "lock a of account 1 was placed, never ended, and is not in force"


def test_what_was_acknowledged_and_is_not_in_the_file_is_named(
    crashed: tuple[dict[str, Any], Path], tmp_path: Path
) -> None:
    _, file = crashed
    fact = ProtectionEnabled(by="witness", reason="record 1 of the witness")
    witness = Witness(tmp_path)
    witness.acknowledged[ALL] = fact.reason
    witness.shown[ALL] = Record(ALL, 0, 1, "protection-enabled", 0, encode(fact), 0)
    witness.cut_back.append(12)

    assert witness.contradictions(file) == [
        "the journal was cut back to seq 12",
        f"seq {ALL} was shown as protection-enabled of account 0 and is lost",
        f"seq {ALL} was acknowledged (record 1 of the witness) and is lost",
    ]


def test_people_read_the_gaps_and_the_verdict() -> None:
    gap = {"n": 1, "p50": 12.5, "p95": 12.5, "p99": 12.5, "max": 12.5}
    row = {"kills": 1, "unsettled": 1, "gap_ms": gap}
    verdict = {
        "ok": False,
        "kinds": {"worker": row | {"enforced_ms": gap}},
        "breaches": 2,
        "answered": 1,
        "acknowledged": 9,
        "problems": ["something"],
    }

    assert in_words(verdict) == [
        "worker: 1 kills, 1 with a request unsettled; guarded again after 12.5 ms (median),"
        " 12.5 ms (worst); first close after 12.5 ms",
        "2 breaches, 1 answered; 9 promises acknowledged",
        "problem: something",
        "verdict: NOT ok",
    ]


HELD = some.dictionaries(
    some.sampled_from(("MNQ", "MES", "MCL")), some.integers(-9, 9).filter(bool)
)


@given(HELD)
def test_whatever_is_held_too_much_of_it_is_bought(held: dict[str, int]) -> None:
    order = too_much([{"contract": name, "q": quantity} for name, quantity in held.items()])

    sign = -1 if order["side"] == "sell" else 1
    after = held | {order["contract"]: held.get(order["contract"], 0) + sign * order["size"]}
    assert sum(map(abs, after.values())) >= LIMIT + EXCESS
