"""`alert ack` and `alert silence`, and what `alert list` says of them.

Both are words in `state/attended.json`, so that they work with the daemon down, and a record of the
journal, so that everybody sees who said so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, Final

from risk_daemon.clock import Clock
from risk_daemon.core.events import AlarmRaised
from risk_daemon.errors import NotFound, NotReachable, UsageError
from risk_daemon.journal.reader import Reader
from risk_daemon.operations import daemon, home, pending
from risk_daemon.operations.alerts import alarm_log, attended, attended_file, heartbeat
from risk_daemon.operations.alerts.attended import Acknowledged, Attended, Silence
from risk_daemon.operations.alerts.channel_file import settings
from risk_daemon.operations.alerts.outbox import Alarm, Place
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who, end_of, now_ns
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.state_file import standing as of_state
from risk_daemon.operations.words import both_times, count, duration, iso
from risk_daemon.settings import decode_settings
from risk_daemon.wire.record import Record, decode

SOURCE: Final = "alert"
LIST: Final = "risk-daemon-admin alert list"
NO_REASON: Final = "none given"
#: What lasts longer is a threshold that is wrong, or a channel that nobody wants.
SILENT_AT_MOST_NS: Final = 7 * 86_400_000_000_000
#: Open alarms that are shown; the log has all.
SHOWN_MAX: Final = 10
_WHAT_MAX: Final = 40
_PIECE: Final = 1_000
_LAST: Final = (1 << 62) - 1


def now_of(at: Home) -> int:
    """Return the time of the home's daemon."""
    try:
        last = of_state(at).settings
    except NotFound:
        last = None
    return Clock().now_ns() if last is None else now_ns(decode_settings(last.text))


def alarms(at: Home, from_seq: int, upto: int = _LAST) -> list[Alarm]:
    """Return the alarms of the journal from a record to another one, oldest first."""
    file = at.state / FILE
    return list(_alarms(at, from_seq, upto)) if file.is_file() else []


def _alarms(at: Home, next_seq: int, upto: int) -> Iterator[Alarm]:
    is_all = False
    with closing(Reader(at.state / FILE)) as reader:
        while not is_all:
            found = reader.records(next_seq, upto, ("alarm-raised",), _PIECE)
            next_seq, is_all = found.next_seq, found.is_all
            yield from (one for record in found.records if (one := _alarm(record)) is not None)


def _alarm(record: Record) -> Alarm | None:
    fact = decode(record).fact
    if not isinstance(fact, AlarmRaised):
        return None
    return Alarm(
        place=Place(record.seq, record.crc),
        at=record.at,
        account=fact.account,
        level=fact.level,
        what=fact.what,
        text=fact.text,
        source=fact.source,
        audience=fact.audience,
    )


def store(at: Home, alarm: AlarmRaised, name: str) -> str:
    """Store it in the journal, or for the next start; say which."""
    try:
        daemon.append(at, alarm, f"message:{name}")
    except NotReachable:
        pending.keep_message(at, pending.Message(name, alarm))
        return "kept for the next start, the daemon is not running"
    return "stored"


# --- ack -------------------------------------------------------------------------


def acknowledge(at: Home, numbers: Sequence[int], who: Who, *, dry_run: bool) -> Outcome:
    """Say of alarms that somebody looks after them: nobody else is called for them."""
    home.read(at)
    found = [_numbered(at, number) for number in dict.fromkeys(numbers)]
    before, lines = attended_file.read(at), []
    data = {"acknowledged": [one.place.seq for one in found], "by": who.by}
    if dry_run:
        would = tuple(f"{_short(one)}: would be acknowledged by {who.by}" for one in found)
        return Outcome(would, data=data, notes=("nothing was done",))
    for one in found:
        earlier = before.acknowledger(one)
        if earlier is not None:
            lines.append(f"{_short(one)}: {earlier.by} has it since {iso(earlier.at)}")
            continue
        said = "" if who.reason == NO_REASON else who.reason
        made = Acknowledged(place=one.place, by=who.by, at=now_of(at), reason=said)
        attended_file.change(at, partial(attended.acknowledge, one=made))
        because = f" ({said})" if said else ""
        text = f"{one.place.seq} ({one.what}) is looked after by {who.by}{because}"
        state = _told(at, "acknowledged", text, f"ack:{one.place.seq}:{one.place.crc}")
        lines.append(f"{_short(one)}: acknowledged by {who.by}; {state}")
    return Outcome(tuple(lines), data=data, next_command=LIST)


def _numbered(at: Home, number: int) -> Alarm:
    found = alarms(at, number, number) if 0 < number <= _LAST else []
    if not found:
        raise NotFound(
            f"there is no alarm {number}; nothing was acknowledged. The number stands in brackets"
            f" at the end of each message, and in `{LIST}`."
        )
    return found[0]


def _short(alarm: Alarm) -> str:
    return f"{alarm.place.seq} {alarm.level} {alarm.what}"


# --- silence ---------------------------------------------------------------------


