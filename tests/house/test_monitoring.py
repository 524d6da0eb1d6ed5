"""Rules and dashboard name metrics that exist, with labels they have, and pages that are there."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.house.loading import script

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "monitoring"
NAME = re.compile(r"\brisk_daemon_[a-z_]+")
#: A metric with what it is narrowed by, such as `risk_daemon_x{account=~"$account"}`.
NARROWED = re.compile(r"\b(risk_daemon_[a-z_]+)\{([a-z]+)")


@pytest.fixture(scope="module")
def metrics() -> dict[str, tuple[str, ...]]:
    return {name: labels for name, _, labels, _ in script("references").metric_rows()}


@pytest.fixture(scope="module")
def board() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((FOLDER / "grafana.json").read_text(encoding="utf-8"))
    return read


def rules() -> list[dict[str, Any]]:
    raw = YAML(typ="safe").load((FOLDER / "alerts.yml").read_text(encoding="utf-8"))
    return [rule for group in raw["groups"] for rule in group["rules"]]


def queries(board: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]


def narrowed_wrongly(query: str, metrics: dict[str, tuple[str, ...]]) -> list[str]:
    return [name for name, label in NARROWED.findall(query) if label not in metrics[name]]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_asks_for_metrics_that_exist_with_labels_they_have(
    rule: dict[str, Any], metrics: dict[str, tuple[str, ...]]
) -> None:
    named = set(NAME.findall(rule["expr"]))

    assert named <= set(metrics)
    assert named or rule["expr"].startswith("up{")
    assert narrowed_wrongly(rule["expr"], metrics) == []


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_a_rule_says_how_bad_it_is_what_to_type_and_which_page_has_more(
    rule: dict[str, Any],
) -> None:
    told = rule["annotations"]

    assert rule["labels"]["severity"] in ("warning", "critical")
    assert re.fullmatch(r"\d+[sm]", rule["for"])
    assert set(told) == {"summary", "next", "page"}
    assert (ROOT / told["page"]).is_file()
    assert rule["expr"].count("(") == rule["expr"].count(")")


def test_the_four_metrics_of_a_deployment_have_rules_with_their_limits() -> None:
    said = {
        rule["alert"]: (rule["expr"], rule["for"], rule["labels"]["severity"]) for rule in rules()
    }

    assert said["RiskDaemonDisconnected"][1:] == ("5m", "critical")
    assert said["RiskDaemonMemory"][0].endswith("> 700e6")
    assert said["RiskDaemonMemory"][2] == "warning"
    assert said["RiskDaemonErrors"][0].endswith("> 0.01")
    assert said["RiskDaemonErrors"][2] == "critical"
    assert "no metric has it" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_the_dashboard_is_what_its_script_writes() -> None:
    made = script("dashboard")

    is_fresh = (FOLDER / "grafana.json").read_text(encoding="utf-8") == made.text()

    assert is_fresh, f"docs/monitoring/grafana.json is stale: run {made.COMMAND}, and commit it"


def test_every_metric_stands_on_the_dashboard_and_nothing_else(
    board: dict[str, Any], metrics: dict[str, tuple[str, ...]]
) -> None:
    named = {name for query in queries(board) for name in NAME.findall(query)}

    assert named == set(metrics)
    assert [one for query in queries(board) for one in narrowed_wrongly(query, metrics)] == []


def test_a_legend_names_a_label_that_its_metric_has(
    board: dict[str, Any], metrics: dict[str, tuple[str, ...]]
) -> None:
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            asked = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            first = NAME.findall(target["expr"])[0]

            assert set(asked) <= set(metrics[first]), panel["title"]


def test_panels_have_ids_of_their_own_and_none_lies_on_another(board: dict[str, Any]) -> None:
    places = [panel["gridPos"] for panel in board["panels"]]
    ids = [panel["id"] for panel in board["panels"]]

    assert len(ids) == len(set(ids)) > 15
    assert all(place["x"] + place["w"] <= 24 for place in places)
    assert [pair for pair in itertools.combinations(places, 2) if overlap(*pair)] == []


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
    apart = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    return not (beside or apart)


def test_the_dashboard_has_what_grafana_asks_of_one(board: dict[str, Any]) -> None:
    variables = [one["name"] for one in board["templating"]["list"]]

    assert {"title", "uid", "schemaVersion", "panels", "time", "templating"} <= set(board)
    assert variables == ["source", "account"]
    assert all(
        panel["datasource"]["uid"] == "${source}"
        for panel in board["panels"]
        if panel["type"] != "row"
    )
    assert {panel["type"] for panel in board["panels"]} == {"row", "stat", "timeseries"}
