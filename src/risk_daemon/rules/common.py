"""What every rule may be given besides its own parameters, decided once for all of them.

A rule with common keys is wrapped: the wrapper asks it, and changes what it
found. Outside its schedule a rule finds nothing; `reason_text` is added to what
people read; `lockout` says until when it locks instead of its own; `on_repeat`
makes the lock of the K-th trip of a day a stricter one; `warn_at` tells when a
share of the limit is used, once for each share and trade day.

Source: docs/rules/common.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from risk_daemon.core import schedule, session
from risk_daemon.core.account import Account
from risk_daemon.core.decision import (
    ANY_PRICE,
    LOCK_MODES,
    NO_PRICE,
    REDUCE_ONLY,
    Breach,
    Clear,
    Finding,
    LockWish,
    Nearing,
    Quiet,
    Several,
)
from risk_daemon.core.events import Fact
from risk_daemon.core.instrument import UNIT, show
from risk_daemon.core.quiet import by_money, together
from risk_daemon.core.schedule import DAYS, Window
from risk_daemon.core.world import Aspect, Rule, World
from risk_daemon.rules import rehearsal
from risk_daemon.rules.parameters import ParameterError, Reader, RuleKind

NONE, NEXT_RESET, NEXT_WEEK, NEXT_WINDOW, ADMIN = (
    "none",
    "next-reset",
    "next-week",
    "next-window",
    "admin",
)
UNTIL_WORDS: Final = (NONE, NEXT_RESET, NEXT_WEEK, NEXT_WINDOW, ADMIN)

PARAMETERS: Final = {
    "warn_at": 'shares of the limit to tell at, rising, as text: ["0.5", "0.8"] (default none)',
    "lockout": 'none, next-reset, next-week, next-window, admin or a duration such as "15m"'
    " (default: the rule's own)",
    "on_repeat": 'a table {trips: 3, lockout: "15m", mode: reduce-only} (default none)',
    "schedule": 'windows in Chicago: [{days: [mon, tue], from: "08:30", to: "15:00"}]'
    " (default: always)",
    "reason_text": "a sentence added to what people read (default none)",
}
_WINDOW: Final = {
    "days": "a list of " + ", ".join(DAYS),
    "from": 'a wall time in Chicago in quotes, such as "08:30"',
    "to": 'a wall time in Chicago in quotes, such as "15:00"',
}
_REPEAT: Final = {
    "trips": "a whole number of at least 1",
    "lockout": 'next-reset, next-week, admin or a duration such as "15m"',
    "mode": "full, reduce-only or no-new-entry",
}


class Until(msgspec.Struct, frozen=True):
    """When a lock ends: one of the words, or a duration in ns where `word` is ""."""

    word: str
    ns: int = 0


class Repeat(msgspec.Struct, frozen=True):
    """The lock of the trip number `trips` of a day, and of every later one."""

    trips: int
    until: Until
    mode: str


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """A rule, and what is common to all rules around it. Shares are in units of 1e-9."""

    inner: Rule
    warn_at: tuple[int, ...] = ()
    lockout: Until | None = None
    on_repeat: Repeat | None = None
    schedule: tuple[Window, ...] = ()
    reason_text: str = ""

    @property
    def name(self) -> str:
        """The rule's own name."""
        return self.inner.name

    @property
    def priority(self) -> int:
        """The rule's own priority."""
        return self.inner.priority

    @property
    def reads(self) -> frozenset[Aspect]:
        """The rule's own: what is added waits for its instants."""
        return self.inner.reads

    def check(self, world: World, account: Account) -> Finding:
        """Ask the rule within its schedule, and change what it found as the common keys say."""
        change_at = schedule.next_change(self.schedule, world.at)
        if not schedule.is_active(self.schedule, world.at):
            return Clear(wake_at=change_at)
        finding = self.inner.check(world, account)
        match finding:
            case Breach():
                finding = self._changed(finding, world, account)
            case Several(breaches=breaches):
                changed = tuple(self._changed(one, world, account) for one in breaches)
                finding = msgspec.structs.replace(finding, breaches=changed)
            case Clear():
                finding = self._nearing(finding)
            case _:
                return finding
        return _woken(finding, change_at)

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        """Bound the rule's quiet prices by the next share that is told."""
        if not schedule.is_active(self.schedule, world.at):
            return ANY_PRICE
        own = self.inner.quiet(world, account)
        finding = self.inner.check(world, account)
        if not isinstance(finding, Clear):
            return own
        nearing, room = self._nearing(finding).nearing, self._room(finding)
        if nearing is not None and nearing.share > account.warned.get(self.name, 0):
            return NO_PRICE  # the price it is at has yet to be told
        if own is None or room is None:
            return own
        return together([own, by_money(world, account, loss=room, gain=None)])

    # --- nearing the limit ---

    def _nearing(self, clear: Clear) -> Clear:
        passed = [share for share in self.warn_at if clear.used is not None and clear.used >= share]
        if not passed:
            return clear
        text = (
            f"{show(passed[-1] * 100, 0)} % of the limit of {self.name} is used:"
            f" {clear.observed} against {clear.limit}"
        )
        return msgspec.structs.replace(clear, nearing=Nearing(passed[-1], self._reasoned(text)))

    def _room(self, finding: Clear) -> int | None:
        """Return what may be lost before the next share is used; None where prices take no part."""
        if finding.used is None or not finding.whole:
            return None
        ahead = [share for share in self.warn_at if share > finding.used]
        # `used` is rounded down: the true figure may be a unit nearer.
        return (ahead[0] - finding.used - 1) * finding.whole // UNIT if ahead else None

    # --- what a breach leads to ---

    def _changed(self, breach: Breach, world: World, account: Account) -> Breach:
        lock = breach.remedy.lock
        if self.lockout is not None and lock is not None and not breach.part:
            lock = self._locked(lock, self.lockout, world, account)
        if self.on_repeat is not None and self._is_repeat(account, self.on_repeat):
            lock = self._stricter(lock, self.on_repeat, world, account)
        remedy = msgspec.structs.replace(breach.remedy, lock=lock)
        return msgspec.structs.replace(breach, remedy=remedy, text=self._reasoned(breach.text))

    def _reasoned(self, text: str) -> str:
        return f"{text}. {self.reason_text}" if self.reason_text else text

    def _is_repeat(self, account: Account, repeat: Repeat) -> bool:
        return account.trips.get(self.name, 0) + 1 >= repeat.trips

    def _locked(
        self, lock: LockWish, until: Until, world: World, account: Account
    ) -> LockWish | None:
        if until.word == NONE:
            return None
        ends_at = self._instant(until, world, account)
        return msgspec.structs.replace(lock, until=ends_at)

    def _stricter(
        self, lock: LockWish | None, repeat: Repeat, world: World, account: Account
    ) -> LockWish:
        """Join the rule's own lock with that of a repeat: the stricter mode, the later end."""
        wish = LockWish(repeat.mode, self._instant(repeat.until, world, account))
        if lock is None:
            return wish
        mode = min(lock.mode, wish.mode, key=LOCK_MODES.index)
        ends = (lock.until, wish.until)
        until = None if None in ends else max(end for end in ends if end is not None)
        return msgspec.structs.replace(lock, mode=mode, until=until)

    def _instant(self, until: Until, world: World, account: Account) -> int | None:
        """Return the end of a lock in ns UTC; None: an admin ends it. What is not known is None."""
        match until.word:
            case "":
                return world.at + until.ns
            case "next-reset":
                return account.next_reset or None
            case "next-week":
                return session.next_week(account.calendar, world.at) or None
            case "next-window":
                return schedule.next_start(self.schedule, world.at) or None
            case _:
                return None


