"""A recorded day is played by the simulated gateway, or refused in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.core.events import (
    Entry,
    Fact,
    MarkChanged,
    RequestSent,
    RequestSettled,
    TradeSeen,
)
from risk_daemon.operations.rollouts import recorded_day
from risk_daemon.sim.config import parse
from risk_daemon.sim.day import read
from risk_daemon.sim.timeline import ScenarioRefused

MNQ, UNIT = "CON.F.US.MNQ.Z26", 10**9
CONFIG = parse(
    {
        "traders": False,
        "logins": [{"user": "east", "api_key": "a-key-of-theirs", "accounts": [{"id": 101}]}],
    }
)


def trade(number: int, size: int = 1, **more: Any) -> TradeSeen:
    given: dict[str, Any] = {"account": 101, "contract": MNQ, "side": 0, "order": number}
    return TradeSeen(
        **given | {"trade": number, "size": size, "price": UNIT, "traded_at": 0} | more
    )


def mark(bid: int | None, ask: int | None, contract: str = MNQ) -> MarkChanged:
    scaled = [None if one is None else one * UNIT for one in (bid, ask)]
    return MarkChanged(contract=contract, bid=scaled[0], ask=scaled[1])


def steps(*facts: Fact) -> recorded_day.Day:
    """Make a day of facts, one per second."""
    return recorded_day.day_of(
        Entry(number, number * UNIT, getattr(fact, "account", 0), fact)
        for number, fact in enumerate(facts, start=1)
    )


def test_quotes_and_fills_become_steps_in_their_time() -> None:
    day = steps(mark(100, 101), trade(1, size=3), trade(2, side=1))

    assert day.steps == [
        {"at": 0.0, "quote": {"contract": "MNQ", "bid": "100", "ask": "101", "last": "100"}},
        {"at": 1.0, "order": order("buy", 3)},
        {"at": 2.0, "order": order("sell", 1)},
    ]
    assert day.accounts == {101}


def order(side: str, size: int) -> dict[str, Any]:
    return {"account": 101, "contract": "MNQ", "side": side, "size": size, "type": "market"}


def request(kind: type[RequestSent] | type[RequestSettled]) -> Fact:
    given: dict[str, Any] = {
        "account": 101,
        "key": "k",
        "request": "r",
        "act": "close",
        "contract": MNQ,
        "order": 0,
    }
    if kind is RequestSent:
        return RequestSent(**given, size=1, epoch=1)
    return RequestSettled(**given, how="flat")


def test_what_the_daemon_closed_is_left_out_and_counted() -> None:
    day = steps(trade(1), request(RequestSent), trade(2, side=1), request(RequestSettled), trade(3))

    assert [one["order"]["side"] for one in day.steps] == ["buy", "buy"]
    assert day.left_out == {"fills of the daemon's own closes": 1}


def test_a_fill_told_twice_or_taken_back_and_what_nobody_lists_are_left_out() -> None:
    day = steps(
        trade(1), trade(1), trade(2, voided=True), mark(None, 5), mark(5, 4), mark(1, 2, "OTHER")
    )

    assert len(day.steps) == 1
    assert day.left_out == {
        "one-sided quotes": 2,
        "of products that the simulated gateway does not list": 1,
    }


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.day"
    recorded_day.write(steps(mark(28_400, 28_401), trade(1), trade(2, account=999)), path)
    return path


def test_what_was_written_is_read_as_fast_as_asked_for_and_strangers_stay_out(file: Path) -> None:
    scenario, left_out = read(file, CONFIG, speed=2.0)

    assert [(one.at_s, one.verb) for one in scenario.steps] == [
        (0.0, "market"),
        (0.0, "quote"),
        (0.5, "order"),
    ]
    assert left_out == 1


def test_a_cut_file_is_refused(file: Path) -> None:
    file.write_text("\n".join(file.read_text().splitlines()[:-1]) + "\n")

    with pytest.raises(ScenarioRefused, match="has 2 steps and says 3; it was cut"):
        read(file, CONFIG)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("not json\n", "is no recorded day"),
        ('{"what": "recorded day", "format": 9}\n', "is no recorded day of format 1"),
        ('["a list"]\n', "is no recorded day of format 1"),
        ("", "is no recorded day of format 1"),
    ],
)
def test_another_file_is_refused(file: Path, text: str, told: str) -> None:
    file.write_text(text)

    with pytest.raises(ScenarioRefused, match=told):
        read(file, CONFIG)


def test_a_speed_of_nothing_is_refused(file: Path) -> None:
    with pytest.raises(ScenarioRefused, match="--speed is 0; allowed is a number above 0"):
        read(file, CONFIG, speed=0.0)


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "risk_daemon.programs.simgate", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_program_refuses_a_day_that_is_none_in_one_sentence(file: Path) -> None:
    file.write_text("not json\n")

    said = run("run", "--day", str(file))

    assert said.returncode == 2
    assert said.stderr.strip().endswith("is no recorded day (not JSON, a row per line)")
    assert len(said.stderr.strip().splitlines()) == 1


def test_the_program_says_what_it_cannot_record(tmp_path: Path) -> None:
    said = run("record", "--home", str(tmp_path / "none"), "--out", str(tmp_path / "a.day"))

    assert said.returncode == 5
    assert "there is no home at" in said.stderr
    assert not (tmp_path / "a.day").exists()


def lines(path: Path) -> Iterator[dict[str, Any]]:
    yield from map(json.loads, path.read_text().splitlines())


def test_what_is_written_says_what_it_is(file: Path) -> None:
    head, *rest = lines(file)

    assert (head["format"], head["what"], head["steps"]) == (1, "recorded day", 3)
    assert head["accounts"] == [101, 999]
    assert [row["at"] for row in rest] == [0.0, 1.0, 2.0]
