"""A rollout as a tree of text: whoever looks at it at night must find what is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from risk_daemon.rollout.picture import BAR, bar, groups, tree

MINUTE_NS = 60_000_000_000
NEW, OLD = "v2 (abc)", "v1 (def)"


def account(number: int, **changed: Any) -> dict[str, Any]:
    whole = {"account": number, "has": OLD, "epoch": 1, "at": "ready", "smoke": "", "reconcile": ""}
    return whole | {"why": ""} | changed


def rollout(**changed: Any) -> dict[str, Any]:
    now = {
        "phase": "canary",
        "accounts": 1,
        "state": "now",
        "dwell": {"wall_s": [3600, 86400], "open_minutes": [30, 60], "events": [2000, 0]},
        "unseen": ["reconnect"],
        "gates": [{"gate": "errors", "says": "pass", "sentence": "none", "overridden": False}],
    }
    whole: dict[str, Any] = {
        "release": "v2",
        "fallback": "v1",
        "stage": "canary",
        "part": "dwell",
        "why": "",
        "stuck": "",
        "holds": [],
        "overrides": [],
        "plan": {
            "minute_ns": MINUTE_NS,
            "phases": [{"name": "canary", "dwell": {"wall_ns": 24 * 60 * MINUTE_NS}}],
        },
        "phases": [
            {"phase": "shadow", "accounts": 0, "state": "over"},
            now,
            {"phase": "100", "accounts": 7, "state": "to come"},
        ],
        "on": {OLD: 6, NEW: 1},
        "accounts": [account(1, has=NEW, at="active", smoke="pass"), *map(account, range(2, 8))],
    }
    return whole | changed


def test_it_says_what_is_over_what_is_watched_and_what_is_to_come() -> None:
    assert tree(rollout()) == [
        "v2 over v1: canary, dwell",
        "├─ ✔ shadow   decides beside, on all   over",
        "├─ ▶ canary   1 account                now",
        f"│     watched   1 h 00 min of 24 h 00 min {bar(1, 24)}",
        f"│     market    30 of 60 min {bar(1, 2)}",
        "│     not witnessed yet: reconnect",
        "│     ✔ errors pass: none",
        "└─ ○ 100      7 accounts               to come",
        f"{NEW:<24} {bar(1, 7)} 1 of 7",
        f"{OLD:<24} {bar(6, 7)} 6 of 7",
    ]


def test_a_configuration_alone_is_named_by_its_commits_and_was_tried_on_copies() -> None:
    alone = {**rollout()["plan"], "kind": "configuration"}

    told = tree(rollout(plan=alone, commit="abc123", fallback_commit="def456"))

    assert told[0] == "configuration abc123 over configuration def456: canary, dwell"
    assert told[1] == "├─ ✔ shadow   tried on copies, of all  over"


@pytest.mark.parametrize("stage", ["draft", "canary", "aborted", "done"])
def test_an_emergency_is_shown_as_one_with_what_it_was_spared_to_its_end(stage: str) -> None:
    urgent = {**rollout()["plan"], "kind": "emergency", "by": "anna", "reason": "it loses"}
    said = ["EMERGENCY: no phase of 10 % and 50 %", "with 7 accounts a percentage is no sample"]

    told = tree(rollout(plan=urgent, said=said, stage=stage, why="crash"))

    assert told[1:4] == [
        "  EMERGENCY by anna: it loses",
        "  EMERGENCY: no phase of 10 % and 50 %",
        "  why: crash",
    ]


def test_what_stops_it_stands_right_below_its_name() -> None:
    hold = {"actor": "anna", "reason": "a look first"}
    accepted = {"person": "bert", "gate": "latency", "reason": "known"}

    told = tree(rollout(why="crash", stuck="torn", holds=[hold], overrides=[accepted], part=""))

    assert told[:5] == [
        "v2 over v1: canary",
        "  why: crash",
        "  STANDS STILL: torn",
        "  ON HOLD since anna said: a look first",
        "  ACCEPTED by bert: latency: known",
    ]


def test_what_holds_many_accounts_alike_is_one_line() -> None:
    holds = [
        {"actor": "controller", "reason": f"the smoke of account {number} says unmeasurable"}
        for number in (7, 8, 9)
    ]
    other = {"actor": "anna", "reason": "a look first"}

    told = tree(rollout(holds=[holds[0], other, *holds[1:]]))

    assert told[1:3] == [
        "  ON HOLD since controller said: the smoke of account 7 says unmeasurable"
        " (and the same of 2 more)",
        "  ON HOLD since anna said: a look first",
    ]


def test_what_differs_by_more_than_the_account_is_said_for_itself() -> None:
    holds = [
        {"actor": "controller", "reason": f"account 7 left the candidate for {name}"}
        for name in ("v1", "v2")
    ]

    assert len(tree(rollout(holds=holds))) == len(tree(rollout())) + 2


def test_a_gate_that_fails_is_shown_though_the_plan_does_not_ask_for_it() -> None:
    verdicts = [
        {"gate": "memory", "says": "hold", "sentence": "it grows"},
        {"gate": "latency", "says": "inconclusive", "sentence": "too few"},
        {"gate": "errors", "says": "fail", "sentence": "asked for already"},
    ]

    told = "\n".join(tree(rollout(judged={"verdicts": verdicts})))

    assert "‖ memory HOLD: it grows" in told
    assert "latency" not in told
    assert told.count("errors") == 1


def test_a_gate_that_a_person_accepted_says_so_and_one_that_is_silent_too() -> None:
    found = rollout()
    found["phases"][1]["gates"] = [
        {"gate": "errors", "says": "fail", "sentence": "two", "overridden": True},
        {"gate": "memory", "says": "nothing yet", "sentence": "", "overridden": False},
    ]

    told = "\n".join(tree(found))

    assert "✘ errors FAIL (accepted): two" in told
    assert "· memory nothing yet" in told


def test_the_last_phase_hangs_below_nothing() -> None:
    found = rollout()
    found["phases"] = found["phases"][1:2]

    assert tree(found)[1:3] == [
        "└─ ▶ canary   1 account                now",
        f"      watched   1 h 00 min of 24 h 00 min {bar(1, 24)}",
    ]


def test_accounts_that_are_alike_share_a_line() -> None:
    assert groups(rollout()) == [
        f"1: {NEW}, epoch 1, active (smoke pass)",
        f"2, 3, 4, 5, 6 and 1 more: {OLD}, epoch 1, ready",
    ]
    assert groups(rollout(accounts=[account(7, why="blind")])) == [
        f"7: {OLD}, epoch 1, ready: blind"
    ]


@pytest.mark.parametrize(
    ("has", "wants", "full"),
    [(0, 9, 0), (9, 9, BAR), (20, 9, BAR), (0, 0, BAR), (1, 2, BAR // 2), (1, 900, 1)],
)
def test_a_bar_is_a_share_and_never_longer_than_it_is(has: int, wants: int, full: int) -> None:
    assert bar(has, wants) == "█" * full + "░" * (BAR - full)
