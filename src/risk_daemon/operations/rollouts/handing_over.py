"""`hand-over`: journal, links, console and supervisor run as another release, or as they did.

The accounts are with that release already; this is the rest of the daemon. Two things are proven
before anything ends: the release restores a backup of the state made now, and replays it; and
its link makes the same facts of the last messages of each login. Then one process after the other
(`supervisor.handing_over`), the supervisor last.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.clock import SECOND_NS
from risk_daemon.depot import making
from risk_daemon.errors import OperatorError, Refused, TimedOut, UsageError
from risk_daemon.operations import daemon, home
from risk_daemon.operations.backup import backups
from risk_daemon.operations.changing import upgrading
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import DONE, FAILED, Outcome
from risk_daemon.operations.releases import fitting
from risk_daemon.operations.running import lifecycle
from risk_daemon.operations.running.lifecycle import Waiting
from risk_daemon.operations.which_release import release as own
from risk_daemon.operations.words import count, duration
from risk_daemon.supervisor.release import interpreter, is_worker

#: A restart of each, and the time to see that it stays.
WITHIN_S: Final = 60.0
REPLAY_WITHIN_S: Final = 600.0
TRANSLATE_WITHIN_S: Final = 60.0
SUCCESSOR_WITHIN_S: Final = 20.0
STATUS: Final = "risk-daemon-admin status"
#: Who falls back first costs least: the console guards nobody, the journal holds up all others.
_ORDER: Final = ("console", "link-", "journal")
SHOWN: Final = 3


def hand_over(
    at: Home, release: str, waiting: Waiting, *, stays_s: float, dry_run: bool
) -> Outcome:
    """Have every process that is no worker run as a release; one line each, with its gap.

    Raises Refused, before anything ends, where accounts are not with the release, where it does
    not fit the home, or where a proof fails.
    """
    if not 0 <= stays_s <= WITHIN_S:
        raise UsageError(f"--stays must be from 0 to {WITHIN_S:g} seconds, was {stays_s:g}.")
    home.read(at)
    status = daemon.status(at)
    _refuse_early(status, release)
    fitting.refuse_unfit(at, release, is_back=False)
    before = str(status["release"])
    interpreter(at.path, release, own())
    names = _others(at, status, release)
    is_other = before != release and _differs(at, before, release)
    if not names and not is_other:
        return Outcome((f"everything runs as {release} already",), data={"processes": []})
    told = [*names, *(["supervisor"] if is_other else [])]
    if dry_run:
        lines = tuple(f"{name}: would become {release}" for name in told)
        return Outcome(lines, data={"processes": told}, notes=("nothing was done",))
    _prove(at, status, release, names, waiting)
    rows = _exchange(at, release, names, stays_s, waiting)
    if is_other and not any(row["why"] for row in rows):
        rows.append(_succeed(at, before, release, waiting))
    done = [row for row in rows if not row["why"]]
    lines = tuple(_line(row) for row in rows)
    below = (f"{len(done)} of {len(told)} processes handed over to {release}",)
    code = DONE if len(done) == len(told) else FAILED
    data = {"release": release, "processes": rows}
    return Outcome(lines, code, data, below=below, next_command=STATUS)


def _refuse_early(status: dict[str, Any], release: str) -> None:
    elsewhere = [row for row in status.get("accounts", []) if row["release"] != release]
    if elsewhere:
        row = elsewhere[0]
        raise Refused(
            f"account {row['account']} is held by {row['release']}, not by {release}; nothing was "
            f"handed over. Its accounts come first: "
            f"`risk-daemon-admin promote --all --to-version {release}`."
        )


def _others(at: Home, status: dict[str, Any], release: str) -> list[str]:
    """Return, in the order of handing over, who runs as a release whose code is another."""
    rows = [row for row in status.get("processes", []) if not is_worker(row["name"])]
    found = [
        str(row["name"])
        for row in rows
        if row["release"] != release and _differs(at, str(row["release"]), release)
    ]
    return [name for kind in _ORDER for name in found if name.startswith(kind)]


def _differs(at: Home, one: str, other: str) -> bool:
    """Whether two releases are of different code; what is not staged here differs."""
    codes = {_code(at.releases / version) for version in (one, other)}
    return len(codes) > 1 or None in codes


def _code(folder: Path) -> str | None:
    try:
        found = json.loads((folder / "manifest.json").read_bytes())["code"]
    except (OSError, ValueError, KeyError):
        return None
    return str(found)


# --- the proofs ----------------------------------------------------------------------


def _prove(
    at: Home, status: dict[str, Any], release: str, names: list[str], waiting: Waiting
) -> None:
    """Raise Refused where the release's journal or links would not do what ours do."""
    if "journal" in names:
        waiting.say(f"making a backup, which {release} then restores and replays")
        _prove_journal(at, release, waiting)
    of = {str(row["name"]): str(row["release"]) for row in status["processes"]}
    for name in names:
        if name.startswith("link-"):
            waiting.say(f"having {release} translate what {name} was sent last")
            _prove_link(at, name, of[name], release)


