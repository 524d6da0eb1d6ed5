"""Looking at a daemon: status, health, why. Says what it knows and from where.

The running processes are asked first; where they are silent, the state file
answers, opened read-only, and the answer says so.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from risk_daemon.core.events import Entry
from risk_daemon.errors import NotFound, NotReachable, OperatorError
from risk_daemon.journal.schema import FREQUENT
from risk_daemon.operations import daemon, home, state_file
from risk_daemon.operations.accounts import guard
from risk_daemon.operations.alerts import alarms, channel_sink, channels
from risk_daemon.operations.configuration import flags_kept, overridden, postponed
from risk_daemon.operations.configuration.flags import Flag
from risk_daemon.operations.configuration.in_force import in_force, policies_in_force
from risk_daemon.operations.configuration.postponed import Postponed, waiting_lines
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import DEGRADED, DONE, FAILED, UNREACHABLE, Outcome
from risk_daemon.operations.words import (
    both_times,
    count,
    dollars,
    duration,
    in_words,
    iso,
    kind_of,
)
from risk_daemon.wire.record import KINDS, Record, decode
from risk_daemon.wire.view import AccountView

EVENTS_SHOWN: Final = 15
#: The journal pulses every second: a stream that stands longer has stopped.
ADVANCES_WITHIN_MS: Final = 3_000
HEALTH_WITHIN_S: Final = 2.0
EXITS: Final = {"healthy": DONE, "degraded": DEGRADED, "down": FAILED}
#: Kinds worth a line: neither prices, nor pulses, nor hashes.
TOLD: Final = tuple(kind for kind in KINDS if kind not in FREQUENT)
#: Kinds that come from the broker.
BROKER_KINDS: Final = (
    "account-seen",
    "order-changed",
    "position-changed",
    "trade-seen",
    "mark-changed",
    "reconciled",
)


# --- health --------------------------------------------------------------------


def health(at: Home) -> Outcome:
    """The console's answer, else the supervisor's; 0 healthy, 3 degraded, 1 down."""
    try:
        body = console_health(at)
    except NotReachable as silent:
        return _health_without_console(at, silent)
    return Outcome(
        (
            f"{body['state']}: {body['why'] or 'every account is guarded and connected'}",
            *_rows(body),
        ),
        EXITS[body["state"]],
        body,
        next_command="" if body["ok"] else "risk-daemon-admin status",
    )


def _rows(body: Mapping[str, Any]) -> list[str]:
    return [
        f"{row['account']} {row['name']}: {row['why'] or 'guarded'}"
        f" ({row['holder'] or 'nobody'}, epoch {row['epoch']}, {row['release'] or 'no release'})"
        for row in body["accounts"]
    ]


def console_health(at: Home) -> dict[str, Any]:
    """Ask the console over HTTP; it answers from memory or not at all."""
    try:
        port = json.loads((at.run / "console.json").read_text())["port"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HEALTH_WITHIN_S)
        with contextlib.closing(connection):
            connection.request("GET", "/health")
            body: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        raise NotReachable(f"the console does not answer ({error})") from None
    return body


def _health_without_console(at: Home, silent: NotReachable) -> Outcome:
    try:
        status = daemon.status(at)
    except OperatorError:
        return _down(at)
    rows = status.get("accounts", [])
    guarded = sum(bool(row.get("enforcing")) for row in rows)
    line = f"degraded: {silent.sentence}; {guarded} of {count(len(rows), 'account')} enforced"
    return Outcome((line,), DEGRADED, {"state": "degraded", **status})


# --- status --------------------------------------------------------------------


def status(at: Home, *, show_events: bool) -> Outcome:
    """Accounts, processes and the stream; with `show_events` the latest records."""
    about = home.read(at)
    try:
        known = daemon.status(at)
    except OperatorError:
        return _down(at, events=show_events)
    rows = known.get("accounts", [])
    live = _live(at, [row["account"] for row in rows], EVENTS_SHOWN if show_events else 0)
    views, journal = live.views, live.journal
    wrong = {row["account"]: guard.objection(row, views.get(row["account"])) for row in rows}
    guarded = sum(not why for why in wrong.values())
    disabled = known.get("disabled")
    state = guard.state(len(rows), guarded, bool(disabled))
    advances = _advances(at, journal)
    if state == "healthy" and not advances:
        state = "degraded"
    above = [f"{state}: {guarded} of {count(len(rows), 'account')} guarded"]
    if disabled:
        above.append(_disabled_line(disabled))
    waiting, kept = postponed.read(at), flags_kept.read(at).flags
    below = [
        *(line for one in waiting.values() for line in waiting_lines(one)),
        *(f"override: {one}" for one in overridden.lines(at, now=_now(at))),
        *(_flag_line(one, waiting) for one in kept if not one.ends),
        *(_process_line(row) for row in known.get("processes", [])),
        _stream_line(at, live, advances=advances),
        *_channel_lines(at),
        *alarms.lines(at, live.alarms),
        *(_event_line(decode(record)) for record in live.events),
    ]
    data = {
        "state": state,
        "environment": about.environment,
        "advancing": advances,
        "journal": dict(journal),
        **known,
        "flags": [_as_data(one) for one in kept],
        "waiting": [_as_data(one) for one in waiting.values()],
        "alarms": alarms.rows(at, live.alarms),
        "views": [_as_data(view) for _, view in sorted(views.items())],
    }
    hint = "" if state == "healthy" else "risk-daemon-admin test-connection"
    return Outcome(
        tuple(_account_line(row, views.get(row["account"]), wrong[row["account"]]) for row in rows),
        EXITS[state],
        data,
        live.notes,
        hint,
        tuple(above),
        tuple(below),
    )


def _flag_line(flag: Flag, waiting: Mapping[int, Postponed]) -> str:
    """Say what a flag is for, and on how many of its accounts it does not act yet."""
    words = f"{flag.rule} mode "
    held = [n for n in flag.accounts if n in waiting and words in " ".join(waiting[n].words)]
    yet = f"; waits on {', '.join(map(str, held))}" if held else ""
    return f"flag {flag.rule}: {flag.mode} on {flag.scope} until {flag.until} ({flag.owner}){yet}"


@dataclass(frozen=True, slots=True)
class _Live:
    """What the journal tells of a running daemon; empty where it is silent, with the reason."""

    views: Mapping[int, AccountView] = field(default_factory=dict)
    journal: Mapping[str, Any] = field(default_factory=dict)
    fact: Record | None = None
    events: Sequence[Record] = ()
    alarms: Sequence[Record] = ()
    notes: tuple[str, ...] = ()


def _live(at: Home, accounts: Sequence[int], events: int) -> _Live:
    try:
        facts = daemon.tail(at, 1, BROKER_KINDS)
        return _Live(
            daemon.views(at, accounts),
            daemon.journal_status(at),
            facts[-1] if facts else None,
            daemon.tail(at, events, TOLD) if events else (),
            daemon.tail(at, alarms.SHOWN, alarms.KINDS),
        )
    except OperatorError as error:
        return _Live(notes=(error.sentence,))


def _advances(at: Home, journal: Mapping[str, Any]) -> bool:
    """Whether the stream goes on: it does in a closed market too."""
    return bool(journal) and _age_ms(at, journal["at"]) < ADVANCES_WITHIN_MS


def _age_ms(at: Home, moment: int) -> float:
    return (_now(at) - moment) / 1e6


def _now(at: Home) -> int:
    from risk_daemon.operations.orders import now_ns

    return now_ns(in_force(at))


def _account_line(row: Mapping[str, Any], view: AccountView | None, why: str) -> str:
    name = view.name if view else ""
    head = f"{row['account']} {name}".rstrip()
    held = f"{row.get('holder')}, epoch {row.get('epoch')}"
    guarded = f"NOT GUARDED: {why}" if why else f"guarded by {held}"
    if view is None:
        return f"{head}: {guarded}"
    positions = ", ".join(f"{one.quantity:+d} {one.root}" for one in view.positions) or "flat"
    money = f"day P&L {dollars(view.day_pnl)}" if view.pnl_known else "day P&L unknown"
    locks = "".join(
        f"; {one.mode} ({one.reason or one.rule}) "
        + (f"until {both_times(one.until)}" if one.until else "until an admin ends it")
        for one in view.locks
    )
    return f"{head}: {guarded}; {positions}; {money}{locks}"


def _process_line(row: Mapping[str, Any]) -> str:
    memory, since = row.get("memory_mb"), row.get("since_s")
    cpu = row.get("cpu_percent")
    told = [
        str(row.get("release")),
        f"process {row['pid']}" if row.get("pid") else "no process",
        f"for {duration(since * 1_000)}" if isinstance(since, int | float) else "",
        f"{memory:.0f} MB" if isinstance(memory, int | float) else "",
        f"{cpu:.0f} % of a core" if isinstance(cpu, int | float) else "",
        count(row["restarts"], "restart") if row.get("restarts") else "",
        f"reconciles every {row['reconcile_every_s']:g} s" if row.get("reconcile_every_s") else "",
    ]
    role = row.get("role")
    state = f"{row.get('state')}" + (f", {role}" if role in ("active", "standby") else "")
    return f"{row.get('name')}: {state} ({', '.join(part for part in told if part)})"


def _stream_line(at: Home, live: _Live, *, advances: bool) -> str:
    if not live.journal:
        return "stream: the journal does not answer"
    pace = f"{live.journal['records_per_s']:.0f} records/s" if advances else "NOT ADVANCING"
    broker = "no broker fact yet"
    if live.fact is not None:
        age = duration(max(_age_ms(at, live.fact.at), 0))
        broker = f"last broker fact {age} ago ({live.fact.kind})"
    return f"stream: seq {live.journal['last_seq']}, {pace}, {broker}"


def _event_line(entry: Entry) -> str:
    account = f" {entry.account}" if entry.account else ""
    return (
        f"{entry.seq} {iso(entry.at)[11:23]}Z{account} {kind_of(entry.fact)} {in_words(entry.fact)}"
    )


def _as_data(view: AccountView | Postponed | Flag) -> Any:
    import msgspec

    return msgspec.to_builtins(view)


def _channel_lines(at: Home) -> list[str]:
    """Say that nobody is told elsewhere, or which channel does not work."""
    if not (at.config / channels.FILE).is_file():
        return ["no channel is configured: alarms are told here and in logs/alarms.log only"]
    found = {
        path.stem.removeprefix("channel-"): channel_sink.standing_of(path)
        for path in sorted(at.state.glob("channel-*.json"))
    }
    return [f"channel {name} FAILS: {one.failed}" for name, one in found.items() if one.failed]


def _disabled_line(disabled: Mapping[str, Any]) -> str:
    since = disabled.get("since")
    when = f" since {both_times(iso(since))}" if isinstance(since, int) and since else ""
    return f"PROTECTION IS OFF{when}: {disabled.get('reason')} ({disabled.get('by')})"


def _down(at: Home, *, events: bool = False) -> Outcome:
    """Nothing answers: what the state file says."""
    home.read(at)
    line = "down: the daemon is not running; from its state file:"
    try:
        last = state_file.standing(at)
    except NotFound:
        line = "down: the daemon is not running and has never run here"
        return Outcome((line,), FAILED, {"state": "down"}, next_command="risk-daemon-admin start")
    above = [line]
    if last.disabled is not None:
        told = {"by": last.disabled.by, "reason": last.disabled.reason}
        above.append(_disabled_line({**told, "since": last.disabled_at}))
    if last.last is not None:
        age = duration(max(_age_ms(at, last.last.at), 0))
        above.append(f"last record: seq {last.last.seq}, {age} ago")
    lines = [f"{n} {one.name}: NOT GUARDED" for n, one in sorted(last.policies.items())]
    lines += [
        f"lock of {one.account}: {one.mode}, {one.reason or one.rule}, "
        + (f"until {both_times(iso(one.until))}" if one.until else "until an admin ends it")
        for one in last.locks.values()
    ]
    below = [f"override: {one}" for one in overridden.lines(at, now=_now(at))]
    if events:
        below += [_event_line(entry) for entry in state_file.latest(at, TOLD, EVENTS_SHOWN)]
    data = {
        "state": "down",
        "last_seq": last.last.seq if last.last else 0,
        "accounts": sorted(last.policies),
        "locks": len(last.locks),
    }
    start = "risk-daemon-admin start"
    return Outcome(tuple(lines), FAILED, data, (), start, tuple(above), tuple(below))


# --- why -----------------------------------------------------------------------


def why(at: Home, account: str) -> Outcome:
    """Plain words on why an account was flattened or locked, and until when."""
    home.read(at)
    number, name = find_account(at, account)
    try:
        holder = _holder(daemon.status(at), number)
        answer = daemon.ask(at, holder, "why", {"account": number})
    except OperatorError as silent:
        return _why_from_file(at, number, name, silent)
    off = tuple(f"override: {one}" for one in overridden.lines(at, number, _now(at)))
    lines = (*(str(line) for line in answer.get("lines", ())), *off)
    data = {"account": number, **answer, "overrides": list(off)}
    return Outcome(lines or (f"{name} is not restricted",), data=data)


def _holder(status: Mapping[str, Any], account: int) -> str:
    for row in status.get("accounts", []):
        if row["account"] == account and row.get("holder"):
            return str(row["holder"])
    raise NotReachable(f"no worker holds account {account}.")


def _why_from_file(at: Home, number: int, name: str, silent: OperatorError) -> Outcome:
    try:
        locks = [one for one in state_file.standing(at).locks.values() if one.account == number]
        entries = state_file.story(at, number, EVENTS_SHOWN)
    except NotFound:
        locks, entries = [], []
    above = f"{name}: from the state file, as no worker answers"
    lines = [
        f"{one.mode}: {one.reason or one.rule}, "
        + (f"until {both_times(iso(one.until))}" if one.until else "until an admin ends it")
        for one in locks
    ]
    lines += [f"override: {one}" for one in overridden.lines(at, number, _now(at))]
    lines += [f"{both_times(iso(entry.at))}: {_told(entry)}" for entry in entries]
    return Outcome(
        tuple(lines) or ("nothing restricts it, and no rule has found anything",),
        UNREACHABLE,
        {"account": number, "lines": lines},
        (silent.sentence,),
        "risk-daemon-admin start",
        (above,),
    )


def _told(entry: Entry) -> str:
    return f"{kind_of(entry.fact).replace('-', ' ')}: {in_words(entry.fact)}"


def find_account(at: Home, text: str) -> tuple[int, str]:
    """An account by its number or its name."""
    names = {number: str(number) for number in in_force(at).accounts()} | _names(at)
    for number, name in sorted(names.items()):
        if text in (str(number), name):
            return number, f"{number} {name}" if name != str(number) else name
    known = ", ".join(name for _, name in sorted(names.items())[:10])
    raise NotFound(f"there is no account {text!r} here; there are: {known}.")


def _names(at: Home) -> dict[int, str]:
    """Names as adopted last; as the files say where nothing was adopted yet."""
    return {one.account: one.name for one in policies_in_force(at)}
