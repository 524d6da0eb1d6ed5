"""`end-of-day-flatten`: nothing is held into the close.

Per product the day ends at F: the configured time, or ten minutes before the
product's own close if that is earlier (an early close is that day's close).
`entries_lead` before F only reductions are allowed, at F the product is
flattened and locked until its next session starts. The account's own calendar
ends the whole account; a product that ends at another time is locked by its root.

Source: docs/rules/end-of-day-flatten.md.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import ClassVar, Final

import msgspec

from risk_daemon.core import session
from risk_daemon.core.account import Account
from risk_daemon.core.decision import (
    ANY_PRICE,
    CLOCK,
    FULL,
    REDUCE_ONLY,
    Breach,
    Clear,
    Finding,
    LockWish,
    Quiet,
    Remedy,
    Several,
)
from risk_daemon.core.events import Fact
from risk_daemon.core.session import SECOND, Session
from risk_daemon.core.world import Aspect, Rule, World
from risk_daemon.rules import rehearsal
from risk_daemon.rules.parameters import HIGHER, LOWER, Reader, RuleKind
from risk_daemon.rules.products import calendar_of

NAME: Final = "end-of-day-flatten"


class DayEnd(msgspec.Struct, frozen=True, gc=False):
    """When the day of one root ends: no entries, flat, and open again (ns UTC)."""

    entries: int
    flatten: int
    opens: int


class EndOfDayFlatten(msgspec.Struct, frozen=True, kw_only=True):
    """`flatten` in seconds after midnight in Chicago, the leads in ns."""

    flatten: int
    entries_lead: int
    product_lead: int
    name: str = NAME
    priority: int = 30
    reads: ClassVar[frozenset[Aspect]] = frozenset()

    def check(self, world: World, account: Account) -> Finding:
        """Compare the time with the end of the day of the account and of each root it has."""
        at = world.at
        main = self.day_end(account.calendar, at)
        others = self._others(world, account, main)
        scope = f"except:{','.join(sorted(others))}" if others else ""
        days = {scope: main, **{f"roots:{root}": others[root] for root in sorted(others)}}
        found = [one for name, day in days.items() if (one := self._stage(at, name, day))]
        waits = [t for day in days.values() for t in (day.entries, day.flatten, day.opens)]
        wake_at = min((instant for instant in waits if instant > at), default=0)
        if not found:
            return Clear(figure=at, bound=main.flatten, places=CLOCK, wake_at=wake_at)
        return Several(breaches=tuple(found), wake_at=wake_at)

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        """No price takes part."""
        del world, account
        return ANY_PRICE

    def _others(self, world: World, account: Account, main: DayEnd) -> dict[str, DayEnd]:
        """Return the roots of the account whose day ends at another time than the account's."""
        names = {*account.holdings, *(order.contract for order in account.orders.values())}
        grids = [world.instruments[name] for name in names if name in world.instruments]
        found = {
            grid.root: self.day_end(calendar_of(grid.root, account.calendar), world.at)
            for grid in grids
        }
        return {root: day for root, day in found.items() if day.flatten != main.flatten}

    def day_end(self, calendar: str, at: int) -> DayEnd:
        """Return the end of the running day of a calendar."""
        running = session.session_at(calendar, at)
        flatten = min(_wall_time(running, self.flatten), running.close - self.product_lead)
        return DayEnd(flatten - self.entries_lead, flatten, _opens(calendar, running))

    def _stage(self, at: int, scope: str, day: DayEnd) -> Breach | None:
        if at < day.entries:
            return None
        label = scope.partition(":")[2] if scope.startswith("roots") else ""
        whose = f"of {label} " if label else ""
        if at < day.flatten:
            stage, lock = "entries", LockWish(REDUCE_ONLY, day.flatten, scope)
            text = f"the day {whose}ends at {session.show_chicago(day.flatten)}: no new entries"
        else:
            stage, lock = "flatten", LockWish(FULL, day.opens or None, scope)
            text = f"the day {whose}ended at {session.show_chicago(day.flatten)}"
        return Breach(
            observed=session.show_chicago(at),
            limit=session.show_chicago(day.flatten),
            text=text,
            remedy=Remedy(lock=lock),
            part=f"{stage} {label}".strip(),
        )


@functools.cache
def _wall_time(running: Session, second: int) -> int:
    """Return a Chicago wall time on the date a session closes; asked at every record."""
    return session.chicago_instant(session.closing_date(running), 0) + second * SECOND


@functools.cache
def _opens(calendar: str, running: Session) -> int:
    return session.next_start(calendar, running.start)


def _rehearsal(
    rule: Rule, world: World, account: Account
) -> tuple[tuple[Fact, ...], tuple[Fact, ...]]:
    """The clock is what breaks this rule: it is set to just before its instants, then to F."""
    assert isinstance(rule, EndOfDayFlatten)
    day = rule.day_end(account.calendar, world.at)
    held = rehearsal.opened(world, account, 1)
    return (rehearsal.at(day.entries - 1), *held), (rehearsal.at(day.flatten), *held)


def _build(reader: Reader) -> EndOfDayFlatten:
    return EndOfDayFlatten(
        flatten=reader.clock("flatten", "15:08"),
        entries_lead=reader.duration("entries_lead", "3m"),
        product_lead=reader.duration("product_lead", "10m"),
    )


KIND: Final = RuleKind(
    name=NAME,
    summary="Before the close entries stop, then all is flattened and locked until it opens.",
    parameters={
        "flatten": 'when to be flat, Chicago wall time in quotes (default "15:08")',
        "entries_lead": 'only reductions from so long before it (default "3m")',
        "product_lead": 'never later than so long before the product\'s close (default "10m")',
    },
    build=_build,
    rehearsal=_rehearsal,
    defaults={"flatten": "15:08", "entries_lead": "3m", "product_lead": "10m"},
    tighter={"flatten": LOWER, "entries_lead": HIGHER, "product_lead": HIGHER},
    common=("reason_text",),
)
