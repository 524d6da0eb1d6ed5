"""What a hand-over bench says of its rounds: the broker's times, and nothing softened."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from risk_daemon.core.events import Fact, GoalRefused, LeaseGranted, RequestSent
from risk_daemon.errors import OperatorError
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.file import JournalFile
from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.handover import (
    APART,
    AT_ONCE,
    Handovers,
    closes,
    first_shown,
    in_turn,
    in_words,
    page_of,
    stale_requests,
    told_kind,
)
from risk_daemon.wire.record import new_record
from tests.untraced import leave_children_untraced

leave_children_untraced()


def test_unprotected_is_what_exceeds_a_round_in_which_nothing_happens() -> None:
    told = told_kind([5.0, 12.0, 30.0], steady=10.0)

    assert told == {
        "n": 3,
        "p50_ms": 2.0,
        "p99_ms": 20.0,
        "max_ms": 20.0,
        "raw_p50_ms": 12.0,
        "raw_p99_ms": 30.0,
    }


def test_the_first_showing_of_each_account_counts() -> None:
    lines = [
        {"kind": "breach", "account": 1, "ns": 1_000_000},
        {"kind": "visible", "account": 1, "ns": 2_000_000},
        {"kind": "visible", "account": 1, "ns": 9_000_000},
        {"kind": "visible", "account": 2, "ns": 3_000_000},
    ]

    assert first_shown(lines) == {1: 2.0, 2: 3.0}


def test_only_closing_requests_are_closes() -> None:
    rows = [
        {"path": "/Order/cancel", "account": 1, "mono_ms": 1.0},
        {"path": "/Position/partialCloseContract", "account": 1, "mono_ms": 2.0},
        {"path": "/Position/closeContract", "account": 1, "mono_ms": 3.0},
    ]

    assert closes(rows) == {1: [2.0, 3.0]}


def test_every_request_of_a_long_journal_is_looked_at(tmp_path: Path) -> None:
    filler = GoalRefused(account=1, key="k" * 2_000, contract="MNQ", order=0, why="flat")
    facts: list[Fact] = [sent(epoch=2, highest=2), *[filler] * 1_200, sent(epoch=1, highest=2)]

    counts = stale_counts(tmp_path, facts)

    assert counts == {"stale_accepted": 1, "stale_refused": 0}


@pytest.mark.parametrize(
    ("stale", "facts"),
    [
        pytest.param(0, [("lease", 2), (1, 1)], id="left before the link saw the raise"),
        pytest.param(0, [(1, 1), (2, 2)], id="the goal of the new holder"),
        pytest.param(1, [(1, 2)], id="the link knew of a newer epoch"),
        pytest.param(1, [(2, 2), (1, 1)], id="the link had let a newer one out"),
        pytest.param(0, [(2, 2), (1, 0)], id="of an earlier run, only told again"),
    ],
)
def test_a_request_is_stale_if_its_link_knew_better(
    tmp_path: Path, stale: int, facts: list[tuple[int | str, int]]
) -> None:
    told: list[Fact] = [
        LeaseGranted(account=1, holder="w", release="v", epoch=second, incarnation=1)
        if first == "lease"
        else sent(epoch=int(first), highest=second)
        for first, second in facts
    ]

    assert stale_counts(tmp_path, told)["stale_accepted"] == stale


def stale_counts(folder: Path, facts: list[Fact]) -> dict[str, int]:
    sequencer = Sequencer()
    batch = Batch(1)
    batch.records = [sequencer.admit(new_record(fact), 1) for fact in facts]
    with closing(JournalFile(folder / "journal.db", 5)) as file:
        file.store(batch)
    return stale_requests(folder / "journal.db")


def sent(epoch: int, highest: int) -> RequestSent:
    return RequestSent(
        account=1,
        key="k",
        request="r",
        act="close",
        contract="MNQ",
        order=0,
        size=0,
        epoch=epoch,
        highest=highest,
    )


def test_a_short_run_answers_every_breach_and_lets_nothing_stale_out(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []
    run = Handovers(1, 5, lambda kind, text: said.append((kind, text)), ("promote", "kill_worker"))

    verdict = run.run(tmp_path / "home")

    found = AT_ONCE
    assert {kind: row["n"] for kind, row in verdict["kinds"].items()} == {
        "promote": found,
        "kill_worker": found,
    }
    zero = ("reversed", "increased", "duplicate_closes", "stale_accepted")
    assert {name: verdict[name] for name in zero} == dict.fromkeys(zero, 0)
    assert [kind for kind, _ in said] == ["steady", "promote", "kill_worker"]
    assert in_words(verdict)[1].startswith(f"promote: {found} breaches, unprotected ")


def test_a_round_is_of_every_login_and_everyone_has_their_turn() -> None:
    groups = in_turn(Crowd(2, 3), 2)
    first, second = Crowd(2, 3).accounts_of(0), Crowd(2, 3).accounts_of(1)

    assert [next(groups) for _ in range(4)] == [
        [first[0], second[0]],
        [first[1], second[1]],
        [first[2], second[2]],
        [first[0], second[0]],
    ]
    assert next(in_turn(Crowd(2, 3), 4)) == [first[0], second[0], first[1], second[1]]


@pytest.mark.parametrize("kind", sorted(APART))
def test_what_would_spoil_the_figures_of_others_is_a_run_by_itself(kind: str) -> None:
    with pytest.raises(OperatorError, match=f"{kind} is a run by itself: "):
        Handovers(20, 5, lambda *_: None, ("promote", kind))


def test_the_page_of_the_figures_has_a_row_for_each_kind() -> None:
    row = {"n": 20, "p50_ms": 2.0, "p99_ms": 20.0, "max_ms": 21.0}
    counts = ("reversed", "increased", "duplicate_closes", "stale_accepted", "stale_refused")
    verdict = {"kinds": {"kill_worker": row}, "steady": {"p50": 6.5}, **dict.fromkeys(counts, 0)}

    page = page_of(verdict, "2026-11-26", "two cores")

    assert "| kill worker | 20 | 2.0 | 20.0 | 21.0 | 100 |" in page
    assert "in which nothing happens\n(6.5 ms)." in page
    assert "duplicate closes 0, stale accepted 0" in page
