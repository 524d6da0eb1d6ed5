"""The smoke lines: is the broker reached, do the rules work, is state kept.

Each fails when its cause is broken, and a question that could not be asked is
never a pass.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from risk_daemon.errors import NotFound, NotReachable, OperatorError
from risk_daemon.operations import daemon, home
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.configuration.problems import nearest
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import DONE, FAILED, UNREACHABLE, Outcome
from risk_daemon.operations.words import both_times, duration, iso
from risk_daemon.rules import CATALOG

CONNECTION_WITHIN_S: Final = 9.0
RULE_WITHIN_S: Final = 9.0
READBACK_WITHIN_S: Final = 5.0
FREE_BYTES_MIN: Final = 200_000_000


# --- test-connection -------------------------------------------------------------


def connection(at: Home) -> Outcome:
    """REST, login, and both hubs by an active probe, per login."""
    home.read(at)
    logins = [login.name for login in in_force(at).logins]
    links = [daemon.link_name(name) for name in logins]
    answers = daemon.ask_each(at, links, "connection", {}, CONNECTION_WITHIN_S)
    lines, data, silent = [], [], 0
    for name in logins:
        answer = answers[daemon.link_name(name)]
        if isinstance(answer, OperatorError):
            silent += 1
            lines.append(f"{name}: BLIND: {answer.sentence}")
            data.append({"login": name, "ok": False, "error": answer.sentence})
        else:
            lines.append(f"{name}: {_connection_line(answer)}")
            data.append({"login": name, **answer})
    ok = all(row.get("ok") for row in data)
    code = DONE if ok else UNREACHABLE if silent == len(logins) else FAILED
    next_command = "risk-daemon-admin status --show-events" if ok else "risk-daemon-admin status"
    return Outcome(tuple(lines), code, {"logins": data}, next_command=next_command)


def _connection_line(answer: Mapping[str, Any]) -> str:
    rest = answer.get("rest_ms")
    parts = [
        f"REST {duration(rest)}" if rest is not None else "REST does not answer",
        _hub("user hub", answer.get("user_hub") or {}),
        _hub("market hub", answer.get("market_hub") or {}),
    ]
    if answer.get("token_expires_at"):
        parts.append(f"login valid until {both_times(iso(answer['token_expires_at']))}")
    parts += _reads(answer)
    if answer.get("error"):
        parts.append(str(answer["error"]))
    return ("connected: " if answer.get("ok") else "BLIND: ") + ", ".join(parts)


def _reads(answer: Mapping[str, Any]) -> list[str]:
    """How often the accounts are read, and whether reads are the only news there is."""
    every = answer.get("reconcile_every_s")
    parts = [f"reconciles every {every:g} s"] if every is not None else []
    ages = answer.get("polling")
    if ages is None:
        return [*parts, "does not poll"]
    told = ", ".join(f"{name} {age:g} s" for name, age in ages.items())
    return [*parts, f"POLLS, as its session is taken: at the oldest {told}"]


def _hub(name: str, hub: Mapping[str, Any]) -> str:
    if not hub.get("connected"):
        return f"{name} not connected"
    probe, age = hub.get("probe_ms"), hub.get("age_ms")
    probed = f"probed in {duration(probe)}" if probe is not None else "does not answer a probe"
    up = f", up for {duration(age)}" if age is not None else ""
    return f"{name} {probed}{up}"


# --- test-rule -------------------------------------------------------------------


def rule(at: Home, name: str | None) -> Outcome:
    """Rules in the release that holds each account, on a copy of its state; None is all of them."""
    home.read(at)
    names = [name] if name is not None else sorted(CATALOG)
    if name is not None and name not in CATALOG:
        near = nearest(name, CATALOG)
        hint = f" Did you mean {near!r}?" if near else ""
        raise NotFound(f"there is no rule {name!r}; there are: {', '.join(sorted(CATALOG))}.{hint}")
    status = daemon.status(at)
    accounts = {row["account"]: str(row.get("holder") or "") for row in status.get("accounts", [])}
    lines: list[str] = []
    rows: list[dict[str, Any]] = []
    for one in names:
        found = _rule_rows(at, one, accounts)
        rows += found
        lines += [_rule_line(row) for row in found]
    passed = [row for row in rows if row["result"] == "pass"]
    failed = [row for row in rows if row["result"] not in ("pass", "not configured")]
    if not passed and not failed:
        lines.append(f"no account has {name or 'any rule'} configured")
    code = DONE if passed and not failed else FAILED
    return Outcome(
        tuple(lines), code, {"accounts": rows}, next_command="risk-daemon-admin test-persistence"
    )


def _rule_rows(at: Home, name: str, accounts: Mapping[int, str]) -> list[dict[str, Any]]:
    """One row per account, from the worker that holds it; silence is a failure."""
    holders = sorted({holder for holder in accounts.values() if holder})
    answers = daemon.ask_each(at, holders, "test-rule", {"rule": name}, RULE_WITHIN_S)
    rows = []
    for account, holder in accounts.items():
        answer = answers.get(holder, NotReachable("no worker holds it"))
        if isinstance(answer, OperatorError):
            rows.append(_no_answer(account, name, answer.sentence))
            continue
        mine = [row for row in answer.get("accounts", []) if row.get("account") == account]
        row = mine[0] if mine else _no_answer(account, name, f"{holder} does not name it")
        rows.append({"rule": name, **row})
    return rows


def _no_answer(account: int, name: str, why: str) -> dict[str, Any]:
    return {"account": account, "rule": name, "result": "fail", "trips": [], "request": why}


def _rule_line(row: Mapping[str, Any]) -> str:
    trips = "; ".join(map(str, row.get("trips", ())))
    request = row.get("request") or ""
    told = " · ".join(part for part in (trips, str(request)) if part)
    return f"{row['account']} {row['rule']}: {row['result']}{': ' + told if told else ''}"


# --- test-persistence --------------------------------------------------------------


def persistence(at: Home) -> Outcome:
    """Write a promise, read it over a second connection and in a process of its own."""
    home.read(at)
    probed, read = daemon.probe(at)
    if [record.seq for record in read] != [probed.seq]:
        raise OperatorError(f"promise {probed.seq} was not found over a second connection.")
    found = _readback(at, probed.seq)
    free = shutil.disk_usage(at.state).free
    same = found.get("crc") == read[0].crc
    chain = found.get("broken_at") == 0
    lines = (
        f"promise {probed.seq}: durable in {duration(probed.took_ns / 1e6)}",
        "second connection: read back",
        f"reader process: {'read back' if same else 'NOT FOUND'}",
        _chain_line(found),
        f"free space: {free / 1e9:.1f} GB{'' if free >= FREE_BYTES_MIN else ', TOO LITTLE'}",
    )
    ok = same and chain and free >= FREE_BYTES_MIN
    data = {
        "seq": probed.seq,
        "took_ms": probed.took_ns / 1e6,
        "reader": same,
        "chain": chain,
        "checked": found.get("checked", 0),
        "free_bytes": free,
    }
    return Outcome(
        lines, DONE if ok else FAILED, data, next_command="risk-daemon-admin verify-state"
    )


def _chain_line(found: Mapping[str, Any]) -> str:
    if found.get("broken_at") == 0:
        return f"chain: holds over the last {found['checked']} records"
    return f"chain: BROKEN at record {found.get('broken_at', 'unknown')}"


def _readback(at: Home, seq: int) -> dict[str, Any]:
    """Read a record in a throw-away process: what is on disk, not what we remember."""
    words: Sequence[str] = [
        sys.executable,
        "-m",
        "risk_daemon.operations.backup.readback",
        str(at.path),
        str(seq),
    ]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=READBACK_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise OperatorError(
            f"the reader process did not end within {READBACK_WITHIN_S:g} s.", 7
        ) from None
    if done.returncode != 0:
        raise OperatorError(f"the reader process failed: {done.stderr.strip()[-200:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result
