"""Write the Grafana dashboard of docs/monitoring from a table of its graphs.

    python scripts/dashboard.py             write docs/monitoring/grafana.json, if it is stale
    python scripts/dashboard.py --check     only say whether it is; exit 1 if so

`./dev docs` calls it. A graph is a line of `ROWS`; ids and places follow from the order.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).resolve().parents[1] / "docs" / "monitoring" / "grafana.json"
COMMAND: Final = "./dev docs"
SCHEMA: Final = 39
WIDTH: Final = 24
SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
ACCOUNTS: Final = '{account=~"$account"}'
MB: Final = 1_000_000


@dataclass(frozen=True)
class Graph:
    """One panel. `steps` colours values from so much on; the first colour is below all of them."""

    title: str
    query: str
    legend: str = ""
    unit: str = "short"
    width: int = 12
    kind: str = "timeseries"
    steps: tuple[tuple[str, float], ...] = ()
    below: str = "green"
    about: str = ""


BAD_AT_0: Final = (("green", 1.0),)
BAD_AT_1: Final = (("red", 1.0),)
ROWS: Final[tuple[tuple[str, tuple[Graph, ...]], ...]] = (
    (
        "Guarded",
        (
            Graph("Every account guarded", "min(risk_daemon_healthy)", kind="stat", width=6,
                  steps=BAD_AT_0, below="red", about="1 when each account is enforced and seen."),
            Graph("Switched off", "max(risk_daemon_disabled)", kind="stat", width=6,
                  steps=BAD_AT_1, about="1 after a stop on purpose."),
            Graph("Accounts enforced", "sum(risk_daemon_account_enforcing)", kind="stat", width=6),
            Graph("Accounts connected", "sum(risk_daemon_account_connected)", kind="stat", width=6),
            Graph("Not enforced", f"1 - risk_daemon_account_enforcing{ACCOUNTS}", "{{account}}",
                  steps=BAD_AT_1, about="1 while nobody enforces it."),
            Graph("Not connected", f"1 - risk_daemon_account_connected{ACCOUNTS}", "{{account}}",
                  steps=BAD_AT_1, about="1 while its feed is not trusted. Alert after 5 minutes."),
        ),
    ),
    (
        "Accounts",
        (
            Graph("Day P&L", f"risk_daemon_account_day_pnl_dollars{ACCOUNTS}", "{{account}}",
                  "currencyUSD", about="For the eye: nothing decides by it."),
            Graph("Realized", f"risk_daemon_account_realized_dollars{ACCOUNTS}", "{{account}}",
                  "currencyUSD"),
            Graph("Unrealized", f"risk_daemon_account_unrealized_dollars{ACCOUNTS}", "{{account}}",
                  "currencyUSD"),
            Graph("Locks in force", f"risk_daemon_account_locks{ACCOUNTS}", "{{account}}"),
            Graph("Changes of hands", f"changes(risk_daemon_account_epoch{ACCOUNTS}[5m])",
                  "{{account}}", about="Each raises the account's epoch: a fail-over or a move."),
            Graph("Age of what is shown", f"risk_daemon_account_view_age_ms{ACCOUNTS}",
                  "{{account}}", "ms", about="Grows while nothing happens: no fault by itself."),
        ),
    ),
    (
        "The stream",
        (
            Graph("Records a second, by kind", "rate(risk_daemon_records_total[1m])", "{{kind}}",
                  "ops", about="Without prices and hashes."),
            Graph("Records that could not be believed",
                  'rate(risk_daemon_records_total{kind=~"record-quarantined|goal-refused"}[5m])'
                  " / scalar(sum(rate(risk_daemon_records_total[5m])))",
                  "{{kind}}", "percentunit", steps=(("orange", 0.001), ("red", 0.01)),
                  about="A part of what the error rate of a rollout counts."),
            Graph("Places in the journal a second", "rate(risk_daemon_journal_last_seq[1m])",
                  unit="ops", about="It pulses once a second: never 0."),
            Graph("Journal answers", "min(risk_daemon_journal_connected)", kind="stat",
                  steps=BAD_AT_0, below="red"),
        ),
    ),
    (
        "Processes",
        (
            Graph("Memory, all of them", "sum(risk_daemon_process_memory_bytes)", unit="decbytes",
                  steps=(("orange", 500.0 * MB), ("red", 700.0 * MB)),
                  about="Target 500 MB, alert at 700 MB."),
            Graph("Memory", "risk_daemon_process_memory_bytes", "{{process}}", "decbytes"),
            Graph("CPU", "risk_daemon_process_cpu_percent", "{{process}}", "percent",
                  about="Of one core."),
            Graph("Since the last heartbeat", "risk_daemon_process_heartbeat_age_ms",
                  "{{process}}", "ms", steps=(("orange", 500.0), ("red", 1000.0)),
                  about="A worker beats every 100 ms and is killed after five that are missed."),
            Graph("Restarts in a row", "risk_daemon_process_restarts", "{{process}}",
                  steps=(("orange", 1.0), ("red", 3.0))),
        ),
    ),
)  # fmt: skip


def panels() -> Iterator[dict[str, Any]]:
    """Every panel, row after row, left to right."""
    number, top = 0, 0
    for title, graphs in ROWS:
        number += 1
        place = {"h": 1, "w": WIDTH, "x": 0, "y": top}
        yield {"id": number, "type": "row", "title": title, "gridPos": place, "panels": []}
        top, left, height = top + 1, 0, 0
        for graph in graphs:
            if left + graph.width > WIDTH:
                top, left, height = top + height, 0, 0
            number += 1
            tall = 4 if graph.kind == "stat" else 8
            place = {"h": tall, "w": graph.width, "x": left, "y": top}
            yield _panel(graph, number, place)
            left, height = left + graph.width, max(height, tall)
        top += height


def _panel(graph: Graph, number: int, place: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": graph.below, "value": None}]
    steps += [{"color": color, "value": value} for color, value in graph.steps]
    target = {"datasource": SOURCE, "expr": graph.query, "legendFormat": graph.legend, "refId": "A"}
    shown = {"unit": graph.unit, "thresholds": {"mode": "absolute", "steps": steps}}
    if graph.kind == "timeseries" and graph.steps:
        shown["custom"] = {"thresholdsStyle": {"mode": "dashed"}}
    return {
        "id": number,
        "type": graph.kind,
        "title": graph.title,
        "description": graph.about,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": shown, "overrides": []},
        "targets": [target],
    }


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it: the source of its numbers is chosen there."""
    source = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    account = {
        "name": "account", "label": "Account", "type": "query", "datasource": SOURCE,
        "query": "label_values(risk_daemon_account_enforcing, account)", "refresh": 2,
        "multi": True, "includeAll": True, "current": {"text": "All", "value": "$__all"},
    }  # fmt: skip
    return {
        "uid": "risk-daemon",
        "title": "Risk daemon",
        "tags": ["risk-daemon"],
        "schemaVersion": SCHEMA,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [source, account]},
        "annotations": {"list": []},
        "panels": list(panels()),
    }


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=1) + "\n"


def main(argv: list[str]) -> int:
    """Write it, or only say that it is stale."""
    is_fresh = FILE.is_file() and FILE.read_text(encoding="utf-8") == text()
    if is_fresh:
        print(f"docs/monitoring/{FILE.name}: is what its script writes")
        return 0
    if argv == ["--check"]:
        print(f"docs/monitoring/{FILE.name}: stale; `{COMMAND}` writes it anew")
        return 1
    FILE.write_text(text(), encoding="utf-8")
    print(f"docs/monitoring/{FILE.name}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
