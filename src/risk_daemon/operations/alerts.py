"""`alert send`: a person's message to an audience, durable when the command returns.

With the daemon running it is a record of the journal; without, a line in the home that the next
start puts there, once. Whoever carries messages reads them from the journal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from risk_daemon.clock import Timekeeper
from risk_daemon.core.events import AlarmRaised
from risk_daemon.errors import NotReachable, UsageError
from risk_daemon.operations import daemon, home, pending
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import Outcome

AUDIENCES: Final = ("traders", "admins", "management")
EVERYONE: Final = "all"
LEVELS: Final = ("info", "warn", "urgent", "page")
#: What a chat takes in one message. Source: Discord's limit of 2,000 characters for content.
LONGEST: Final = 2_000
SOURCE: Final = "alert"
SEND: Final = "risk-daemon-admin logs tail"


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
        state = _stored(at, alarm, f"{number}:{audience}")
        lines.append(f"{audience}: {state}; shown by the console, no other channel is configured")
        rows.append({"audience": audience, "state": state})
    return Outcome(tuple(lines), data={"messages": rows}, next_command=SEND)


def _stored(at: Home, alarm: AlarmRaised, name: str) -> str:
    """Store it in the journal, or for the next start; say which."""
    try:
        daemon.append(at, alarm, f"message:{name}")
    except NotReachable:
        pending.keep_message(at, pending.Message(name, alarm))
        return "kept for the next start, the daemon is not running"
    return "stored"


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
