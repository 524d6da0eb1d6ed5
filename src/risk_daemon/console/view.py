"""From what was seen to what people read: JSON answers and metrics. Pure.

`/health` is strict on purpose: an account counts as guarded when the supervisor
says who enforces it, that worker says so itself, its feed is trusted, and both
are fresh. Whatever is not known counts as not guarded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from risk_daemon.console.seen import Seen
from risk_daemon.core.events import Entry
from risk_daemon.operations.accounts import guard
from risk_daemon.operations.alerts.alerting import Look
from risk_daemon.operations.alerts.outbox import Alarm
from risk_daemon.operations.words import in_words, iso, kind_of

API_VERSION: Final = 1
#: The supervisor is asked every second: three missed answers and its word is old.
STATUS_FRESH_NS: Final = 4_000_000_000
#: The journal pulses every second.
RECORD_FRESH_NS: Final = 4_000_000_000
_MS: Final = 1_000_000


def age_ms(then: int, now: int) -> int | None:
    """Age of something that arrived at a steady time; None where it never did."""
    return (now - then) // _MS if then else None


def account_health(seen: Seen, row: dict[str, Any], now: int) -> dict[str, Any]:
    """One account: who enforces it, whether it is connected, how old that is, and what is wrong."""
    account = int(row["account"])
    view = seen.views.get(account)
    enforcing = bool(row.get("enforcing")) and view is not None and view.enforcing
    connected = view is not None and view.connected
    return {
        "account": account,
        "name": view.name if view else seen.names.get(account, ""),
        "login": view.login if view else "",
        "release": row.get("release", ""),
        "holder": row.get("holder", ""),
        "epoch": row.get("epoch", 0),
        "enforcing": enforcing,
        "connected": connected,
        "feed": view.feed if view else "unknown",
        "mode": view.mode if view else "unknown",
        "view_age_ms": age_ms(seen.view_at.get(account, 0), now),
        "why": account_objection(seen, row, now),
    }


def account_objection(seen: Seen, row: dict[str, Any], now: int) -> str:
    """Say why an account is not guarded, or nothing."""
    return guard.objection(row, seen.views.get(int(row["account"]))) or _stale(seen, now)


def _stale(seen: Seen, now: int) -> str:
    """What makes every account's word old at once."""
    if now - seen.status_at > STATUS_FRESH_NS:
        return "the supervisor does not answer"
    if not seen.journal_connected or now - seen.record_at > RECORD_FRESH_NS:
        return "the journal does not answer"
    return ""


def health(seen: Seen, now: int) -> tuple[int, dict[str, Any]]:
    """The HTTP status and body of `/health`: 200 only when every account is guarded."""
    rows = [account_health(seen, row, now) for row in seen.status.get("accounts", [])]
    guarded = [row for row in rows if not row["why"]]
    state = guard.state(len(rows), len(guarded), seen.disabled is not None)
    body = {
        "version": API_VERSION,
        "ok": state == "healthy",
        "state": state,
        "why": _overall(seen, rows, now),
        "release": seen.release,
        "guarded": len(guarded),
        "accounts": rows,
        "disabled": disabled(seen),
        "supervisor_age_ms": age_ms(seen.status_at, now),
        "journal": {
            "connected": seen.journal_connected,
            "last_seq": seen.last_seq,
            "age_ms": age_ms(seen.record_at, now),
        },
    }
    return (200 if state == "healthy" else 503), body


def _overall(seen: Seen, rows: list[dict[str, Any]], now: int) -> str:
    """One sentence for who reads nothing else."""
    if seen.disabled is not None:
        return f"protection was switched off by {seen.disabled.by}: {seen.disabled.reason}"
    if not seen.status_at:
        return "the supervisor has not answered yet"
    if not rows:
        return "no account is assigned"
    wrong = [row for row in rows if row["why"]]
    if not wrong:
        return ""
    return _stale(seen, now) or f"{len(wrong)} of {len(rows)} accounts are not guarded"


def disabled(seen: Seen) -> dict[str, str] | None:
    """Who switched protection off, why, and since when."""
    if seen.disabled is None:
        return None
    since = iso(seen.disabled_since)
    return {"by": seen.disabled.by, "reason": seen.disabled.reason, "since": since}


def accounts(seen: Seen, now: int) -> dict[str, Any]:
    """Body of `/api/v1/accounts`."""
    return {
        "version": API_VERSION,
        "accounts": [account(seen, number, now) for number in sorted(seen.views)],
    }


def account(seen: Seen, number: int, now: int) -> dict[str, Any] | None:
    """Body of `/api/v1/accounts/{id}`: the view as published, and its age."""
    view = seen.views.get(number)
    if view is None:
        return None
    body: dict[str, Any] = msgspec.to_builtins(view)
    body["age_ms"] = age_ms(seen.view_at.get(number, 0), now)
    return body


def processes(seen: Seen, now: int) -> dict[str, Any]:
    """Body of `/api/v1/processes`."""
    return {
        "version": API_VERSION,
        "age_ms": age_ms(seen.status_at, now),
        "processes": list(seen.status.get("processes", [])),
    }


def events(seen: Seen, limit: int) -> dict[str, Any]:
    """Body of `/api/v1/events`: the latest, newest last; marks and pulses are not among them."""
    latest = list(seen.events)[-limit:] if limit > 0 else []
    return {"version": API_VERSION, "events": [event(entry) for entry in latest]}


