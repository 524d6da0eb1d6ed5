"""Where messages go: the channels of `config/alerts.yaml`, whom each concerns, and its words. Pure.

    channels:
      - {name: traders, kind: discord, audiences: [traders], address: file:credentials/discord.url}
      - {name: desk, kind: slack, audiences: [management], address: file:credentials/slack.url}
      - name: admins
        kind: email
        audiences: [admins]
        server: smtp.example.org:587
        tls: starttls
        user: risk@example.org
        password: file:credentials/smtp.key
        sender: risk@example.org
        to: [admin@example.org]

What is secret is never in the file: it says where it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from risk_daemon.operations.alerts.outbox import Alarm
from risk_daemon.operations.words import iso

FILE: Final = "alerts.yaml"
#: What the file may say; of all but the channels `alert_settings` knows.
KEYS: Final = ("format", "channels", "thresholds", "escalation", "heartbeat")
#: What is written with a higher one may hold keys of a release to come: they are passed over, so
#: that whoever goes back keeps the channels.
FORMAT: Final = 1
AUDIENCES: Final = ("traders", "admins", "management")
LEVELS: Final = ("info", "warn", "urgent", "page")
#: Nobody in particular: whoever looks after the daemon.
OWNERS: Final = "admins"
#: Characters of one message. Sources: Discord's webhook API (content, 2,000); Slack cuts a text
#: after 40,000 and asks for at most 4,000; mail has no such limit, and a person does.
LONGEST: Final = {"discord": 2_000, "slack": 4_000, "email": 20_000}
#: Messages of one batch; of what is left only the number is told.
MESSAGES_MAX: Final = 5
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")
SECRET: Final = re.compile(r"file:\S+")
_SERVER: Final = re.compile(r"[^\s:]+:\d{1,5}")

type Kind = Literal["discord", "slack", "email"]
type Tls = Literal["starttls", "tls", "none"]


class Channel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One way to people. `address` and `password` say in the home the secret is: `file:PATH`."""

    name: str
    kind: Kind
    audiences: tuple[str, ...]
    least: str = "warn"
    address: str = ""
    server: str = ""
    tls: Tls = "starttls"
    user: str = ""
    password: str = ""
    sender: str = ""
    to: tuple[str, ...] = ()


def read(raw: Mapping[str, Any]) -> tuple[Channel, ...] | str:
    """Make channels of what the file says; a sentence for the first thing that is wrong."""
    form = raw.get("format", FORMAT)
    if not isinstance(form, int) or form < 1:
        return f"format is a whole number from 1 on, was {form!r}"
    unknown = sorted(set(raw) - set(KEYS))
    if unknown and form <= FORMAT:
        return f"{unknown[0]!r} is no key of it; allowed are {', '.join(KEYS)}"
    rows = raw.get("channels") or []
    if not isinstance(rows, list):
        return "channels is a list, one entry a channel"
    found: list[Channel] = []
    for number, row in enumerate(rows, 1):
        try:
            one = msgspec.convert(row, Channel)
        except msgspec.ValidationError as error:
            return f"channel {number}: {error}"
        why = _objection(one, found)
        if why:
            return f"channel {number} ({one.name}): {why}"
        found.append(one)
    return tuple(found)


def _objection(one: Channel, before: Sequence[Channel]) -> str:
    if not _NAME.fullmatch(one.name):
        return "a name is small letters, digits and hyphens, 31 at most, a letter first"
    if one.name in {other.name for other in before}:
        return "another channel has this name"
    strangers = [who for who in one.audiences if who not in AUDIENCES]
    if strangers or not one.audiences:
        named = strangers[0] if strangers else "nobody"
        return f"audience {named!r}: allowed are {', '.join(AUDIENCES)}"
    if one.least not in LEVELS:
        return f"least {one.least!r}: allowed are {', '.join(LEVELS)}"
    return _unmailable(one) if one.kind == "email" else _unhooked(one)


def _unhooked(one: Channel) -> str:
    if not SECRET.fullmatch(one.address):
        return "address says in which file of the home the webhook's URL is: file:PATH"
    mail = [name for name in ("server", "user", "password", "sender", "to") if getattr(one, name)]
    return f"{mail[0]} is for email" if mail else ""


def _unmailable(one: Channel) -> str:
    if one.address:
        return "address is for a webhook; mail has server, sender and to"
    if not _SERVER.fullmatch(one.server):
        return f"server {one.server!r}: allowed is HOST:PORT"
    if "@" not in one.sender or not one.to or not all("@" in who for who in one.to):
        return "sender and to are addresses with an @"
    if bool(one.user) != bool(one.password):
        return "user and password come together"
    if one.password and not SECRET.fullmatch(one.password):
        return "password says in which file of the home it is: file:PATH"
    return ""


def concerns(channel: Channel, alarm: Alarm) -> bool:
    """Tell whether a channel carries an alarm."""
    return carries(channel, alarm.audience or OWNERS, alarm.level)


def carries(channel: Channel, audience: str, level: str) -> bool:
    """Tell whether a channel carries what has this level, to this audience."""
    loud = level not in LEVELS or LEVELS.index(level) >= LEVELS.index(channel.least)
    return loud and audience in channel.audiences


def line(alarm: Alarm) -> str:
    """Say an alarm in one line; what could act upon a screen or a chat is made harmless."""
    what = "" if alarm.what == "message" else f"{alarm.what}: "
    of = f" (account {alarm.account})" if alarm.account else ""
    said = f"{alarm.level.upper()} {what}{alarm.text}{of} [{iso(alarm.at)}, {alarm.place.seq}]"
    harmless = "".join(one if one.isprintable() else " " for one in said)
    return harmless.replace("@everyone", "@ everyone").replace("@here", "@ here")


def messages(channel: Channel, alarms: Sequence[Alarm]) -> list[str]:
    """Put alarms into as few messages as their kind takes, in order; of too many only how many."""
    longest = LONGEST[channel.kind]
    made: list[str] = []
    for number, text in enumerate(_cut(line(one), longest) for one in alarms):
        if made and len(made[-1]) + 1 + len(text) <= longest:
            made[-1] += f"\n{text}"
        elif len(made) == MESSAGES_MAX:
            rest = len(alarms) - number
            more = f"\nand {rest} more: risk-daemon-admin logs tail"
            made[-1] = made[-1][: longest - len(more)] + more
            break
        else:
            made.append(text)
    return made


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 4]} ..."


def body(channel: Channel, text: str) -> dict[str, Any]:
    """Return what a webhook is given. Source: the services' documentation of incoming webhooks."""
    if channel.kind == "discord":
        return {"content": text, "allowed_mentions": {"parse": []}}
    return {"text": text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")}


def subject(text: str) -> str:
    """Return the subject of a mail: its first line, short."""
    return f"risk daemon: {_cut(text.splitlines()[0], 120)}"
