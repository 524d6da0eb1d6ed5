"""Raises what the figures say, and calls the next ones for what nobody acknowledged.

    state/alerting.json    what people were told of, since when there is an escalation

One console of a home does it at a time. An alarm is a record with a name: what is raised again
after a death between the journal's answer and this file's next words is stored once.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import shutil
from typing import Final

import msgspec

from risk_daemon.clock import SECOND_NS, Clock, Timekeeper
from risk_daemon.console import view
from risk_daemon.console.seen import Seen
from risk_daemon.core import calendar_table
from risk_daemon.core.events import AlarmRaised
from risk_daemon.errors import OperatorError, Refused
from risk_daemon.journal.exclusive import Hold
from risk_daemon.operations import daemon
from risk_daemon.operations.alerts import alerting, attended, attended_file
from risk_daemon.operations.alerts.alert_settings import AlertSettings
from risk_daemon.operations.alerts.channel_file import settings
from risk_daemon.operations.backup import backup_list
from risk_daemon.operations.changing import contacts
from risk_daemon.operations.home import Home
from risk_daemon.wire.transport import write_private

FILE: Final = "alerting.json"
LOCK: Final = "alerting.lock"
SOURCE: Final = "alerting"
LOOK_EVERY_S: Final = 1.0
#: Disk, backups and the calendar change slowly, and cost a look at the disk.
HOUSE_EVERY_NS: Final = 60 * SECOND_NS
HOLD_AGAIN_AFTER_S: Final = 1.0

_log = logging.getLogger("alerting")


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An alarm that the journal is still to take, under its name."""

    once: str
    alarm: AlarmRaised


class Kept(msgspec.Struct, kw_only=True):
    """What is written down."""

    fired: dict[str, str] = {}
    waiting: list[Waiting] = []
    #: When an escalation was configured; 0 while there is none.
    escalates_since: int = 0


class Alerting:
    """The shell of `operations.alerts.alerting` and `operations.alerts.attended`."""

    def __init__(self, home: Home, seen: Seen, clock: Timekeeper) -> None:
        self._home, self._seen, self._clock = home, seen, clock
        self._kept, self._written = Kept(), b""
        self._settings = AlertSettings()
        self._state = alerting.State()
        self._house: dict[str, float | None] = {}
        self._house_at = 0
        self._called: set[tuple[int, int, int]] = set()
        self._said = ""

    async def run(self) -> None:
        """Look every second until cancelled."""
        hold = await self._hold()
        try:
            self._kept = _read(self._home)
            self._state = alerting.again(self._kept.fired, self._clock.steady_ns())
            while True:
                try:
                    await self._turn()
                except OSError as error:
                    self._warn("alerting can't write", str(error))
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            hold.release()

    async def _hold(self) -> Hold:
        while True:
            try:
                return Hold(self._home.state / LOCK)
            except (Refused, OSError):
                await asyncio.sleep(HOLD_AGAIN_AFTER_S)

    async def _turn(self) -> None:
        self._adopt()
        await self._look_at_house()
        self._look()
        await self._escalate()
        self._write()  # before it is said: after a death here it is said, under the same name
        if self._kept.waiting:
            await self._say()
            self._write()

    def _adopt(self) -> None:
        """Take the file as it is now; one that can't be used changes nothing."""
        try:
            self._settings = settings(self._home)
        except OperatorError as error:
            self._warn("thresholds are left as they were", error.sentence)
            return
        self._said = ""
        is_new = self._settings.escalation is not None and not self._kept.escalates_since
        if is_new or self._settings.escalation is None:
            self._kept.escalates_since = self._clock.now_ns() if is_new else 0

    # --- the figures ---

    async def _look_at_house(self) -> None:
        now = self._clock.steady_ns()
        if not self._house_at or now - self._house_at > HOUSE_EVERY_NS:
            self._house_at = now
            self._house = await asyncio.to_thread(_house, self._home, self._clock.now_ns())

    def _look(self) -> None:
        look = view.look(self._seen, self._clock.steady_ns(), self._house)
        if look is None:
            return
        self._state, raised = alerting.step(self._state, look, self._settings.thresholds)
        self._kept.fired = alerting.kept(self._state)
        at = self._clock.now_ns()
        for number, one in enumerate(raised):
            alarm = AlarmRaised(
                account=0, level=one.level, what=one.what, text=one.text, source=SOURCE
            )
            self._kept.waiting.append(Waiting(once=f"alerting:{at}:{number}", alarm=alarm))

    # --- nobody answers ---

    async def _escalate(self) -> None:
        plan = self._settings.escalation
        if plan is None:
            return
        now, alarms = self._clock.now_ns(), tuple(self._seen.alarms)
        known = await asyncio.to_thread(attended_file.read, self._home)
        for one in attended.due(alarms, known, plan, self._kept.escalates_since, now):
            place = one.alarm.place
            if (place.seq, place.crc, one.number) in self._called:
                continue
            self._called.add((place.seq, place.crc, one.number))
            alarm = AlarmRaised(
                account=one.alarm.account,
                level="page",
                what="not acknowledged",
                text=attended.said(one, plan, contacts.of_home(self._home)),
                source=attended.SOURCE,
                audience=one.audience,
            )
            once = f"escalation:{place.seq}:{place.crc}:{one.number}"
            self._kept.waiting.append(Waiting(once=once, alarm=alarm))

    # --- saying ---

    async def _say(self) -> None:
        """Have the journal take what waits, in order; the rest waits while it is away."""
        while self._kept.waiting:
            first = self._kept.waiting[0]
            try:
                await asyncio.to_thread(daemon.append, self._home, first.alarm, first.once)
            except (OperatorError, OSError):
                return
            _log.warning(first.alarm.what, extra={"text": first.alarm.text})
            self._kept.waiting.pop(0)

    def _write(self) -> None:
        content = msgspec.json.encode(self._kept)
        if content != self._written:
            write_private(self._home.state / FILE, content)
            self._written = content

    def _warn(self, what: str, why: str) -> None:
        if why != self._said:
            _log.warning(what, extra={"why": why})
        self._said = why


def _read(home: Home) -> Kept:
    try:
        return msgspec.json.decode((home.state / FILE).read_bytes(), type=Kept)
    except (OSError, msgspec.MsgspecError):
        return Kept()


def _house(home: Home, now: int) -> dict[str, float | None]:
    # A backup is a file of this machine: its time is not the home's, which a rehearsal may move.
    machine = Clock().now_ns()
    age_s = backup_list.age_of_backup(home, machine)
    unsaved_s = backup_list.age_of_state(home, machine, now) if age_s is None else None
    today = dt.datetime.fromtimestamp(now / SECOND_NS, dt.UTC).date()
    left = dt.date.fromisoformat(calendar_table.LAST_DATE) - today
    return {
        "disk_free_gb": shutil.disk_usage(home.state).free / 1e9,
        "backup_age_h": age_s / 3_600 if age_s is not None else None,
        "unsaved_h": unsaved_s / 3_600 if unsaved_s is not None else None,
        "calendar_days": float(left.days),
    }
