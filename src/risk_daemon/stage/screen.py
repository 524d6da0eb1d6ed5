"""The demo as a stranger watches it: the accounts, what just happened and why, how quick it was."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.errors import OperatorError
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway

LOOK_EVERY_S: Final = 0.5
LINES: Final = 12
BAR: Final = 10
FULL: Final = Decimal(1)
TIGHT: Final = Decimal("0.8")
STYLES: Final = {
    "breach": "red",
    "problem": "bold red",
    "answered": "green",
    "fault": "bold yellow",
    "act": "bold cyan",
    "daemon": "cyan",
    "stage": "bold",
}


class Screen:
    """One live picture: `say` adds a line of what happened, `look` asks both sides again."""

    def __init__(self, stream: TextIO, seconds: float) -> None:
        self._console = Console(file=stream)
        self._seconds = seconds
        self._clock = Clock()
        self._next_look = 0
        self._lines: deque[Text] = deque(maxlen=LINES)
        self._accounts: Sequence[Mapping[str, Any]] = ()
        self._verdict: Mapping[str, Any] = {}
        self._now_s = 0.0
        self._live: Live | None = None

    @contextlib.contextmanager
    def shown(self) -> Iterator[Screen]:
        """Show it while the play goes on; the last picture stays."""
        with Live(self._picture(), console=self._console, refresh_per_second=4) as self._live:
            yield self
            self._live.update(self._picture())
        self._live = None

    def say(self, kind: str, text: str) -> None:
        """Take a line of what happened; `visible` is for who reads line by line."""
        if kind == "visible":
            return
        for row in self._accounts:
            text = text.replace(f"account {row['account']}", str(row["name"]))
        line = Text(f"{kind:>9}  ", style=STYLES.get(kind, ""))
        self._lines.append(line.append(text, style=""))
        self._refresh()

    def look(self, gateway: Gateway, daemon: Daemon, now_s: float) -> None:
        """Ask the daemon for its accounts and the referee for its count, twice a second."""
        self._now_s = now_s
        if self._clock.steady_ns() < self._next_look:
            return
        self._next_look = self._clock.steady_ns() + int(LOOK_EVERY_S * SECOND_NS)
        with contextlib.suppress(OperatorError, OSError):
            # What does not answer while it is broken keeps its last picture.
            self._verdict = gateway.get("/verdict")
            self._accounts = daemon.api("/api/v1/accounts")["accounts"]
        self._refresh()

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._picture())

    def _picture(self) -> Group:
        happened = Group(*self._lines) if self._lines else Text("nothing yet", style="dim")
        return Group(
            _header(self._now_s, self._seconds, self._verdict),
            accounts_table(self._accounts),
            Panel(happened, title="what just happened, and why", title_align="left"),
        )


def _header(now_s: float, seconds: float, verdict: Mapping[str, Any]) -> Text:
    text = Text(f" {min(now_s, seconds):3.0f} of {seconds:.0f} s", style="bold")
    if not verdict:
        return text.append("  the daemon is starting", style="dim")
    text.append(f"   {verdict['breaches']} limits broken, {verdict['answered']} answered")
    late = int(verdict["late"])
    text.append(f", {late} late", style="bold red" if late else "green")
    latency = verdict["latency_ms"]
    if latency["n"]:
        text.append(
            f"   from breach to close request: {latency['p50']:.0f} ms usually,"
            f" {latency['max']:.0f} ms at worst"
        )
    return text


def accounts_table(accounts: Sequence[Mapping[str, Any]]) -> Table:
    """Draw the accounts: what each holds and made, how near it is to a limit, what binds it."""
    table = Table(expand=True, box=None, padding=(0, 1), header_style="bold")
    table.add_column("account", no_wrap=True)
    table.add_column("holds", no_wrap=True, max_width=26, overflow="ellipsis")
    table.add_column("day P&L", justify="right", no_wrap=True)
    table.add_column("nearest limit", no_wrap=True)
    table.add_column("state", ratio=1, no_wrap=True, overflow="ellipsis")
    for row in accounts:
        table.add_row(
            str(row["name"]), _holds(row), _money(str(row["day_pnl"])), _nearest(row), _state(row)
        )
    return table


def _holds(row: Mapping[str, Any]) -> Text:
    words = [f"{one['quantity']:+d} {one['root']}" for one in row["positions"]]
    return Text(", ".join(words)) if words else Text("flat", style="dim")


def _money(text: str) -> Text:
    amount = Decimal(text)
    style = "red" if amount < 0 else "green" if amount > 0 else "dim"
    return Text(f"{amount:+,.2f}", style=style)


def _nearest(row: Mapping[str, Any]) -> Text:
    """The limit of which most is used, as a bar and in figures; all of a size is no breach yet."""
    rows = [
        one
        for one in row["distances"]
        if one.get("used") is not None and one["rule"] != "kill-switch"
    ]
    if not rows:
        return Text("-", style="dim")
    nearest = max(rows, key=lambda one: Decimal(one["used"]))
    share = min(max(Decimal(nearest["used"]), Decimal(0)), FULL)
    filled = int(share * BAR)
    style = "red" if nearest["state"] == "breach" else "yellow" if share >= TIGHT else "green"
    bar = Text("█" * filled, style=style).append("░" * (BAR - filled), style="dim")
    return bar.append(f" {int(share * 100):3d} % {nearest['rule']}", style="")


def _state(row: Mapping[str, Any]) -> Text:
    if row["unknown"]:
        return Text(f"not known: {row['unknown'][0]}", style="bold yellow")
    if not row["connected"]:
        return Text(f"feed {row['feed']}: locks stand, nothing is decided", style="bold yellow")
    if row["locks"]:
        lock = row["locks"][-1]
        return Text(f"locked ({row['mode']}): {lock['reason']}", style="red")
    return Text(f"guarded by {row['holder']}", style="green")
