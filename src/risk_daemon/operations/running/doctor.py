"""`doctor`: looks at the machine and the home, and says of each thing ok, warn or fail.

One check that can't be made is a finding like any other: the rest is still
looked at. Nothing is changed, nothing is sent to the broker but one question
for the time.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.errors import NotFound, OperatorError
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.sqlite import sqlite3
from risk_daemon.operations import daemon, home, private, state_file
from risk_daemon.operations.changing import adoption, contacts
from risk_daemon.operations.configuration import credentials
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import now_ns
from risk_daemon.operations.outcome import DONE, FAILED, Outcome
from risk_daemon.operations.running import bundle, machine
from risk_daemon.operations.running.finding import FAIL, OK, WARN, Finding
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.words import both_times, count, duration, iso
from risk_daemon.settings import Login, Settings

CHAIN_LOOKED_AT: Final = 20_000
#: Files that nobody rotates: more than this and somebody should look why.
OUT_BYTES_MAX: Final = 50_000_000
FULL_SOON_DAYS: Final = 14
_GROWTH_MIN_NS: Final = 600 * SECOND_NS
_DAY_NS: Final = 86_400 * SECOND_NS


def examine(at: Home, file: Path | None) -> Outcome:
    """Check everything; with `file` also write the bundle that a supporter asks for."""
    home.read(at)
    findings = list(_findings(at))
    failed = [one for one in findings if one.state == FAIL]
    warned = [one for one in findings if one.state == WARN]
    good = len(findings) - len(failed) - len(warned)
    rows = [
        {"check": one.name, "state": one.state, "text": one.text, "next": one.next_command}
        for one in findings
    ]
    data: dict[str, Any] = {"checks": rows, "bundle": None}
    notes: tuple[str, ...] = ()
    if file is not None:
        entries = bundle.write(at, file, rows)
        data["bundle"] = {"file": str(file), "entries": entries}
        notes = (f"bundle: {file}, {count(len(entries), 'file')}; it holds no key",)
    below = f"{good} ok, {len(warned)} warn, {len(failed)} fail"
    first = next((one.next_command for one in (*failed, *warned) if one.next_command), "")
    code = FAILED if failed else DONE
    # No line is ever cut here: a failure must not hide behind twenty that are well.
    above = tuple(one.line() for one in findings)
    return Outcome((), code, data, notes, first or "risk-daemon-admin status", above, (below,))


def _findings(at: Home) -> Iterator[Finding]:
    yield from machine.here()
    yield _safely("home", lambda: _belongs(at))
    yield _safely("private", lambda: _private(at))
    yield machine.disk(at.state)
    yield _safely("configuration", lambda: _configuration(at), "risk-daemon-admin config validate")
    settings = _settings(at)
    status = _status(at)
    if settings is not None:
        check = "risk-daemon-admin credentials check"
        for login in settings.logins:
            yield _safely(f"credentials of {login.name}", partial(_key, at, login), check)
        number, is_ours = _port(at, settings)
        yield machine.port(number, is_ours=is_ours)
        yield machine.clock(settings, Clock(int(settings.clock_offset_s * SECOND_NS)))
    yield _safely("contacts", lambda: _contacts(at), contacts.SHOW)
    yield _processes(at, status)
    yield _safely("journal", lambda: _journal(at, status), "risk-daemon-admin verify-db")
    yield _safely("growth", lambda: _growth(at))


def _safely(name: str, check: Callable[[], Finding], way: str = "") -> Finding:
    """Make a check; what it refuses is a failure with its own words."""
    try:
        return check()
    except OperatorError as error:
        return Finding(name, FAIL, " ".join(error.sentence.split()).rstrip("."), way)
    except (OSError, sqlite3.Error) as error:
        return Finding(name, FAIL, str(error), way)


# --- the home --------------------------------------------------------------------


def _belongs(at: Home) -> Finding:
    about = home.open_home(at)
    return Finding("home", OK, f"{at.path} is a {about.environment} home of this machine")


def _private(at: Home) -> Finding:
    """Folders, keys and the state file are for their owner only."""
    if not private.CAN_BE_JUDGED:
        return Finding("private", OK, "by the folder the home is in; nothing else to judge here")
    keys = sorted((at.path / "credentials").glob("*"))
    looked_at = [at.path, at.config, at.state, at.run, at.logs, at.state / FILE, *keys]
    found = [(path, mode) for path in looked_at if (mode := private.open_to_others(path))]
    if found:
        path, mode = found[0]
        more = f" and {count(len(found) - 1, 'other')}" if len(found) > 1 else ""
        way = "chmod go-rwx " + " ".join(str(path) for path, _ in found)
        return Finding("private", FAIL, f"others may use {path} (mode {mode}){more}", way)
    return Finding("private", OK, "folders, keys and the state file are their owner's only")


def _configuration(at: Home) -> Finding:
    found = adoption.read(at, home.read(at)).settings
    accounts, logins = count(len(found.accounts()), "account"), count(len(found.logins), "login")
    return Finding("configuration", OK, f"valid: {accounts} over {logins}")


def _settings(at: Home) -> Settings | None:
    """What is in force, or would be; None where nothing can be."""
    try:
        return in_force(at)
    except (OperatorError, OSError, sqlite3.Error):
        return None


def _key(at: Home, login: Login) -> Finding:
    found = credentials.resolve(at, login)
    where = "the environment" if login.credentials == "env" else login.credentials
    note = f"; {found.note.rstrip('.')}" if found.note else ""
    return Finding(f"credentials of {login.name}", OK, f"there, from {where}{note}")


def _port(at: Home, settings: Settings) -> tuple[int, bool]:
    """The console's port, and whether our console has it."""
    try:
        daemon.ask(at, "console", "status", within_s=1.0)
        ready = json.loads((at.run / "console.json").read_text())
        return int(ready["port"]), True
    except (OperatorError, OSError, ValueError, KeyError):
        return settings.console_port, False


