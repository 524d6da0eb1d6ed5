"""`alert send`: a person's message to an audience, durable when the command returns.

With the daemon running it is a record of the journal; without, a line in the home that the next
start puts there, once. Whoever carries messages reads them from the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from risk_daemon.clock import Timekeeper
from risk_daemon.core.events import AlarmRaised
from risk_daemon.errors import NotFound, OperatorError, UsageError
from risk_daemon.operations import home
from risk_daemon.operations.alerts import attended_file, attending, channels, sending
from risk_daemon.operations.alerts.channel_file import read
from risk_daemon.operations.alerts.channel_sink import standing
from risk_daemon.operations.alerts.channels import AUDIENCES, LEVELS, Channel
from risk_daemon.operations.alerts.outbox import Alarm, Place
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import DONE, FAILED, Outcome
from risk_daemon.operations.words import count, iso

EVERYONE: Final = "all"
#: What a chat takes in one message. Source: Discord's limit of 2,000 characters for content.
LONGEST: Final = 2_000
SOURCE: Final = attending.SOURCE
NEXT: Final = "risk-daemon-admin alert list"
_HOW_TO: Final = (
    "nobody is told of alarms yet but who looks at the console. For a chat, put its webhook's URL",
    "into {home}/credentials/discord.url, and into {home}/config/alerts.yaml:",
    "  channels:",
    "    - name: chat",
    "      kind: discord",
    "      audiences: [traders, admins, management]",
    "      address: file:credentials/discord.url",
    "then try it: risk-daemon-admin alert test chat --home {home}",
)
ACK: Final = "risk-daemon-admin alert ack"
HOW: Final = "docs/formats/alerts.md says how a channel is written into config/alerts.yaml"


def send(
    at: Home,
    text: str,
    audiences: Sequence[str],
    level: str,
    who: Who,
    clock: Timekeeper,
    *,
    dry_run: bool,
) -> Outcome:
    """Store a message to each audience; one line each says where it is now."""
    home.read(at)
    _refuse_unfit(text, audiences, level)
    wanted = AUDIENCES if EVERYONE in audiences else tuple(dict.fromkeys(audiences))
    if dry_run:
        would = tuple(f"{audience}: would be told" for audience in wanted)
        return Outcome(would, notes=("nothing was done",))
    said = text if who.reason == "none given" else f"{text} ({who.reason})"
    number = clock.now_ns()
    lines, rows = [], []
    for audience in wanted:
        alarm = AlarmRaised(
            account=0,
            level=level,
            what="message",
            text=f"{said}, says {who.by}",
            source=SOURCE,
            audience=audience,
        )
        state = attending.store(at, alarm, f"{number}:{audience}")
        ways = [one.name for one in read(at) if channels.carries(one, audience, level)]
        by = f"queued for {', '.join(ways)}" if ways else "no channel is configured for it"
        lines.append(f"{audience}: {state}; shown by the console, {by}")
        rows.append({"audience": audience, "state": state, "channels": ways})
    return Outcome(tuple(lines), data={"messages": rows}, next_command=NEXT)


def listed(at: Home) -> Outcome:
    """Say of each channel whom it tells, what it has, what waits, and what hinders it.

    Exit 1 if one is hindered or there is none.
    """
    home.read(at)
    rows = [_row(at, one) for one in read(at)]
    beside, below = attending.standing(at)
    data = {"channels": rows, **beside}
    if not rows:
        line = "no channel is configured: whatever happens is told by the console only"
        return Outcome((line,), FAILED, data, next_command=HOW, below=below)
    failing = any(row["failed"] for row in rows) or attending.is_unheard(beside)
    code = FAILED if failing else DONE
    following = f"{ACK} {beside['open'][-1]['seq']} --by NAME" if beside["open"] else ""
    return Outcome(tuple(map(_told, rows)), code, data, next_command=following, below=below)


def _row(at: Home, channel: Channel) -> dict[str, Any]:
    found = standing(at, channel.name)
    place = found.places[-1].seq if found.places else 0
    return {
        "channel": channel.name,
        "kind": channel.kind,
        "audiences": list(channel.audiences),
        "least": channel.least,
        "sent": found.sent,
        "waiting": [
            {"seq": one.place.seq, "at": iso(one.at), "text": channels.line(one)}
            for one in waiting(at, channel, place, found.since)
        ],
        "failed": found.failed,
        "failed_at": iso(found.failed_at) if found.failed_at else None,
    }


def waiting(at: Home, channel: Channel, place: int, since: int) -> list[Alarm]:
    """Return the alarms of the journal that a channel is still to carry, oldest first."""
    if not since:
        return []
    attended, now = attended_file.read(at), attending.now_of(at)
    return [
        one
        for one in attending.alarms(at, place + 1)
        if one.at >= since
        and channels.concerns(channel, one)
        and attended.silence(one, now) is None
    ]


def _told(row: dict[str, Any]) -> str:
    whom = ", ".join(row["audiences"])
    state = f"FAILS since {row['failed_at']}: {row['failed']}" if row["failed"] else "works"
    return (
        f"{row['channel']} ({row['kind']}, for {whom}, {row['least']} and above): {state};"
        f" {count(row['sent'], 'message')} sent, {len(row['waiting'])} waiting"
    )


def outbox(at: Home) -> Outcome:
    """Show every message that a channel is still to carry. Exit 1 if there is any."""
    home.read(at)
    rows = [_row(at, one) for one in read(at)]
    lines = tuple(f"{row['channel']}: {one['text']}" for row in rows for one in row["waiting"])
    data = {"channels": rows}
    if not lines:
        return Outcome(("nothing waits",), DONE, data)
    return Outcome(lines, FAILED, data, next_command="risk-daemon-admin alert list")


def introduced(
    at: Home, by: str, clock: Timekeeper
) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Try each channel of a new home, or say how one is made: in lines, and as data."""
    try:
        known = read(at)
    except UsageError as error:
        return (error.sentence,), []
    if not known:
        return tuple(line.format(home=at.path) for line in _HOW_TO), []
    lines, rows = [], []
    for one in known:
        try:
            sending.send(at, one, (_trial(one, by, clock),))
            why = ""
        except OSError as error:
            why = sending.in_words(error)
        rows.append({"channel": one.name, "failed": why})
        lines.append(
            f"channel {one.name}: " + (f"a test DID NOT arrive: {why}" if why else "works")
        )
    return tuple(lines), rows


