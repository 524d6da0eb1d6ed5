"""Scenario files: what is refused and how, and that the steps happen when they should."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from risk_daemon.sim.timeline import Cast, ScenarioRefused, parse
from tests.sim.gateway_process import Gateway, call, running, until

ONE = 9000000101
CAST = Cast(frozenset({ONE}), frozenset({"north"}))
BUY = {"account": ONE, "contract": "MNQ", "side": "buy", "size": 2}
SCENARIO = f"""
begins: ready
timeline:
  - {{at: 0.2, fault: {{kind: payout, account: {ONE}, amount: 250.5}}}}
  - {{at: 0.0, order: {{account: {ONE}, contract: MNQ, side: buy, size: 2}}}}
  - {{at: 0.1, quote: {{contract: ES, bid: "6000.00", ask: "6000.25"}}}}
  - {{at: 0.3, market: {{moving: false}}}}
"""


def gateway_url(gateway: Gateway, path: str) -> str:
    return f"http://127.0.0.1:{gateway.control_port}{path}"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "a scenario is a mapping"),
        ({"timelines": []}, "a key is 'timelines'; did you mean timeline?"),
        ({"timeline": []}, "timeline is []; allowed is a list"),
        ({"timeline": [{}], "begins": "hole"}, "begins is 'hole'; did you mean whole?"),
        ({"timeline": ["x"]}, "timeline[0] is 'x'; allowed is a mapping"),
        ({"timeline": [{"market": {"moving": True}}]}, "timeline[0].at is None"),
        ({"timeline": [{"at": -1, "market": {}}]}, "timeline[0].at is -1"),
        ({"timeline": [{"at": 1}]}, "timeline[0] has nothing beside at"),
        ({"timeline": [{"at": 1, "odrer": BUY}]}, "a step is 'odrer'; did you mean order?"),
        ({"timeline": [{"at": 1, "order": 5}]}, "timeline[0].order is 5"),
        (
            {"timeline": [{"at": 1, "fault": {"kind": "hub_rest", "login": "north"}}]},
            "timeline[0].fault: kind is 'hub_rest'; did you mean hub_reset?",
        ),
        (
            {"timeline": [{"at": 1, "fault": {"kind": "rate_limit", "seconds": 1, "retry": 1}}]},
            "an option of rate_limit is 'retry'; did you mean retry_after?",
        ),
        (
            {"timeline": [{"at": 1, "fault": {"kind": "freeze", "seconds": 1, "login": "norht"}}]},
            "login is 'norht'; did you mean north?",
        ),
        (
            {"timeline": [{"at": 1, "order": BUY | {"account": 9000000110}}]},
            "account is 9000000110; did you mean 9000000101?",
        ),
        ({"timeline": [{"at": 1, "order": BUY | {"contract": "MNG"}}]}, "did you mean MNQ?"),
        ({"timeline": [{"at": 1, "order": BUY | {"sise": 1}}]}, "did you mean size?"),
        ({"timeline": [{"at": 1, "order": {"account": ONE}}]}, "contract is None"),
        ({"timeline": [{"at": 1, "quote": {"bid": 1, "ask": 2}}]}, "contract is None"),
        ({"timeline": [{"at": 1, "profile": {"name": "wild"}}]}, "profile is 'wild'"),
    ],
)
def test_a_wrong_scenario_is_refused_with_the_place_and_the_nearest_right_name(
    data: object, words: str
) -> None:
    with pytest.raises(ScenarioRefused) as caught:
        parse(data, CAST)

    assert words in str(caught.value)


def test_steps_are_played_in_the_order_of_their_time() -> None:
    steps = [{"at": 2, "market": {"moving": True}}, {"at": 1.5, "order": BUY}]
    scenario = parse({"timeline": steps}, CAST)

    assert [(step.at_s, step.verb) for step in scenario.steps] == [(1.5, "order"), (2.0, "market")]
    assert scenario.begins == "whole"


def test_a_file_is_played_by_the_program(scenario: Path, tmp_path: Path) -> None:
    file = tmp_path / "timeline.yaml"
    file.write_text(SCENARIO)
    with running(scenario, "--scenario", str(file)) as gateway:
        until(lambda: gateway.control("/scenario")["is_over"])
        truth = gateway.truth(ONE)

        assert [row["q"] for row in truth["positions"]] == [2]
        assert truth["balance"] == pytest.approx(50_000 - 2 * 0.62 - 250.5)
        assert gateway.control("/scenario")["done"] == 4


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "can't be read"),
        ("timeline: [", "is not YAML"),
        ("timeline: [{at: 1, falt: {}}]", "timeline[0]: a step is 'falt'; did you mean fault?"),
    ],
)
def test_a_bad_file_is_one_sentence_and_exit_code_2(
    scenario: Path, tmp_path: Path, text: str | None, words: str
) -> None:
    file = tmp_path / "timeline.yaml"
    if text is not None:
        file.write_text(text)
    command = [sys.executable, "-m", "risk_daemon.programs.simgate", "run"]
    command += ["--config", str(scenario), "--scenario", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "timeline.yaml: " + words in done.stderr
    assert done.stderr.count("\n") == 1


def test_scenarios_come_by_the_control_port_and_are_told_by_their_number(
    gateway: Gateway,
) -> None:
    waits = {"timeline": [{"at": 0.5, "order": BUY}]}
    begins = {"begins": "ready", "timeline": [{"at": 0, "market": {"moving": False}}]}

    assert "n is '0'; allowed is 1 to 0" in call(gateway_url(gateway, "/scenario"))[1]["error"]
    assert gateway.control("/scenario", waits) == {"scenario": 1, "steps": 1}
    assert gateway.control("/scenario", begins) == {"scenario": 2, "steps": 1}
    assert "did you mean whole" in gateway.refused("/scenario", waits | {"begins": "hole"})
    until(lambda: gateway.control("/scenario")["is_over"])
    assert gateway.control("/scenario?n=1")["began"] is False


def test_a_step_that_cannot_be_done_any_more_is_told_and_the_others_are_played(
    gateway: Gateway,
) -> None:
    odd = {"account": ONE, "act": "dance"}
    steps = [{"at": 0, "announce": odd}, {"at": 0.01, "market": {"moving": False}}]
    gateway.control("/scenario", {"begins": "ready", "timeline": steps})
    told = until(lambda: (found := gateway.control("/scenario"))["is_over"] and found)

    assert "announce at 0 s: act is 'dance'" in told["answers"][0]["error"]
    assert told["answers"][1] == {}
