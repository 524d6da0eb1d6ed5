"""Whose releases a home accepts: given to `init`, and read whenever a release is to be believed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from risk_daemon.errors import OperatorError, Refused
from risk_daemon.operations.home import Home

if TYPE_CHECKING:
    from risk_daemon.depot.signing import Trusted


def read(given: Sequence[str]) -> str:
    """Read keys, or files of keys, into the lines of `trusted.keys`. Raises UsageError."""
    if not given:
        return ""
    # Imported here: the signing library is slow to load, and most commands sign nothing.
    from risk_daemon.depot.signing import read_publics

    lines = []
    for word in given:
        path = Path(word).expanduser()
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else word
        lines += [f"{key.text}  # {key.name}\n" for key in read_publics(text)]
    return "".join(dict.fromkeys(lines))


def any_at(at: Home) -> bool:
    """Tell whether a home trusts anybody, or its keys can't be read; without loading a library."""
    try:
        lines = at.trusted_keys.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return False
    except (OSError, UnicodeDecodeError):
        return True
    return any(line.partition("#")[0].strip() for line in lines)


def of_home(at: Home) -> tuple[Trusted, ...]:
    """Read the keys that a home trusts. Raises Refused where it trusts none."""
    from risk_daemon.depot.signing import read_publics

    try:
        text = at.trusted_keys.read_text(encoding="utf-8")
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        raise OperatorError(f"{at.trusted_keys} can't be read: {error}.") from None
    keys = read_publics(text)
    if not keys:
        raise Refused(
            f"the home {at.path} trusts no key, so it accepts no release: write the public key of "
            f"who makes your releases into {at.trusted_keys}, or give it to `init --trust`."
        )
    return keys
