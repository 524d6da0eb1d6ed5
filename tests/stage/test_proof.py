"""The lines of a deployment: what is typed, the page that shows it, and how a run is told."""

from __future__ import annotations

import datetime as dt
import socket
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.stage import brief
from risk_daemon.stage.contract_page import CHAPTERS, PAGE, UNMEASURED, page
from risk_daemon.stage.proof import ALL, JUDGES, Proof, in_words, judged_by
from tests.untraced import leave_children_untraced

leave_children_untraced()

ROOT = Path(__file__).resolve().parents[2]
LINES = [line for chapter in CHAPTERS for line in chapter.lines]
SHORT_CHAPTERS = (*brief.SHORT, *brief.ROLLBACK, *brief.EMERGENCY)
TODAY = dt.date(2026, 11, 27)


def verdict(**changed: Any) -> dict[str, Any]:
    rows = [{"seconds": number + 0.25, "problem": ""} for number, _ in enumerate(LINES)]
    whole = {
        "ok": True,
        "lines": rows,
        "rollback_total_s": 61.5,
        "left_out": ["the moon"],
        "problems": [],
    }
    return whole | changed


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.text)
def test_each_line_is_judged_by_something_that_can_be_said(line: brief.Line) -> None:
    assert line.judge in JUDGES
    assert judged_by(line)


@pytest.mark.parametrize("chapter", brief.DEPLOYMENT, ids=lambda chapter: chapter.name)
def test_each_phase_is_followed_by_the_smoke_lines(chapter: brief.Chapter) -> None:
    assert chapter.lines[1:] == brief.smoke()
    assert len(brief.smoke()) == 5


def test_the_phases_reach_one_account_a_tenth_half_and_all() -> None:
    assert [chapter.lines[0].argument for chapter in brief.DEPLOYMENT] == [1, 2, 10, ALL]


def test_the_timed_steps_of_a_rollback_are_allowed_less_than_five_minutes() -> None:
    timed = [line for one in brief.ROLLBACK if one.is_timed for line in one.lines]

    assert sum(line.within_s for line in timed) < 300


def test_the_page_shows_each_line_with_its_own_figure() -> None:
    text = page(verdict(), TODAY)

    for number, line in enumerate(LINES):
        row = (
            f"| `{line.text}` | {line.means} | {line.exit} | {line.within_s:g} s | {number}.25 s |"
        )
        assert row in text
    assert "Measured on 2026-11-27 by `./dev proof --write`" in text
    assert "took 61.5 s together" in text
    assert "* the moon" in text


def test_what_did_not_do_what_it_must_is_said_on_the_page() -> None:
    told = verdict()
    told["lines"][1]["problem"] = "took 3 s, allowed 2"

    assert "| 1.25 s: **took 3 s, allowed 2** |" in page(told, TODAY)


def test_a_page_without_a_run_says_that_nothing_is_measured() -> None:
    assert page(None).count(UNMEASURED) == len(LINES)


def test_the_page_that_is_here_has_every_line() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")

    missing = [
        line.text
        for line in LINES
        if f"| `{line.text}` | {line.means} | {line.exit} | {line.within_s:g} s |" not in text
    ]
    assert missing == [], "write it anew with `./dev proof --write`"


def test_people_read_what_was_left_out_and_what_is_wrong() -> None:
    told = in_words(verdict(ok=False, problems=["curl: took 3 s"]))

    assert "not in this run: the moon" in told
    assert "problem: curl: took 3 s" in told
    assert told[-1] == "verdict: NOT ok"
    assert in_words(verdict())[-1] == "verdict: every line does what it says"


def test_a_short_day_from_the_first_account_to_the_last_emergency() -> None:
    verdict = Proof(lambda *_: None, short=True, port=a_free_port()).run()

    assert verdict["problems"] == []
    assert len(verdict["lines"]) == len([line for one in SHORT_CHAPTERS for line in one.lines])
    assert 0 < verdict["rollback_total_s"] < 300


def a_free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
