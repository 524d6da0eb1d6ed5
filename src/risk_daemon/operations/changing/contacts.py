"""Whom to call: `config/contacts.json`, committed like the rest of the configuration.

JSON, because the supervisor reads it when it calls people, and knows no YAML. It is no part of what
decides: a rollback of the configuration leaves it as it is, and a broken one hinders nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.errors import UsageError
from risk_daemon.operations import home
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import DONE, FAILED, Outcome

FILE: Final = "contacts.json"
FORMAT: Final = 1
ON_CALL: Final = "on-call"
#: In the order in which they are called.
ROLES: Final = {
    ON_CALL: "admin on call",
    "sdk-support": "SDK support",
    "escalation": "escalation",
}
SET: Final = "risk-daemon-admin emergency contacts set"
SHOW: Final = "risk-daemon-admin emergency contacts show"
_PHONE: Final = re.compile(r"\+?[0-9][0-9 ()/.-]{3,30}")
_EMAIL: Final = re.compile(r"[^\s@,;<>]+@[^\s@,;<>]+\.[^\s@,;<>]+")
_LONGEST: Final = 100


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    """One of them; empty is not known."""

    name: str = ""
    phone: str = ""
    email: str = ""

    def said(self) -> str:
        """Say how to reach them."""
        return " ".join(part for part in (self.name, self.phone, self.email) if part)


type Contacts = Mapping[str, Contact]


def read(config: Path) -> dict[str, Contact]:
    """Return who is known, by role. Raises UsageError for a file that can't be read."""
    path = config / FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw.get("format") != FORMAT:
            raise UsageError(f"{path} is not of format {FORMAT}: a newer release wrote it.")
        return msgspec.convert(
            {role: raw[role] for role in ROLES if role in raw}, dict[str, Contact]
        )
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, msgspec.ValidationError) as error:
        raise UsageError(
            f"{path} can't be read ({error}); remove it, and `{SET}` writes it anew."
        ) from None


def missing(known: Contacts) -> tuple[str, ...]:
    """Say what is still to be filled in. The admin on call needs both: one may not be heard."""
    return tuple(_missing(known))


def _missing(known: Contacts) -> Iterator[str]:
    for role, title in ROLES.items():
        one = known.get(role, Contact())
        if role == ON_CALL:
            parts = [
                name for name, value in (("phone", one.phone), ("e-mail", one.email)) if not value
            ]
            if parts:
                yield f"{title}: {' and '.join(parts)}"
        elif not one.phone and not one.email:
            yield f"{title}: phone or e-mail"


def in_a_line(known: Contacts) -> str:
    """Say whom to call, in the order of calling; nothing where nobody is known."""
    return "; ".join(
        f"{title}: {known[role].said()}"
        for role, title in ROLES.items()
        if role in known and known[role].said()
    )


def of_home(at: Home) -> str:
    """Say whom to call, for an alarm: nothing hinders that, also no broken file."""
    try:
        return in_a_line(read(at.config))
    except UsageError:
        return ""


# --- show, set -----------------------------------------------------------------


def show(at: Home) -> Outcome:
    """Show whom to call; exit 1 while somebody is missing."""
    home.read(at)
    known = read(at.config)
    lines = tuple(
        f"{title}: {known.get(role, Contact()).said() or 'NOT SET'}"
        for role, title in ROLES.items()
    )
    open_ = missing(known)
    below = (f"still to be filled in: {'; '.join(open_)}",) if open_ else ()
    data = {"contacts": msgspec.to_builtins(dict(known)), "missing": list(open_)}
    hint = f"{SET} {_first_missing(known)} --phone ... --email ..." if open_ else ""
    return Outcome(lines, FAILED if open_ else DONE, data, next_command=hint, below=below)


def _first_missing(known: Contacts) -> str:
    first = missing(known)[0].partition(":")[0]
    return next(role for role, title in ROLES.items() if title == first)


def put(
    at: Home, role: str, given: Mapping[str, str | None], who: Who, *, dry_run: bool
) -> Outcome:
    """Say who has a role; what is not given stays. Works with the daemon down."""
    home.open_home(at)
    known = read(at.config)
    before = known.get(role, Contact())
    said = {name: " ".join(value.split()) for name, value in given.items() if value is not None}
    if not said:
        raise UsageError("say what is known: --name, --phone or --email; nothing was changed.")
    _refuse_unfit(said)
    after = msgspec.structs.replace(before, **said)
    text = f"{ROLES[role]}: {after.said() or 'NOT SET'}"
    data: dict[str, Any] = {"role": role, "contact": msgspec.to_builtins(after)}
    if dry_run:
        return Outcome((f"would be done: {text}",), data=data, notes=("nothing was done",))
    # Imported here: YAML and dulwich are slow to load.
    from risk_daemon.operations.changing import editing, policy
    from risk_daemon.operations.configuration import history

    policy.commit_edits(at, who)
    content = {"format": FORMAT} | msgspec.to_builtins({**known, role: after})
    editing.write(at.config / FILE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    # The commit says whose it is, and no number: its first line is shown everywhere.
    commit = history.commit(at.config, who.by, f"contact of {ROLES[role]}: {who.reason}")
    data["commit"] = commit
    note = () if commit else ("it was so already",)
    return Outcome((text,), data=data, notes=note, next_command=SHOW)


def _refuse_unfit(said: Mapping[str, str]) -> None:
    phone, email = said.get("phone", ""), said.get("email", "")
    if phone and not _PHONE.fullmatch(phone):
        raise UsageError(
            f"--phone {phone!r} is no telephone number; allowed: digits, spaces and + ( ) / . -, "
            "such as '+1 312 555 0100'. Nothing was changed."
        )
    if email and not _EMAIL.fullmatch(email):
        raise UsageError(
            f"--email {email!r} is no address; allowed: one, such as admin@example.org. "
            "Nothing was changed."
        )
    long = next((name for name, value in said.items() if len(value) > _LONGEST), "")
    if long:
        raise UsageError(
            f"--{long} has {len(said[long])} characters, at most {_LONGEST}; nothing was changed."
        )
