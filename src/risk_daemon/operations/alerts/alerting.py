"""When people are told that something lasts: the brief's table and its kin, over windows. Pure.

    step(state, look, limits) -> (state, alarms)

A look is what is true now, and what happened since the look before; time is in it. What is wrong
has a key. A key that is there for as long as its rule says *fires*: one alarm. It is *over*, with
one alarm of level info, once it was not there for `calm_s`, so that a figure that trembles about
its limit is told once. What fires survives a restart (`fired`): it is not told anew.

Rates need a least count: one slow record of three is no fact about the daemon.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

SECOND: Final = 1_000_000_000
WARNING: Final = "warn"
#: What the brief calls CRITICAL: somebody is to look now.
CRITICAL: Final = "page"
#: P95: of a hundred records five may be slower.
SLOWER_PERCENT: Final = 5


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The brief's figures; `thresholds` of `config/alerts.yaml` may say others."""

    latency_ms: float = 200.0
    latency_events: int = 50
    error_percent: float = 1.0
    error_events: int = 100
    memory_mb: float = 700.0
    memory_s: float = 60.0
    disconnected_s: float = 300.0
    blind_s: float = 30.0
    disconnects: int = 3
    disconnects_within_s: float = 600.0
    stale_s: float = 60.0
    window_s: float = 300.0
    calm_s: float = 60.0
    disk_free_gb: float = 2.0
    backup_age_h: float = 48.0
    calendar_days: float = 60.0


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What is true at `at` (steady, ns), and what happened since the look before.

    None: not known, and so nothing that could be wrong.
    """

    at: int
    latencies_us: tuple[int, ...] = ()
    decided: int = 0
    #: Episodes of errors: a fault that lasts is one.
    failed: int = 0
    memory_mb: float | None = None
    #: Logins that are not connected now, and those that were lost since, once for each time.
    apart: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    #: Contracts that an account holds and whose price is stale.
    stale: tuple[str, ...] = ()
    disk_free_gb: float | None = None
    backup_age_h: float | None = None
    #: How old the state is of a home that has no verified backup at all.
    unsaved_h: float | None = None
    calendar_days: float | None = None


class Turn(msgspec.Struct, frozen=True, array_like=True):
    """The counts of one look, while they are in the window."""

    at: int
    timed: int
    slow: int
    decided: int
    failed: int


class Fired(msgspec.Struct, frozen=True, kw_only=True):
    """What people were told of, and have not been told to be over. `seen` is steady, ns."""

    text: str
    seen: int = 0


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that is remembered between two looks."""

    turns: tuple[Turn, ...] = ()
    #: Login and instant of each loss.
    lost: tuple[tuple[str, int], ...] = ()
    #: By key: since when it is wrong without a break.
    since: Mapping[str, int] = {}
    fired: Mapping[str, Fired] = {}