def _prove_journal(at: Home, release: str, waiting: Waiting) -> None:
    made = backups.create(at, waiting.clock).data
    if not made["verified"]:
        raise Refused(f"the backup made now does not restore ({made['error']}); nothing was done.")
    words = ("backup", "verify", str(made["file"]))
    verdict = upgrading.asked(at, release, *words, within_s=REPLAY_WITHIN_S)
    if not verdict.get("ok"):
        data = verdict.get("data") or {}
        why = data.get("why") or (verdict.get("error") or {}).get("message") or "it does not say"
        raise Refused(
            f"{release} does not make of this home's state what it was ({why}); nothing was "
            f"handed over. The backup is {made['file']}."
        )


def _prove_link(at: Home, name: str, before: str, release: str) -> None:
    told = daemon.ask(at, name, "frames")
    frames, accounts = told.get("frames") or [], told.get("accounts") or []
    login = name.removeprefix("link-")
    one, other = (
        _translated(at, version, login, accounts, frames) for version in (before, release)
    )
    found = list(differences(one, other))
    if found:
        raise Refused(
            f"{release} makes other facts of what {name} was sent: {'; '.join(found[:SHOWN])}; "
            f"nothing was handed over. {len(found)} of {count(len(frames), 'message')} differ."
        )


def _translated(
    at: Home, version: str, login: str, accounts: list[int], frames: list[bytes]
) -> list[list[list[Any]]]:
    python = interpreter(at.path, version, own())
    words = [python, "-m", "risk_daemon.programs.intake", "--login", login]
    try:
        done = subprocess.run(
            [*words, "--accounts", ",".join(map(str, accounts))],
            env=making.environment(),
            input=msgspec.msgpack.encode(frames),
            capture_output=True,
            timeout=TRANSLATE_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TimedOut(
            f"{version} did not translate the messages within {TRANSLATE_WITHIN_S:g} s; "
            "nothing was handed over."
        ) from None
    if done.returncode != 0:
        said = (done.stderr.decode(errors="replace").strip().splitlines() or ["nothing"])[-1][:200]
        raise OperatorError(
            f"{version} can't translate recorded messages ({said}); nothing was handed over."
        )
    return [msgspec.json.decode(line) for line in done.stdout.splitlines()]


def differences(one: list[list[list[Any]]], other: list[list[list[Any]]]) -> Iterator[str]:
    """Compare two releases' facts of the same messages. Pure.

    A field that only one of them knows says nothing: fields are only ever added.
    """
    for number, (mine, theirs) in enumerate(zip(one, other, strict=True), 1):
        kinds = [fact[0] for fact in mine], [fact[0] for fact in theirs]
        if kinds[0] != kinds[1]:
            yield f"message {number}: {_named(kinds[0])} becomes {_named(kinds[1])}"
            continue
        for (kind, before), (_, after) in zip(mine, theirs, strict=True):
            changed = [key for key in before if key in after and before[key] != after[key]]
            if changed:
                key = changed[0]
                yield f"message {number}: {kind} {key} {before[key]!r} becomes {after[key]!r}"
                break


def _named(kinds: list[str]) -> str:
    return ", ".join(kinds) or "no fact"


# --- the exchange ----------------------------------------------------------------------


def _exchange(
    at: Home, release: str, names: list[str], stays_s: float, waiting: Waiting
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name in names:
        waiting.say(f"{name} becomes {release}, and is watched for {stays_s:g} s")
        args = {"release": release, "processes": [name], "stays_s": stays_s}
        rows += daemon.ask(at, daemon.SUPERVISOR, "hand-over", args, WITHIN_S + stays_s)[
            "processes"
        ]
        if rows[-1]["why"]:
            break
    return rows


def _succeed(at: Home, before: str, release: str, waiting: Waiting) -> dict[str, Any]:
    """Have the supervisor of the release go on; where it does not, the old one is started again."""
    waiting.say(f"the supervisor becomes {release}; everything runs on meanwhile")
    back = interpreter(at.path, before, own())
    row: dict[str, Any] = {"process": "supervisor", "from": before, "to": release, "why": ""}
    began = waiting.clock.steady_ns()
    try:
        daemon.ask(at, daemon.SUPERVISOR, "succeed", {"release": release}, SUCCESSOR_WITHIN_S)
    except OperatorError as error:
        return row | {"gap_ms": 0.0, "why": error.sentence}
    if not _is_supervised(at, release, began, waiting):
        lifecycle.spawn(at, python=back, version=before)
        is_back = _is_supervised(at, before, waiting.clock.steady_ns(), waiting)
        row["why"] = f"that of {release} did not answer; that of {before} " + (
            "goes on" if is_back else "does not answer either: run `risk-daemon-admin start`"
        )
    return row | {"gap_ms": round((waiting.clock.steady_ns() - began) / 1e6, 1)}


def _is_supervised(at: Home, release: str, began: int, waiting: Waiting) -> bool:
    """Wait until a supervisor of the release answers."""
    until = began + int(SUCCESSOR_WITHIN_S * SECOND_NS)
    while waiting.clock.steady_ns() < until:
        try:
            if daemon.status(at)["release"] == release:
                return True
        except OperatorError:
            pass  # neither of them has the door at this moment
        waiting.pause(0.05)
    return False


def _line(row: dict[str, Any]) -> str:
    if row["why"]:
        return f"{row['process']}: NOT handed over: {row['why']}"
    return f"{row['process']}: {row['to']} (was {row['from']}), gap {duration(row['gap_ms'])}"
