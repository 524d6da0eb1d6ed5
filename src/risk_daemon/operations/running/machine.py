"""Checks of the machine: Python, SQLite, zones, disk, port, clock. Each says what to do next."""

from __future__ import annotations

import errno
import os
import platform
import shutil
import socket
import sys
import tempfile
import urllib.request
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from risk_daemon.clock import SECOND_NS, TRUSTED_NS, Timekeeper
from risk_daemon.errors import OperatorError
from risk_daemon.journal.sqlite import require, sqlite3
from risk_daemon.operations.accounts.smoke import FREE_BYTES_MIN
from risk_daemon.operations.configuration import gateway as gateways
from risk_daemon.operations.running.finding import FAIL, OK, WARN, Finding
from risk_daemon.operations.words import duration
from risk_daemon.settings import Settings

PYTHON_OLDEST: Final = (3, 12)
#: Below this somebody should make room, though all works.
FREE_BYTES_GOOD: Final = 2_000_000_000
DATE_WITHIN_S: Final = 4.0
#: `Date` has whole seconds.
_DATE_STEP_NS: Final = SECOND_NS
#: Beyond this rules that look at the time of day are wrong by what a trader notices.
CLOCK_FAILS_NS: Final = 60 * SECOND_NS
_ZONES: Final = ("America/Chicago", "America/New_York", "Europe/London")


def python(version: tuple[int, ...]) -> Finding:
    """Judge the interpreter's version."""
    told = ".".join(map(str, version))
    if version < PYTHON_OLDEST:
        oldest = ".".join(map(str, PYTHON_OLDEST))
        way = f"install Python {oldest} or newer, and this release into it"
        return Finding("python", FAIL, f"{told} is too old, {oldest} or newer is needed", way)
    return Finding("python", OK, f"{told} ({platform.python_implementation()})")


def sqlite(version: tuple[int, ...]) -> Finding:
    """Judge the SQLite library by the one minimum there is (`journal.sqlite`)."""
    told = ".".join(map(str, version))
    try:
        require(version)
    except OperatorError as error:
        way = "reinstall this release with its own pysqlite3"
        return Finding("sqlite", FAIL, error.sentence, way)
    return Finding("sqlite", OK, f"{told} ({Path(sqlite3.__file__).parent.name})")


def zones() -> Finding:
    """Judge whether the zone data knows the exchange's changes of clock."""
    try:
        known = [ZoneInfo(name) for name in _ZONES]
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        return Finding("zones", FAIL, f"no zone data: {error}", "pip install tzdata")
    chicago = known[0]
    hours = [datetime(2026, month, 15, tzinfo=chicago).utcoffset() for month in (1, 7)]
    if hours[0] == hours[1]:
        return Finding("zones", FAIL, "Chicago has no summer time in them", "pip install tzdata")
    return Finding("zones", OK, f"{', '.join(_ZONES)} are known")


def disk(folder: Path) -> Finding:
    """Write a file where the journal is, and see what room is left."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"doctor")
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        why = error.strerror or str(error)
        way = "give its user the right to write there, or make room"
        return Finding("disk", FAIL, f"{folder} can't be written: {why}", way)
    told = f"{folder} can be written, {free / 1e9:.1f} GB free"
    if free < FREE_BYTES_GOOD:
        state = FAIL if free < FREE_BYTES_MIN else WARN
        return Finding("disk", state, f"{told}: too little", f"make room on the disk of {folder}")
    return Finding("disk", OK, told)


def port(number: int, *, is_ours: bool) -> Finding:
    """Say whether the console's port can be had, or is had by the console."""
    if is_ours:
        return Finding("port", OK, f"the console answers on 127.0.0.1:{number}")
    if number == 0:
        return Finding("port", OK, "the console takes any free one")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tried:
            if os.name == "posix":
                # As the console does: fading connections of an earlier one are no hindrance.
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind(("127.0.0.1", number))
    except OSError as error:
        why = "another program has it" if error.errno == errno.EADDRINUSE else str(error.strerror)
        text = f"port {number} of 127.0.0.1 can't be taken: {why}"
        way = "set console.port in config/daemon.yaml (0 takes any free one)"
        return Finding("port", FAIL, text, way)
    return Finding("port", OK, f"127.0.0.1:{number} is free for the console")


# --- the clock -------------------------------------------------------------------


def clock(settings: Settings, keeper: Timekeeper) -> Finding:
    """Compare the home's clock with the gateway's `Date`; sends no credentials."""
    url = settings.gateway.api_url.rstrip("/") + "/api/Status/ping"
    before = keeper.now_ns()
    try:
        date = _date_of(url)
    except (OSError, ValueError) as error:
        why = str(getattr(error, "reason", error)) or type(error).__name__
        text = f"not compared: {settings.gateway.api_url} does not answer ({why})"
        return Finding("clock", WARN, text, "risk-daemon-admin test-connection")
    took = keeper.now_ns() - before
    return judged(before + took // 2, date, took)


def _date_of(url: str) -> int:
    """The `Date` of an answer, whatever the answer is, in ns UTC."""
    # A proxy of the environment is for the world outside, never for loopback.
    proxies: dict[str, str] | None = {} if gateways.kind_of(url) == "simulated" else None
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
    try:
        with opener.open(url, timeout=DATE_WITHIN_S) as answer:
            said = answer.headers.get("Date")
    except HTTPError as error:
        said = error.headers.get("Date")
        error.close()
    if not said:
        raise ValueError("its answer has no Date")
    return int(parsedate_to_datetime(said).astimezone(UTC).timestamp()) * SECOND_NS


def judged(ours: int, theirs: int, took: int) -> Finding:
    """Judge two times that were read within `took` of each other. Pure."""
    apart = ours - (theirs + _DATE_STEP_NS // 2)
    doubt = _DATE_STEP_NS // 2 + took // 2
    off = max(abs(apart) - doubt, 0)
    way = "set this machine's clock (timedatectl set-ntp true), then restart the daemon"
    if off <= TRUSTED_NS:
        return Finding("clock", OK, "agrees with the gateway's within 2 s")
    side = "ahead of" if apart > 0 else "behind"
    text = f"{duration(abs(apart) / 1e6)} {side} the gateway's"
    if off > CLOCK_FAILS_NS:
        text += ": locks would end and days would turn at the wrong time"
        return Finding("clock", FAIL, text, way)
    return Finding("clock", WARN, text, way)


def here() -> list[Finding]:
    """What can be judged without a home."""
    return [
        python(sys.version_info[:3]),
        sqlite(sqlite3.sqlite_version_info),
        zones(),
    ]
