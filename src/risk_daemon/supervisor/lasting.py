"""The dull half of the last resorts: tells `resort` what happened, and does what it says.

Which releases held accounts well is kept in `HOME/state/good-releases.json`; whom the protector is
to guard, and where, in `HOME/state/protector.json`, from the settings in force.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Final, Protocol

from risk_daemon.clock import Timekeeper
from risk_daemon.errors import NotFound
from risk_daemon.journal import durable
from risk_daemon.settings import Settings
from risk_daemon.supervisor import process, promotion, resort
from risk_daemon.supervisor.alarms import Alarms
from risk_daemon.supervisor.children import Running
from risk_daemon.supervisor.release import interpreter, release_of
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.heart import Heartbeat

GOOD: Final = "good-releases.json"
ORDERS: Final = "protector.json"
#: All must have been there for so long before the protector is relieved.
GUARDED_AFTER: Final = 10 * resort.SECOND
#: A console that fails leaves nobody unguarded.
NO_GUARD: Final = ("console",)

_log = logging.getLogger("supervisor")


class Daemon(Protocol):
    """What is asked of the supervisor."""

    home: Path
    settings: Settings
    release: str
    journal: JournalClient
    clock: Timekeeper
    alarms: Alarms
    children: dict[str, process.Child]
    running: dict[str, Running]
    beats: dict[str, tuple[int, Heartbeat]]

    @property
    def promotion(self) -> promotion.State:
        """Who holds which account, and what is under way about it."""

    def keep_warm(self, release: str) -> None:
        """Start a release's workers."""

    def protect(self) -> None:
        """Start the minimal protector."""

    def relieve(self) -> None:
        """Stop it."""


class Resorts:
    """Feeds the machine, and acts for it."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._state = resort.State()

    def begin(self, *, is_protecting: bool) -> None:
        """Take over from an earlier supervisor, and write down whom a protector would guard."""
        state = self._daemon.home / "state"
        self._state = resort.State(good=_read(state / GOOD), is_protecting=is_protecting)
        self._write(ORDERS, _orders(self._daemon.settings, ()))

    def ended(self, name: str) -> None:
        """A process that is wanted ended, or could not be started."""
        daemon, now = self._daemon, self._daemon.clock.steady_ns()
        if name in NO_GUARD or now - daemon.children[name].since >= process.STAYED_UP:
            return
        self._feed(
            resort.Failed(
                name=name,
                release=release_of(name),
                now=now,
                ready=bool(daemon.promotion.ready),
                staged=tuple(one for one in self._state.good if self._is_staged(one)),
            )
        )

    def look(self, now: int) -> None:
        """Note who holds accounts well; and the end of trouble, where there is some."""
        daemon = self._daemon
        for release in self._news(now):
            self._feed(resort.Held(release))
            self._write(GOOD, {"format": 1, "releases": list(self._state.good)})
        unguardable = promotion.unguardable(daemon.promotion)
        if unguardable != self._state.poisoned:
            self._feed(resort.Poisoned(unguardable))
        state = self._state
        if (state.is_protecting or state.warmed or state.is_called) and self._is_guarded(now):
            self._feed(resort.Guarded())

    def _news(self, now: int) -> list[str]:
        """Return the releases that hold accounts well, and are not known for it as they are now."""
        holders = {(lease.holder, lease.release) for lease in self._daemon.promotion.leases}
        found = sorted({release for holder, release in holders if self._stays(holder, now)})
        good = self._state.good
        if len(found) == 1:  # it alone has them all: it is the last good one
            return [] if good[-1:] == tuple(found) else found
        return [release for release in found if release not in good]

    def _stays(self, name: str, now: int) -> bool:
        child = self._daemon.children.get(name)
        return (
            child is not None
            and name in self._daemon.beats
            and child.phase is process.Phase.RUNNING
            and now - child.since >= process.STAYED_UP
        )

    def _is_guarded(self, now: int) -> bool:
        daemon = self._daemon
        must = ["journal", *(f"link-{login.name}" for login in daemon.settings.logins)]
        children = [daemon.children[name] for name in must if name in daemon.running]
        if len(children) < len(must) or not daemon.journal.is_open:
            return False
        if any(now - child.since < GUARDED_AFTER for child in children):
            return False
        held = {account for _, beat in daemon.beats.values() for account, _ in beat.enforcing}
        return held >= set(daemon.promotion.accounts)

    def _is_staged(self, release: str) -> bool:
        try:
            interpreter(self._daemon.home, release, self._daemon.release)
        except NotFound:
            return False
        return True

    def _feed(self, given: resort.Input) -> None:
        self._state, outputs = resort.step(self._state, given)
        daemon = self._daemon
        for output in outputs:
            match output:
                case resort.Warm(release=release, why=why):
                    text = f"{why}: {release} takes over, the last release that held accounts well"
                    daemon.alarms.say("page", "last good release", text)
                    daemon.keep_warm(release)
                case resort.Protect(why=why, accounts=accounts):
                    text = f"{why}: only the hard limit and locks are guarded; people are needed"
                    daemon.alarms.say("page", "minimal protector", text)
                    self._write(ORDERS, _orders(daemon.settings, accounts))
                    daemon.protect()
                case resort.Relieve():
                    daemon.alarms.say(
                        "info", "minimal protector", "relieved: all is enforced again"
                    )
                    daemon.relieve()
                case resort.CallPeople(why=why):
                    text = f"{why}: nothing guards the accounts; flatten them at the broker"
                    daemon.alarms.say("page", "people are needed", text)

    def _write(self, name: str, content: object) -> None:
        """What has no room is told in the log: the file before stands."""
        try:
            durable.replace(self._daemon.home / "state" / name, json.dumps(content).encode())
        except OSError as error:
            _log.warning("not written", extra={"file": name, "why": str(error)})


def _orders(settings: Settings, only: tuple[int, ...]) -> dict[str, object]:
    return {
        "format": 1,
        "api_url": settings.gateway.api_url,
        "offset_s": settings.clock_offset_s,
        "logins": [
            {
                "name": login.name,
                "user": login.user,
                "credentials": login.credentials,
                "accounts": [one for one in login.accounts if not only or one in only],
            }
            for login in settings.logins
        ],
    }


def _read(path: Path) -> tuple[str, ...]:
    """Read the good releases; none where the file is not there or damaged."""
    try:
        return tuple(str(one) for one in json.loads(path.read_bytes())["releases"])
    except (OSError, ValueError, KeyError, TypeError):
        return ()
