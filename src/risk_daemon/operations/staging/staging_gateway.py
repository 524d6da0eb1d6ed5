"""The simulated gateway that a staging home without a user of its own talks to.

A process of its own beside the daemon, as the broker would be: it outlives restarts of the daemon
and changes of release. What it is to be stands in `simgate/config.yaml` of the home.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from ruamel.yaml import YAML

from risk_daemon.clock import SECOND_NS
from risk_daemon.core import session
from risk_daemon.core.events import PolicyAdopted
from risk_daemon.depot import making
from risk_daemon.errors import OperatorError, TimedOut
from risk_daemon.operations.home import Home
from risk_daemon.operations.running.lifecycle import Waiting
from risk_daemon.settings import Gateway, Login

#: It listens within a second; its death ends the wait, so that only a busy machine needs more.
READY_WITHIN_S: Final = 90.0
LOOK_EVERY_S: Final = 0.05
STOP_WITHIN_S: Final = 5.0
BALANCE: Final = "50000.00"
#: Traders of every habit, so that each rule fires sooner or later (docs/formats/referee.md).
STYLES: Final = ("oversizer", "bracketer", "calm", "loser", "holder", "careless", "dreamer")
_HOUR_NS: Final = 3_600 * SECOND_NS
#: An hour after the open, and so long before the close: nobody is to be flat by then.
_AFTER_OPEN_NS, _BEFORE_CLOSE_NS = _HOUR_NS, 3 * _HOUR_NS

if sys.platform == "win32":
    _ALONE: Final = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS
else:
    _ALONE: Final = 0


@dataclass(frozen=True, slots=True)
class Running:
    """A simulated gateway that lives."""

    pid: int
    port: int
    control_port: int

    @property
    def gateway(self) -> Gateway:
        """Its addresses, as a home's settings have them."""
        return gateway_at(self.port)


def gateway_at(port: int) -> Gateway:
    """The addresses of a simulated gateway at a port of this machine."""
    base = f"http://127.0.0.1:{port}"
    return Gateway(
        api_url=base, user_hub_url=f"{base}/hubs/user", market_hub_url=f"{base}/hubs/market"
    )


def folder(at: Home) -> Path:
    """Where the gateway of a home keeps what it is and says."""
    return at.path / "simgate"


