"""The status page: what `/health` and the accounts' views say, as one plain HTML text. Pure.

It needs no script: it must work in any browser, from a phone, and while everything else is broken;
where script runs, that takes the page over and shows the same things alive. State is always a
word; colour only repeats it. Times are shown as the exchange's and as local, both labelled.
"""

from __future__ import annotations

from datetime import tzinfo
from html import escape
from typing import Any, Final

from risk_daemon.console import view as views
from risk_daemon.console.seen import Seen
from risk_daemon.operations.words import both_times, dollars, duration, in_words, iso, kind_of
from risk_daemon.wire.view import AccountView, DistanceView, LockView, PositionView

REFRESH_S: Final = 2
EVENTS_SHOWN: Final = 15

#: An icon of its own, so that a browser asks for none.
ICON: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Cpath fill='%230b5cad' d='M8 1 2 3v5c0 4 3 6 6 7 3-1 6-3 6-7V3z'/%3E%3C/svg%3E"
)


def page(seen: Seen, now: int, utc_ns: int, local: tzinfo | None) -> str:
    """Write the whole page. `local` None is the machine's own zone."""
    _, health = views.health(seen, now)
    when = both_times(iso(utc_ns), local)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<noscript><meta http-equiv="refresh" content="{REFRESH_S}"></noscript>'
        f"<title>Risk daemon: {escape(health['state'])}</title>"
        f'<link rel="icon" href="{ICON}"><link rel="stylesheet" href="/web/page.css">'
        '<script type="module" src="/web/page.js"></script></head><body>'
        f'<header><h1>Risk daemon</h1><span class="dim">{escape(seen.release)}</span>'
        f'<span class="dim">{when}</span></header><main>'
        f"{_verdict(health)}"
        f"<h2>Accounts</h2>{_accounts(seen, health, local)}"
        f"<h2>Processes</h2>{_processes(seen)}"
        f"<h2>Latest events</h2>{_events(seen, local)}"
        "</main></body></html>"
    )


def _verdict(health: dict[str, Any]) -> str:
    tone = {"healthy": "good", "degraded": "warn"}.get(health["state"], "bad")
    total = len(health["accounts"])
    if health["state"] == "healthy":
        text = f"Healthy: {_count(total, 'account')} guarded and connected."
    else:
        text = f"{health['state'].capitalize()}: {health['why']}."
    return f'<p class="verdict {tone}">{escape(text)}</p>'


def _count(number: int, noun: str) -> str:
    if number == 1:
        return f"the one {noun} is" if noun == "account" else f"1 {noun}"
    return f"all {number} {noun}s are" if noun == "account" else f"{number} {noun}s"