def silence(
    at: Home, what: str, span: tuple[str | None, str | None], who: Who, *, dry_run: bool
) -> Outcome:
    """Have alarms of a name not sent until an end, which is `span` (--until, --for)."""
    home.read(at)
    now = now_of(at)
    until = end_of(now, *span)
    _refuse_unfit(what, who.reason, until, now)
    assert until is not None
    end = both_times(iso(until))
    data: dict[str, Any] = {"what": what, "until": iso(until), "by": who.by, "reason": who.reason}
    note = "a page of that name is sent all the same: acknowledge it"
    if dry_run:
        line = f"{what}: would be silent until {end}"
        return Outcome((line,), data=data, notes=(note, "nothing was done"))
    made = Silence(what=what, until=until, by=who.by, reason=who.reason, at=now)
    attended_file.change(at, lambda state: attended.silence(state, made, now))
    text = f"{what} is silent until {end}, says {who.by}: {who.reason}"
    state = _told(at, "silenced", text, f"silence:{what}:{now}")
    return Outcome((f"{what}: silent until {end}; {state}",), data=data, notes=(note,))


def hear(at: Home, what: str, who: Who, *, dry_run: bool) -> Outcome:
    """End a silence before its time."""
    home.read(at)
    now = now_of(at)
    found = attended_file.read(at).silenced(what, now)
    if found is None:
        raise NotFound(f"{what!r} is not silenced; nothing was changed. `{LIST}` says what is.")
    data = {"what": what, "until": None, "by": who.by, "reason": who.reason}
    if dry_run:
        return Outcome((f"{what}: would be heard again",), data=data, notes=("nothing was done",))
    ended = Silence(what=what, until=now, by=who.by, reason=who.reason)
    attended_file.change(at, lambda state: attended.silence(state, ended, now))
    state = _told(at, "silenced", f"{what} is heard again, says {who.by}", f"hear:{what}:{now}")
    return Outcome((f"{what}: heard again; {state}",), data=data)


def _refuse_unfit(what: str, reason: str, until: int | None, now: int) -> None:
    if not what.strip() or len(what) > _WHAT_MAX or not what.isprintable():
        raise UsageError(
            f"{what!r} is no alarm's name; it stands before the colon of a message, such as"
            " latency or 'process ended'. Nothing was silenced."
        )
    if reason == NO_REASON or not reason.strip():
        raise UsageError(
            "a silence has a reason, which everybody sees; nothing was silenced. Add --reason."
        )
    if until is None:
        raise UsageError("a silence has an end; nothing was silenced. Add --for 2h or --until.")
    if until - now > SILENT_AT_MOST_NS:
        raise UsageError(
            f"a silence of {duration((until - now) / 1e6)} is too long, at most 7 d; nothing was"
            " silenced. What is wrong for longer has a wrong threshold: docs/formats/alerts.md."
        )


def _told(at: Home, what: str, text: str, name: str) -> str:
    alarm = AlarmRaised(account=0, level="info", what=what, text=text, source=SOURCE)
    return store(at, alarm, name)


# --- list ------------------------------------------------------------------------


def standing(at: Home) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what `alert list` has beside the channels: as data, and in lines."""
    plan, now, known = settings(at), now_of(at), attended_file.read(at)
    recent = alarm_log.latest(at)  # what the console was given, and calls the next ones for
    open_ = attended.still_open(recent, known, now)
    data: dict[str, Any] = {"open": [], "silences": [], "heartbeat": None}
    lines: list[str] = []
    for one in open_:
        call = attended.next_call(one, plan.escalation, now) if plan.escalation else None
        goes_on = iso(call[1]) if call else None
        data["open"].append({"seq": one.place.seq, "what": one.what, "escalates_at": goes_on})
        then = f", goes to {call[0]} at {both_times(iso(call[1]))}" if call else ""
        lines.append(f"not acknowledged: {_short(one)}: {one.text} [{iso(one.at)}]{then}")
    lines = lines[-SHOWN_MAX:]
    if len(open_) > SHOWN_MAX:
        lines.insert(0, f"{count(len(open_), 'alarm')} not acknowledged, the latest {SHOWN_MAX}:")
    for hidden in _in_force(known, now):
        row = {"what": hidden.what, "until": iso(hidden.until), "by": hidden.by}
        data["silences"].append(row | {"reason": hidden.reason})
        end = both_times(iso(hidden.until))
        lines.append(f"silent: {hidden.what} until {end}, says {hidden.by}: {hidden.reason}")
    if plan.heartbeat is not None:
        data["heartbeat"], line = _beat(at)
        lines.append(line)
    return data, tuple(lines)


def _in_force(known: Attended, now: int) -> Iterator[Silence]:
    return (one for one in known.silences if one.until > now)


def _beat(at: Home) -> tuple[dict[str, Any], str]:
    found = heartbeat.standing(at)
    heard = iso(found.heard_at) if found.heard_at else None
    row = {"heard_at": heard, "failed": found.failed, "withheld": found.withheld}
    last = f"heard last at {heard}" if heard else "never heard"
    if found.failed:
        return row, f"heartbeat: FAILS: {found.failed}; {last}"
    if found.withheld:
        return row, f"heartbeat: withheld, {found.withheld}; {last}"
    return row, f"heartbeat: {last}"


def is_unheard(beside: Mapping[str, Any]) -> bool:
    """Tell whether the heartbeat fails."""
    return beside["heartbeat"] is not None and bool(beside["heartbeat"]["failed"])