def tried(at: Home, name: str, who: Who, clock: Timekeeper) -> Outcome:
    """Send one message through a channel now, past the queue; say whether it arrived."""
    home.read(at)
    known = read(at)
    found = next((one for one in known if one.name == name), None)
    if found is None:
        names = ", ".join(one.name for one in known) or "none"
        raise NotFound(f"there is no channel {name!r}; there are: {names}. See config/alerts.yaml.")
    try:
        sending.send(at, found, (_trial(found, who.by, clock),))
    except OSError as error:
        raise OperatorError(f"{name}: it did not arrive: {sending.in_words(error)}.") from None
    return Outcome((f"{name}: it arrived",), data={"channel": name})


def _trial(channel: Channel, by: str, clock: Timekeeper) -> Alarm:
    return Alarm(
        place=Place(),
        at=clock.now_ns(),
        account=0,
        level="info",
        what="test",
        text=f"this channel works, says {by}",
        source=SOURCE,
        audience=channel.audiences[0],
    )


def _refuse_unfit(text: str, audiences: Sequence[str], level: str) -> None:
    if not text.strip():
        raise UsageError("the message is empty; nothing was sent. Say what people should know.")
    if len(text) > LONGEST:
        raise UsageError(
            f"the message has {len(text):,} characters, at most {LONGEST:,}; nothing was sent. "
            "Say the most important part, and where the rest is."
        )
    strange = next((one for one in text if not one.isprintable() and one not in "\n\t"), "")
    if strange:
        raise UsageError(
            f"the message contains the control character {strange!r}; nothing was sent."
        )
    for audience in audiences:
        if audience not in (*AUDIENCES, EVERYONE):
            known = ", ".join((*AUDIENCES, EVERYONE))
            raise UsageError(f"there is no audience {audience!r}; there are: {known}.")
    if level not in LEVELS:
        raise UsageError(f"there is no level {level!r}; there are: {', '.join(LEVELS)}.")