def _table(heads: list[str], rows: list[list[tuple[str, str]]], empty: str) -> str:
    """A table that becomes cards on a phone: each cell carries its own heading."""
    if not rows:
        return f'<p class="dim">{escape(empty)}</p>'
    head = "".join(
        f'<th class="{"num" if css == "num" else ""}">{escape(name)}</th>'
        for name, (_, css) in zip(heads, rows[0], strict=True)
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td data-label="{escape(name)}" class="{css}"><span>{cell}</span></td>'
            for name, (cell, css) in zip(heads, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return f'<table class="fold"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


# --- accounts ----------------------------------------------------------------


def _accounts(seen: Seen, health: dict[str, Any], local: tzinfo | None) -> str:
    rows = [_account(row, seen.views.get(row["account"]), local) for row in health["accounts"]]
    heads = ["Account", "Guard", "Positions", "Day P&L", "May trade", "Limits"]
    return _table(heads, rows, "The supervisor has not named any account yet.")


def _account(
    row: dict[str, Any], view: AccountView | None, local: tzinfo | None
) -> list[tuple[str, str]]:
    name = escape(row["name"] or str(row["account"]))
    known_as = " · ".join(part for part in (str(row["account"]), escape(row["login"])) if part)
    title = f"{name}<small>{known_as}</small>"
    guard = (
        f"guarded<small>{escape(str(row['holder']))}, epoch {row['epoch']}</small>"
        if not row["why"]
        else f"not guarded<small>{escape(row['why'])}</small>"
    )
    tone = "state good" if not row["why"] else "state bad"
    if view is None:
        unknown = ("unknown", "dim")
        return [(title, ""), (guard, tone), unknown, unknown, unknown, unknown]
    return [
        (title, ""),
        (guard, tone),
        (_positions(view.positions), ""),
        (_money(view), "num"),
        _may_trade(view, local),
        (_limits(view.distances), "limits"),
    ]


def _positions(positions: tuple[PositionView, ...]) -> str:
    if not positions:
        return '<span class="dim">flat</span>'
    return "".join(
        f"<div>{'long' if p.quantity > 0 else 'short'} {abs(p.quantity)} {escape(p.root)}"
        f" at {escape(p.average)}{'' if p.agreed else ' <small>being verified</small>'}</div>"
        for p in positions
    )


def _money(view: AccountView) -> str:
    if not view.pnl_known:
        return f"unknown<small>last known {escape(dollars(view.day_pnl))}</small>"
    return (
        f"{escape(dollars(view.day_pnl))}"
        f"<small>{escape(dollars(view.realized))} realized, "
        f"{escape(dollars(view.unrealized))} open</small>"
    )


MODES: Final = {
    "": ("yes", "state good"),
    "no-new-entry": ("no new entries", "state warn"),
    "reduce-only": ("only to reduce", "state warn"),
    "full": ("locked", "state bad"),
}


def _may_trade(view: AccountView, local: tzinfo | None) -> tuple[str, str]:
    """What the account may do, and for each lock why and until when."""
    text, tone = MODES.get(view.mode, (view.mode, "state warn"))
    if view.can_trade is False:
        text, tone = "no: the platform says so", "state bad"
    return escape(text) + "".join(_lock(lock, local) for lock in view.locks), tone


def _lock(lock: LockView, local: tzinfo | None) -> str:
    until = (
        "until an admin ends it"
        if lock.until is None
        else (f"until {both_times(lock.until, local)}")
    )
    return f"<small>{escape(lock.reason or lock.rule)}<br>{escape(until)}</small>"


def _limits(distances: tuple[DistanceView, ...]) -> str:
    measured = [d for d in distances if d.observed and d.limit]
    if not measured:
        return '<span class="dim">no rule has spoken</span>'
    return "".join(
        f"<div>{escape(d.rule)}: {escape(d.observed)} of {escape(d.limit)}"
        f"{'' if d.mode == 'enforce' else f' <small>{escape(d.mode)} only</small>'}</div>"
        for d in measured
    )


# --- processes and events ------------------------------------------------------


def _processes(seen: Seen) -> str:
    rows = [
        [
            (escape(str(row.get("name", ""))), ""),
            (escape(str(row.get("role", ""))), ""),
            (escape(str(row.get("state", ""))), _process_tone(row)),
            (escape(str(row.get("release", ""))), ""),
            (_for(row.get("since_s")), "num"),
            (_megabytes(row.get("memory_mb")), "num"),
            (_percent(row.get("cpu_percent")), "num"),
        ]
        for row in seen.status.get("processes", [])
    ]
    heads = ["Process", "Role", "State", "Release", "For", "Memory", "CPU"]
    return _table(heads, rows, "The supervisor has not answered yet.")


def _process_tone(row: dict[str, Any]) -> str:
    return "state good" if row.get("state") == "running" else "state warn"


def _for(seconds: object) -> str:
    return duration(seconds * 1_000) if isinstance(seconds, int | float) else ""


def _megabytes(memory: object) -> str:
    return f"{memory:.0f} MB" if isinstance(memory, int | float) else ""


def _percent(share: object) -> str:
    return f"{share:.0f} %" if isinstance(share, int | float) else ""


def _events(seen: Seen, local: tzinfo | None) -> str:
    latest = list(seen.events)[-EVENTS_SHOWN:]
    rows = [
        [
            (f"{entry.seq}", "num"),
            (escape(both_times(iso(entry.at), local)), "dim"),
            (str(entry.account) if entry.account else "", ""),
            (escape(kind_of(entry.fact).replace("-", " ")), ""),
            (escape(in_words(entry.fact)), ""),
        ]
        for entry in reversed(latest)
    ]
    return _table(["Seq", "When", "Account", "What", "Told"], rows, "Nothing has happened yet.")
