"""The bundle of `doctor`: what a supporter needs to see of a home, in one zip, without a secret.

Every text passes through one redactor. It knows the keys themselves, wherever
the home has them, so that a key pasted into a comment or logged by a library
is found too; what merely looks like a token goes as well.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import sys
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from risk_daemon.core.events import Entry
from risk_daemon.errors import OperatorError, Refused, UsageError
from risk_daemon.journal.sqlite import sqlite3
from risk_daemon.operations import daemon, state_file
from risk_daemon.operations.changing import contacts
from risk_daemon.operations.configuration import credentials
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.home import Home
from risk_daemon.operations.which_release import release
from risk_daemon.operations.words import in_words, iso, kind_of
from risk_daemon.wire.record import KINDS

STARS: Final = "********"
#: Of each log the end is taken: they rotate by size, and mails have a limit.
LOG_BYTES: Final = 2 << 20
EVENTS: Final = 500
_TOLD: Final = tuple(
    kind for kind in KINDS if kind not in ("mark-changed", "print-seen", "pulse", "hash-taken")
)
#: A JSON Web Token, and whatever is assigned to a name that says it is secret.
_TOKEN: Final = re.compile(r"eyJ[\w-]{5,}\.[\w-]{5,}(\.[\w-]*)?")
_NAMED: Final = re.compile(
    r"(?i)((?:api_?key|token|password|secret|authorization)[\"']?\s*[=:]\s*(?:bearer\s+)?[\"']?)"
    r"([^\s\"',}]+)"
)


class Redactor:
    """Replaces every known secret, in every spelling it may have in a text, by stars."""

    def __init__(self, secrets: Iterable[str]) -> None:
        spelled = {
            form
            for secret in secrets
            if secret
            for form in (secret, json.dumps(secret)[1:-1], quote(secret, safe=""))
        }
        # The longest first: one key may begin with another.
        self._known = sorted(spelled, key=len, reverse=True)

    def clean(self, text: str) -> str:
        """Return a text without them."""
        for secret in self._known:
            text = text.replace(secret, STARS)
        return _NAMED.sub(rf"\1{STARS}", _TOKEN.sub(STARS, text))


def write(at: Home, file: Path, findings: list[dict[str, Any]]) -> list[str]:
    """Write the bundle in one step, for its owner's eyes; returns what is in it."""
    if file.exists():
        raise Refused(f"{file} exists already; nothing was written. Name a new file.")
    redactor = Redactor(_secrets(at))
    fresh = file.with_name(f".{file.name}.new")
    names = []
    try:
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with (
            os.fdopen(handle, "wb") as raw,
            zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as bundle,
        ):
            for name, text in _entries(at, findings):
                bundle.writestr(name, redactor.clean(text))
                names.append(name)
        fresh.replace(file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise UsageError(
            f"the bundle {file} can't be written: {error.strerror or error}. "
            "Name a file in a folder that is there and yours."
        ) from None
    return names


def _secrets(at: Home) -> Iterator[str]:
    """Every key of the home, and what logs in to its processes."""
    try:
        logins = in_force(at).logins
    except (OperatorError, OSError, sqlite3.Error):
        logins = ()
    yield from credentials.every_key(at, logins)
    yield from _reached(at)
    yield from _tokens(at)


def _reached(at: Home) -> Iterator[str]:
    """Where people are called at home: alarms say it, and a supporter need not know it."""
    with contextlib.suppress(OperatorError):
        for one in contacts.read(at.config).values():
            yield from (one.phone, one.email)


def _tokens(at: Home) -> Iterator[str]:
    for path in at.run.glob("*.addr"):
        try:
            fields = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(fields, dict):
            yield str(fields.get("token") or "")


def _entries(at: Home, findings: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    yield "doctor.json", _json(findings)
    yield "versions.json", _json(_versions())
    yield "status.json", _json(_status(at))
    yield "events.txt", _events(at)
    if at.about.is_file():
        yield "home.json", at.about.read_text(encoding="utf-8", errors="replace")
    for path in sorted(at.config.rglob("*.yaml")):
        if ".git" not in path.relative_to(at.config).parts:
            name = f"config/{path.relative_to(at.config).as_posix()}"
            yield name, path.read_text(encoding="utf-8", errors="replace")
    for path in sorted((*at.logs.glob("*.log*"), *at.logs.glob("*.out"))):
        yield f"logs/{path.name}", _end_of(path)


def _json(value: object) -> str:
    return json.dumps(value, indent=2, default=str)


def _versions() -> dict[str, Any]:
    return {
        "release": release(),
        "python": sys.version,
        "platform": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
        "packages": dict(sorted((one.name, one.version) for one in distributions())),
    }


def _status(at: Home) -> dict[str, Any]:
    """What the processes say of themselves; each that is silent says so."""
    told: dict[str, Any] = {}
    for process, ask in (("supervisor", daemon.status), ("journal", daemon.journal_status)):
        try:
            told[process] = ask(at)
        except OperatorError as error:
            told[process] = error.sentence
    return told


def _events(at: Home) -> str:
    try:
        entries = state_file.latest(at, _TOLD, EVENTS)
    except (OperatorError, sqlite3.Error) as error:
        return f"the state file can't be read: {error}\n"
    return "".join(f"{_event(entry)}\n" for entry in entries)


def _event(entry: Entry) -> str:
    told = f"{entry.seq} {iso(entry.at)} {entry.account}"
    return f"{told} {kind_of(entry.fact)} {in_words(entry.fact)}"


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - LOG_BYTES, 0))
        return file.read().decode("utf-8", "replace")
