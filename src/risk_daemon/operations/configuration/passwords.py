"""Who may act on the console's page: names, and hashes of their passwords, in one file of the home.

Argon2id, so that a file that is lost is not yet a password that is known. The file is its owner's
alone (0600); one that others can read lets nobody in.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from risk_daemon.errors import Denied, NotFound, UsageError
from risk_daemon.operations import home as homes
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.private import open_to_others

FILE: Final = "page.json"
FORMAT: Final = 1
#: Shorter ones are found by trying, whatever they are made of.
LEAST: Final = 12
LONGEST: Final = 200
_NAME: Final = re.compile(r"[a-z][a-z0-9._-]{0,30}")
#: Of nobody: a name that is not known takes as long to refuse as one that is.
_NOBODY: Final = (
    "$argon2id$v=19$m=65536,t=3,p=4$nTi2gnZa+wWVrSJzYX5KzQ$"
    "08ChzrFPm8BD9k/Oqfcs6Jn0uu4zjqNcY/Mwn0Rk/ro"
)


def file_of(at: Home) -> Path:
    """Where they are kept."""
    return at.path / FILE


def people(at: Home) -> dict[str, str]:
    """Return the hash of each name; raises Denied where others can read them."""
    path = file_of(at)
    mode = open_to_others(path)
    if mode:
        raise Denied(
            f"others can read {path} (mode {mode}), so nobody is let in; "
            f"run `chmod 600 {path}`, and set the passwords anew if somebody may have."
        )
    try:
        told = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Denied(f"{path} can't be read, so nobody is let in: {error}") from None
    found = told.get("people") if isinstance(told, dict) else None
    if not isinstance(found, dict) or told.get("format") != FORMAT:
        raise Denied(f"{path} is not of format {FORMAT}, so nobody is let in: set them anew.")
    return {str(name): str(one) for name, one in found.items()}


def is_right(known: Mapping[str, str], name: str, password: str) -> bool:
    """Tell whether a password is a person's; takes some 100 ms and 64 MB, whatever the answer."""
    # Imported here: only who logs in needs it.
    from argon2 import PasswordHasher
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        PasswordHasher().verify(known.get(name, _NOBODY), password)
    except (VerificationError, InvalidHashError):
        return False
    return name in known


def set_password(at: Home, name: str, password: str, *, dry_run: bool = False) -> Outcome:
    """Let a person in with a password, from now on."""
    from argon2 import PasswordHasher

    homes.read(at)
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--user {name!r} is no name: small letters, digits, dots, hyphens and underscores, "
            "31 at most, a letter first, such as anna."
        )
    if not LEAST <= len(password) <= LONGEST:
        raise UsageError(
            f"the password has {len(password)} characters; {LEAST} to {LONGEST} are allowed."
        )
    known = people(at)
    verb = "changed" if name in known else "set"
    if not dry_run:
        _write(at, known | {name: PasswordHasher().hash(password)})
    return Outcome(
        (f"{name}: the password of the page {'would be ' if dry_run else 'is '}{verb}",),
        data={"user": name, "people": sorted({*known, name})},
        next_command="risk-daemon-admin status",
    )


def remove(at: Home, name: str, *, dry_run: bool = False) -> Outcome:
    """Let a person in no more; a session that is open ends with the next thing asked of it."""
    homes.read(at)
    known = people(at)
    if name not in known:
        names = ", ".join(sorted(known)) or "nobody"
        raise NotFound(f"{name!r} has no password of the page; who has: {names}.")
    rest = {other: one for other, one in known.items() if other != name}
    if not dry_run:
        _write(at, rest)
    told = "would be" if dry_run else "is"
    return Outcome((f"{name}: {told} let in no more",), data={"user": name, "people": sorted(rest)})


def _write(at: Home, found: Mapping[str, str]) -> None:
    """Replace the file as a whole; it is private before anything is in it."""
    path = file_of(at)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    text = json.dumps({"format": FORMAT, "people": dict(found)}, indent=2) + "\n"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
