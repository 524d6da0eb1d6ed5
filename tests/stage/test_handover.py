"""What a hand-over bench says of its rounds: the broker's times, and nothing softened."""

from __future__ import annotations

from pathlib import Path

from risk_daemon.stage.handover import (
    EACH,
    LOGINS,
    Handovers,
    accounts,
    closes,
    first_shown,
    in_words,
    told_kind,
)
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


def test_a_short_run_answers_every_breach_and_lets_nothing_stale_out(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []
    run = Handovers(1, 5, lambda kind, text: said.append((kind, text)), ("promote", "kill_worker"))

    verdict = run.run(tmp_path / "home")

    found = len(accounts())
    assert found == LOGINS * EACH
    assert {kind: row["n"] for kind, row in verdict["kinds"].items()} == {
        "promote": found,
        "kill_worker": found,
    }
    zero = ("reversed", "increased", "duplicate_closes", "stale_accepted")
    assert {name: verdict[name] for name in zero} == dict.fromkeys(zero, 0)
    assert [kind for kind, _ in said] == ["steady", "promote", "kill_worker"]
    assert in_words(verdict)[1].startswith(f"promote: {found} breaches, unprotected ")