def _woken(finding: Breach | Clear | Several, at: int) -> Finding:
    """Wish to be asked again at the schedule's next change too."""
    if not at:
        return finding
    wakes = [instant for instant in (finding.wake_at, at) if instant]
    return msgspec.structs.replace(finding, wake_at=min(wakes, default=0))


# --- reading ---------------------------------------------------------------------


def widened(kind: RuleKind) -> RuleKind:
    """Return a kind that takes the common keys of its list besides its own."""
    more = {key: PARAMETERS[key] for key in PARAMETERS if key in kind.common}

    def build(reader: Reader) -> Rule:
        inner = kind.build(reader)
        own = _own(reader, more)
        return Common(inner=inner, **own) if own else inner

    def rehearse(
        rule: Rule, world: World, account: Account
    ) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
        if not isinstance(rule, Common):
            return kind.rehearsal(rule, world, account)
        near, breach = kind.rehearsal(rule.inner, world, account)
        if schedule.is_active(rule.schedule, world.at):
            return near, breach
        opens = rehearsal.at(schedule.next_start(rule.schedule, world.at))
        return (opens, *near), (opens, *breach)

    return msgspec.structs.replace(
        kind,
        parameters={**kind.parameters, **more},
        defaults={**kind.defaults, **dict.fromkeys(more)},
        build=build,
        rehearsal=rehearse,
    )


def _own(reader: Reader, keys: Mapping[str, str]) -> dict[str, Any]:
    """Read the common keys that were given."""
    given = {key for key in keys if reader.has(key)}
    own: dict[str, Any] = {}
    if "schedule" in given:
        own["schedule"] = tuple(_window(row) for row in reader.rows("schedule", _WINDOW))
        if not own["schedule"]:
            raise reader.fail("schedule")
    if "warn_at" in given:
        own["warn_at"] = reader.shares("warn_at")
    if "lockout" in given:
        own["lockout"] = _until(reader, "lockout", UNTIL_WORDS)
        if own["lockout"].word == NEXT_WINDOW and "schedule" not in given:
            raise reader.fail("lockout", "next-window only beside a schedule")
    if "on_repeat" in given:
        own["on_repeat"] = _repeat(reader)
    if "reason_text" in given:
        own["reason_text"] = reader.text("reason_text")
    return own


def _window(row: Reader) -> Window:
    days = row.words("days", DAYS)
    begins, ends = row.clock("from", ""), row.clock("to", "")
    if begins == ends:
        raise row.fail("to", "another wall time than `from`")
    return Window(frozenset(DAYS.index(day) for day in days), begins, ends)


def _until(reader: Reader, key: str, words: tuple[str, ...]) -> Until:
    for word in words:
        if reader.is_word(key, word):
            return Until(word)
    try:
        return Until("", reader.duration(key, ""))
    except ParameterError:
        raise reader.fail(key) from None


def _repeat(reader: Reader) -> Repeat:
    table = reader.table("on_repeat", _REPEAT)
    assert table is not None  # it was given
    return Repeat(
        table.whole("trips", at_least=1),
        _until(table, "lockout", (NEXT_RESET, NEXT_WEEK, ADMIN)),
        table.choice("mode", LOCK_MODES, REDUCE_ONLY),
    )