def event(entry: Entry) -> dict[str, Any]:
    """One record as JSON."""
    fact = entry.fact
    return {
        "seq": entry.seq,
        "at": iso(entry.at),
        "account": entry.account,
        "kind": kind_of(fact),
        "words": in_words(fact),
        "fact": msgspec.to_builtins(fact),
    }


def alarms(seen: Seen, limit: int) -> dict[str, Any]:
    """Body of `/api/v1/alarms`: the latest that were delivered, newest last."""
    latest = list(seen.alarms)[-limit:] if limit > 0 else []
    return {"version": API_VERSION, "alarms": [alarm(one) for one in latest]}


def alarm(one: Alarm) -> dict[str, Any]:
    """One alarm as JSON."""
    return {
        "seq": one.place.seq,
        "at": iso(one.at),
        "account": one.account,
        "level": one.level,
        "what": one.what,
        "text": one.text,
        "source": one.source,
    }


# --- what is looked at for alarms ---


def look(seen: Seen, now: int, house: Mapping[str, float | None]) -> Look | None:
    """Take what was counted, and say what is true now; None while nothing can be known.

    `house` are figures that others looked up. While protection is off on purpose nobody is called
    because a login is not connected: people were told of that.
    """
    if not seen.status_at or _stale(seen, now):
        return None
    counted = seen.take_counted()
    held = {one.contract for view in seen.views.values() for one in view.positions}
    return Look(
        at=now,
        latencies_us=tuple(counted.latencies_us),
        decided=counted.decided,
        failed=counted.failed,
        memory_mb=sum(row.get("memory_mb") or 0.0 for row in seen.status.get("processes", [])),
        apart=() if seen.disabled is not None else _apart(seen),
        lost=tuple(counted.lost),
        stale=tuple(sorted(seen.stale & held)),
        **house,
    )


def _apart(seen: Seen) -> tuple[str, ...]:
    """Logins of guarded accounts that are not connected."""
    guarded = {int(row["account"]) for row in seen.status.get("accounts", [])}
    return tuple(
        sorted(
            {
                view.login
                for number, view in seen.views.items()
                if number in guarded and not view.connected
            }
        )
    )


# --- metrics -----------------------------------------------------------------

type Sample = tuple[str, dict[str, str], float]


class Metric(msgspec.Struct, frozen=True):
    """One family: its name is a promise (docs/formats/metrics.md)."""

    name: str
    kind: str
    help: str
    samples: tuple[Sample, ...]


def metrics(seen: Seen, now: int) -> list[Metric]:
    """Every family of `/metrics`."""
    _, body = health(seen, now)
    return [
        _one("risk_daemon_healthy", "1 when every account is guarded", float(body["ok"])),
        _one("risk_daemon_disabled", "1 when switched off", float(seen.disabled is not None)),
        _one("risk_daemon_journal_connected", "1 while it answers", float(seen.journal_connected)),
        _one("risk_daemon_journal_last_seq", "Highest seq seen", float(seen.last_seq)),
        Metric("risk_daemon_records_total", "counter", "Records seen by kind", _kinds(seen)),
        *_account_metrics(body["accounts"]),
        *_money_metrics(seen),
        *_process_metrics(seen),
    ]


def _one(name: str, text: str, value: float) -> Metric:
    return Metric(name, "gauge", text, (("", {}, value),))


def _kinds(seen: Seen) -> tuple[Sample, ...]:
    return tuple(("", {"kind": kind}, float(count)) for kind, count in sorted(seen.kinds.items()))


def _account_metrics(rows: list[dict[str, Any]]) -> Iterator[Metric]:
    """What `/health` says, as numbers."""
    told = {
        "risk_daemon_account_enforcing": ("enforcing", "1 while a worker enforces it"),
        "risk_daemon_account_connected": ("connected", "1 while its feed is trusted"),
        "risk_daemon_account_epoch": ("epoch", "Epoch of its lease"),
        "risk_daemon_account_view_age_ms": ("view_age_ms", "Age of what its worker published"),
    }
    for name, (key, text) in told.items():
        samples = tuple(
            ("", {"account": str(row["account"])}, float(row[key]))
            for row in rows
            if row[key] is not None
        )
        yield Metric(name, "gauge", text, samples)


def _money_metrics(seen: Seen) -> Iterator[Metric]:
    """P&L for graphs; nothing decides on these floats."""
    for key in ("realized", "unrealized", "day_pnl"):
        samples = tuple(
            ("", {"account": str(number)}, float(getattr(view, key)))
            for number, view in sorted(seen.views.items())
        )
        name = f"risk_daemon_account_{key}_dollars"
        yield Metric(name, "gauge", f"The trade date's {key.replace('_', ' ')}", samples)
    locks = tuple(
        ("", {"account": str(number)}, float(len(view.locks)))
        for number, view in sorted(seen.views.items())
    )
    yield Metric("risk_daemon_account_locks", "gauge", "Locks in force", locks)


def _process_metrics(seen: Seen) -> Iterator[Metric]:
    rows = seen.status.get("processes", [])
    for key, name, text, unit in (
        ("memory_mb", "risk_daemon_process_memory_bytes", "Proportional set size", 1e6),
        ("cpu_percent", "risk_daemon_process_cpu_percent", "Share of one core", 1.0),
        ("heartbeat_age_ms", "risk_daemon_process_heartbeat_age_ms", "Since its last beat", 1.0),
        ("restarts", "risk_daemon_process_restarts", "Restarts in a row", 1.0),
    ):
        samples = tuple(
            ("", {"process": str(row["name"])}, float(row[key]) * unit)
            for row in rows
            if row.get(key) is not None
        )
        yield Metric(name, "gauge", text, samples)