def recorded(at: Home) -> dict[str, Any]:
    """Return what its ready file says, of a running gateway or of one that was; else nothing."""
    try:
        found = json.loads((folder(at) / "ready.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def running(at: Home) -> Running | None:
    """Return the gateway of a home, if it lives."""
    found = recorded(at)
    try:
        words = psutil.Process(int(found["pid"])).cmdline()
        live = Running(int(found["pid"]), int(found["port"]), int(found["control_port"]))
    except (KeyError, ValueError, TypeError, psutil.Error):
        return None
    return live if str(folder(at) / "config.yaml") in words else None


def offset_s(now: int, before_s: float) -> float:
    """Return how far the home's time is ahead of ours: never less than before, in an open market.

    `now` in UTC ns. In a closed market nobody trades, so there would be no history to load.
    """
    moment = now + int(before_s * SECOND_NS)
    for one in session.sessions(session.CALENDARS[0]):
        begins = max(moment, one.start + _AFTER_OPEN_NS)
        if begins + _BEFORE_CLOSE_NS <= one.close:
            return before_s + (begins - moment) / SECOND_NS
    return before_s


def referee_text(
    logins: Iterable[Login],
    policies: Mapping[int, PolicyAdopted],
    keys: Mapping[str, str],
    ahead_s: float,
) -> str:
    """Write the gateway's file: the home's accounts and limits, and traders of every habit."""
    owners = list(logins)
    accounts = [number for login in owners for number in login.accounts]
    styles = {number: STYLES[place % len(STYLES)] for place, number in enumerate(accounts)}
    found = {
        "seed": 7,
        "offset_s": ahead_s,
        "profile": "demo",
        "traders": True,
        "logins": [
            {
                "user": login.user,
                "api_key": keys[login.name],
                "accounts": [
                    {
                        "id": number,
                        "balance": _param(policies, number, "trailing-max-drawdown", "start")
                        or BALANCE,
                        "style": styles[number],
                    }
                    for number in login.accounts
                ],
            }
            for login in owners
        ],
        "limits": {"accounts": {number: _limits(policies, number) for number in accounts}},
    }
    out = io.BytesIO()
    YAML(typ="safe").dump(found, out)
    return out.getvalue().decode()


def _limits(policies: Mapping[int, PolicyAdopted], number: int) -> dict[str, Any]:
    limit = _param(policies, number, "max-contracts", "limit")
    return {"max_contracts": int(str(limit))} if limit is not None else {}


def _param(policies: Mapping[int, PolicyAdopted], number: int, rule: str, name: str) -> Any:
    """Return a parameter of a rule of an account; None where it is not configured."""
    rules = policies[number].rules if number in policies else ()
    return next((one.params.get(name) for one in rules if one.rule == rule), None)


def ensure(at: Home, python: Path, text: str, waiting: Waiting) -> Running:
    """Return the home's gateway, started if it does not live or is to be another one."""
    place = folder(at)
    config = place / "config.yaml"
    live = running(at)
    if live is not None and _read(config) == text:
        return live
    if live is not None:
        stop(at, waiting)
    place.mkdir(mode=0o700, exist_ok=True)
    config.touch(mode=0o600)
    config.write_text(text, encoding="utf-8")
    port = int(recorded(at).get("port", 0))
    try:
        return _started(at, python, port, waiting)
    except OperatorError:
        if port == 0:
            raise
        waiting.say(f"port {port} is not to be had any more: the simulated gateway takes another")
        return _started(at, python, 0, waiting)


def _started(at: Home, python: Path, port: int, waiting: Waiting) -> Running:
    place = folder(at)
    ready = place / "ready.json"
    ready.unlink(missing_ok=True)
    words = [str(python), "-m", "risk_daemon.programs.simgate", "run"]
    words += ["--config", str(place / "config.yaml"), "--port", str(port)]
    words += ["--ready-file", str(ready), "--log", str(place / "log")]
    with (place / "out").open("wb") as out:
        process = subprocess.Popen(
            words,
            env=_without_credentials(),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            creationflags=_ALONE,
        )
    return _ready(at, process, waiting)


def _without_credentials() -> dict[str, str]:
    return {
        name: value
        for name, value in making.environment().items()
        if not name.startswith("PROJECT_X")
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _ready(at: Home, process: subprocess.Popen[bytes], waiting: Waiting) -> Running:
    until = waiting.clock.steady_ns() + int(READY_WITHIN_S * SECOND_NS)
    while waiting.clock.steady_ns() < until:
        if process.poll() is not None:
            said = _read(folder(at) / "out").strip().splitlines()[-1:] or ["it says nothing"]
            raise OperatorError(
                f"the simulated gateway of {at.path} ended with exit {process.returncode}: "
                f"{said[0].rstrip('.')}. All it said is in {folder(at) / 'out'}; it is safe to "
                "deploy again."
            )
        if (live := running(at)) is not None:
            return live
        waiting.pause(LOOK_EVERY_S)
    process.kill()
    raise TimedOut(
        f"the simulated gateway of {at.path} did not listen within {READY_WITHIN_S:g} s and was "
        f"ended; nothing else was started. What it said is in {folder(at) / 'out'}; it is safe to "
        "deploy again."
    )


def stop(at: Home, waiting: Waiting) -> bool:
    """End the home's gateway; tell whether one lived."""
    live = running(at)
    if live is None:
        return False
    try:
        process = psutil.Process(live.pid)
    except psutil.NoSuchProcess:
        return True
    try:
        process.terminate()
        process.wait(STOP_WITHIN_S)
    except psutil.TimeoutExpired:
        waiting.say(f"the simulated gateway (process {live.pid}) does not end: it is killed")
        process.kill()
    except psutil.NoSuchProcess:
        pass
    return True