def _contacts(at: Home) -> Finding:
    """Whether people can be called; a demo and staging call nobody."""
    open_ = contacts.missing(contacts.read(at.config))
    if not open_:
        return Finding("contacts", OK, "every role can be reached")
    told = f"still to be filled in: {'; '.join(open_)}"
    if home.read(at).environment != "production":
        return Finding("contacts", OK, f"{told}; nobody needs them here")
    return Finding("contacts", WARN, told, contacts.SET)


# --- the daemon ------------------------------------------------------------------


def _status(at: Home) -> Mapping[str, Any] | None:
    try:
        return daemon.status(at)
    except OperatorError:
        return None


def _processes(at: Home, status: Mapping[str, Any] | None) -> Finding:
    if status is None:
        start = "risk-daemon-admin start"
        if not (at.state / FILE).is_file():
            return Finding("processes", WARN, "the daemon has never run here", start)
        return _safely("processes", lambda: _switched_off(at))
    rows = status.get("processes", [])
    ill = [f"{row['name']} is {row['state']}" for row in rows if row.get("state") != "running"]
    restarts = [
        f"{row['name']} {count(row['restarts'], 'restart')}" for row in rows if row.get("restarts")
    ]
    if ill:
        return Finding("processes", FAIL, "; ".join(ill), "risk-daemon-admin logs errors")
    if restarts:
        return Finding("processes", WARN, "; ".join(restarts), "risk-daemon-admin logs errors")
    return Finding("processes", OK, f"all of them run: {len(rows)}")


def _switched_off(at: Home) -> Finding:
    disabled = state_file.standing(at)
    start = "risk-daemon-admin start"
    if disabled.disabled is not None:
        since = both_times(iso(disabled.disabled_at))
        text = f"switched off by {disabled.disabled.by} since {since}: {disabled.disabled.reason}"
        return Finding("processes", WARN, text, start)
    return Finding(
        "processes", FAIL, "the daemon is not running: nobody protects the accounts", start
    )


def _journal(at: Home, status: Mapping[str, Any] | None) -> Finding:
    """The chain over the latest records, and whether the stream goes on."""
    path = at.state / FILE
    if not path.is_file():
        if status is None:
            return Finding("journal", OK, "none yet; the first start makes it")
        raise NotFound(f"there is no state file {path}, though the daemon runs")
    with closing(Reader(path)) as reader:
        last = reader.last()
        if last is None:
            return Finding("journal", OK, "no record yet")
        anchor = reader.beginning(last.seq - CHAIN_LOOKED_AT + 1)
        check = reader.check(anchor.seq + 1, CHAIN_LOOKED_AT, anchor.crc)
    verify = "risk-daemon-admin verify-db"
    if check.broken_at:
        return Finding("journal", FAIL, f"the chain is broken at record {check.broken_at}", verify)
    told = f"the chain holds over the last {count(check.checked, 'record')}"
    settings = _settings(at)
    if status is not None and settings is not None:
        age = (now_ns(settings) - last.at) / 1e6
        if age > 5_000:
            text = f"{told}, but the newest is {duration(age)} old"
            return Finding("journal", FAIL, text, "risk-daemon-admin status --show-events")
    return Finding("journal", OK, told)


def _growth(at: Home) -> Finding:
    """How fast files grow, and when the disk is full at this pace."""
    outs = [path for path in at.logs.glob("*.out") if path.stat().st_size > OUT_BYTES_MAX]
    if outs:
        text = f"{outs[0]} has {outs[0].stat().st_size / 1e6:.0f} MB"
        return Finding("growth", WARN, text, "risk-daemon-admin logs errors")
    logs = sum(path.stat().st_size for path in at.logs.glob("*") if path.is_file())
    pace = _bytes_a_day(at)
    free = shutil.disk_usage(at.state).free
    told = f"logs {logs / 1e6:.1f} MB"
    if pace is None:
        return Finding("growth", OK, f"{told}; the journal is too young to be judged")
    told += f", the journal grows by {pace / 1e6:.1f} MB a day"
    if pace and free / pace < FULL_SOON_DAYS:
        text = f"{told}: the disk is full in {free / pace:.0f} days"
        return Finding("growth", WARN, text, f"make room on the disk of {at.state}")
    return Finding("growth", OK, told)


def _bytes_a_day(at: Home) -> float | None:
    """Bytes the journal grows by in a day; None before there is enough to judge by."""
    path = at.state / FILE
    if not path.is_file():
        return None
    with closing(Reader(path)) as reader:
        last = reader.last()
        first = reader.records(reader.first_seq(), reader.first_seq(), (), 1).records
    if last is None or not first or last.at - first[0].at < _GROWTH_MIN_NS:
        return None
    return path.stat().st_size * _DAY_NS / (last.at - first[0].at)