class Wrong(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong now; it fires when it is so for `after_s`."""

    key: str
    level: str
    text: str
    after_s: float = 0.0


class Raise(msgspec.Struct, frozen=True, kw_only=True):
    """Tell people. `what` is the key's first part, by which it can be silenced."""

    level: str
    what: str
    text: str


def step(state: State, look: Look, limits: Limits) -> tuple[State, tuple[Raise, ...]]:
    """Take one look; return what people are to be told because of it."""
    turns = _turns(state.turns, look, limits)
    lost = _losses(state.lost, look, limits)
    found = {one.key: one for one in _wrong(turns, lost, look, limits)}
    since = {key: state.since.get(key, look.at) for key in found}
    fired, raised = dict(state.fired), []
    for key, one in found.items():
        lasts = look.at - since[key]
        if key in fired:
            fired[key] = msgspec.structs.replace(fired[key], seen=look.at)
        elif lasts >= one.after_s * SECOND:
            fired[key] = Fired(text=one.text, seen=look.at)
            raised.append(Raise(level=one.level, what=_what(key), text=one.text))
    for key, told in state.fired.items():
        if key not in found and look.at - told.seen >= limits.calm_s * SECOND:
            del fired[key]
            raised.append(Raise(level="info", what=_what(key), text=f"over: {told.text}"))
    return State(turns=turns, lost=lost, since=since, fired=fired), tuple(raised)


def _what(key: str) -> str:
    return key.partition("/")[0]


def _turns(before: tuple[Turn, ...], look: Look, limits: Limits) -> tuple[Turn, ...]:
    kept = tuple(one for one in before if look.at - one.at < limits.window_s * SECOND)
    if not (look.decided or look.failed or look.latencies_us):
        return kept
    slow = sum(us > limits.latency_ms * 1_000 for us in look.latencies_us)
    return (*kept, Turn(look.at, len(look.latencies_us), slow, look.decided, look.failed))


def _losses(
    before: tuple[tuple[str, int], ...], look: Look, limits: Limits
) -> tuple[tuple[str, int], ...]:
    within = limits.disconnects_within_s * SECOND
    kept = tuple((login, at) for login, at in before if look.at - at < within)
    return (*kept, *((login, look.at) for login in look.lost))


def _wrong(
    turns: tuple[Turn, ...], lost: tuple[tuple[str, int], ...], look: Look, limits: Limits
) -> Iterator[Wrong]:
    yield from _rates(turns, limits)
    if look.memory_mb is not None and look.memory_mb > limits.memory_mb:
        held, most = f"{look.memory_mb:,.0f} MB", f"{limits.memory_mb:,g} MB"
        text = f"the daemon's processes hold {held}, at most {most} is usual"
        yield Wrong(key="memory", level=WARNING, text=text, after_s=limits.memory_s)
    yield from _connections(lost, look, limits)
    for contract in look.stale:
        text = f"{contract} is held, and its price is old and proven by nothing"
        yield Wrong(key=f"stale/{contract}", level=WARNING, text=text, after_s=limits.stale_s)
    yield from _housekeeping(look, limits)


def _rates(turns: tuple[Turn, ...], limits: Limits) -> Iterator[Wrong]:
    timed, slow = sum(one.timed for one in turns), sum(one.slow for one in turns)
    window = _span(limits.window_s)
    # The 95th of a hundred is above the limit exactly when more than five are.
    if timed >= limits.latency_events and slow > timed * SLOWER_PERCENT // 100:
        text = (
            f"event processing latency: P95 over {limits.latency_ms:g} ms"
            f" ({slow:,} of {timed:,} records within {window} took longer)"
        )
        yield Wrong(key="latency", level=WARNING, text=text)
    decided, failed = sum(one.decided for one in turns), sum(one.failed for one in turns)
    if decided >= limits.error_events and failed * 100 > decided * limits.error_percent:
        text = (
            f"error rate over {limits.error_percent:g} %: {failed:,} in {decided:,} records within"
            f" {window}; consider a rollback"
        )
        yield Wrong(key="error rate", level=CRITICAL, text=text)


def _connections(lost: tuple[tuple[str, int], ...], look: Look, limits: Limits) -> Iterator[Wrong]:
    for login in look.apart:
        text = f"login {login} is not connected for more than {_span(limits.blind_s)}"
        yield Wrong(key=f"blind/{login}", level=WARNING, text=text, after_s=limits.blind_s)
        text = (
            f"login {login} is disconnected for more than {_span(limits.disconnected_s)}:"
            " flatten at the broker if in doubt"
        )
        key = f"disconnected/{login}"
        yield Wrong(key=key, level=CRITICAL, text=text, after_s=limits.disconnected_s)
    for login in sorted({name for name, _ in lost}):
        times = sum(name == login for name, _ in lost)
        if times >= limits.disconnects:
            within = _span(limits.disconnects_within_s)
            text = f"login {login} was disconnected {times} times within {within}"
            yield Wrong(key=f"repeated disconnects/{login}", level=WARNING, text=text)


def _housekeeping(look: Look, limits: Limits) -> Iterator[Wrong]:
    if look.disk_free_gb is not None and look.disk_free_gb < limits.disk_free_gb:
        free = f"{look.disk_free_gb:.1f} GB"
        text = f"{free} are free on the disk of the journal, less than {limits.disk_free_gb:g} GB"
        yield Wrong(key="disk", level=WARNING, text=text)
    if look.backup_age_h is not None and look.backup_age_h > limits.backup_age_h:
        age = f"{look.backup_age_h:,.0f} h"
        text = f"the newest verified backup is {age} old, more than {limits.backup_age_h:g} h"
        yield Wrong(key="backup age", level=WARNING, text=text)
    if look.unsaved_h is not None and look.unsaved_h > limits.backup_age_h:
        text = (
            f"there is no verified backup of this home, whose state is {look.unsaved_h:,.0f} h old,"
            f" more than {limits.backup_age_h:g} h: `risk-daemon-admin backup create` makes one"
        )
        yield Wrong(key="no verified backup", level=WARNING, text=text)
    if look.calendar_days is not None and look.calendar_days < limits.calendar_days:
        text = (
            f"the calendar of trading days ends in {look.calendar_days:g} days: a release with a"
            " longer one is needed"
        )
        yield Wrong(key="calendar", level=WARNING, text=text)


def _span(seconds: float) -> str:
    return f"{seconds / 60:g} min" if seconds >= 60 else f"{seconds:g} s"


# --- what survives a restart ---


def kept(state: State) -> dict[str, str]:
    """Return what is written down: what people were told of, by key."""
    return {key: one.text for key, one in state.fired.items()}


def again(kept: Mapping[str, str], at: int) -> State:
    """Go on at a steady time from what was written down; what is over will be told as over."""
    return State(fired={key: Fired(text=text, seen=at) for key, text in kept.items()})


def objection(limits: Limits) -> str:
    """Say which limit can't be meant, or nothing."""
    for name in Limits.__struct_fields__:
        if not getattr(limits, name) >= 0:
            return f"{name} must not be negative, was {getattr(limits, name)}"
    if not limits.window_s > 0:
        return "window_s must be more than 0"
    return ""
