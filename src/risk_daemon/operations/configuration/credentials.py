"""Where a login's key comes from: the environment, or a file only its owner can read.

Keys never reach configuration, logs, journal or an error text: they travel as
`Secret`, whose every rendering is stars.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from risk_daemon.errors import Denied
from risk_daemon.operations.home import Home
from risk_daemon.settings import Login

KEY_VARIABLE: Final = "PROJECT_X_API_KEY"
USER_VARIABLE: Final = "PROJECT_X_USERNAME"


class Secret:
    """A key that can't be printed by accident."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Hand the key to the one who logs in with it."""
        return self._text

    def __repr__(self) -> str:
        return "********"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is never pickled")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A login's user and key. `note` is what a person should hear about the choice."""

    user: str
    key: Secret
    note: str = ""


def in_environment() -> tuple[str, bool]:
    """The user that the environment names, empty for none, and whether a key is there."""
    user = os.environ.get(USER_VARIABLE, "").strip()
    return user, bool(os.environ.get(KEY_VARIABLE, "").strip())


def variable(name: str) -> str:
    """What a variable holds that a person named; empty for none."""
    return os.environ.get(name, "")


def resolve(home: Home, login: Login) -> Credentials:
    """Find a login's key where its configuration says, or refuse before anything is sent."""
    if login.credentials == "env":
        return _from_environment(login)
    return _from_file(home, login)


def _from_environment(login: Login) -> Credentials:
    user, key = os.environ.get(USER_VARIABLE), os.environ.get(KEY_VARIABLE)
    if not key or not user:
        missing = " and ".join(
            name for name, value in ((KEY_VARIABLE, key), (USER_VARIABLE, user)) if not value
        )
        raise Denied(
            f"login {login.name} takes its key from the environment, but {missing} is not set."
        )
    if user != login.user:
        raise Denied(
            f"login {login.name} belongs to user {login.user}, but {USER_VARIABLE} is {user}; "
            "nothing was sent. Unset it, or use the home it belongs to."
        )
    return Credentials(user, Secret(key))


def credentials_file(home: Home, login: Login) -> Path:
    """The file a login names; relative paths start at the home."""
    return home.path / Path(login.credentials.removeprefix("file:")).expanduser()


def _from_file(home: Home, login: Login) -> Credentials:
    path = credentials_file(home, login)
    try:
        found = path.stat()
        text = path.read_text().strip()
    except FileNotFoundError:
        raise Denied(
            f"login {login.name}: the credentials file {path} does not exist. "
            "Write the API key into it and make it 0600."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise Denied(f"login {login.name}: {path} can't be read: {error}") from None
    if sys.platform != "win32" and stat.S_IMODE(found.st_mode) & 0o077:
        raise Denied(
            f"login {login.name}: others can read {path} "
            f"(mode {stat.S_IMODE(found.st_mode):04o}); run `chmod 600 {path}`."
        )
    if not text or len(text.splitlines()) != 1:
        raise Denied(f"login {login.name}: {path} must hold the API key alone, on one line.")
    return Credentials(login.user, Secret(text), _ignored(login))


def _ignored(login: Login) -> str:
    """Say that variables left in the shell play no part here."""
    named = os.environ.get(USER_VARIABLE)
    if named is None or named == login.user:
        return ""
    return f"{USER_VARIABLE}={named} is ignored: login {login.name} has stored credentials."


def every_key(home: Home, logins: Iterable[Login]) -> Iterator[str]:
    """Every key there is, also one that may not be used: for whoever must keep them out of a text.

    Whole files and each of their lines, as a file that is written wrongly holds a key too.
    """
    yield os.environ.get(KEY_VARIABLE, "")
    paths = list((home.path / "credentials").rglob("*"))
    paths += [credentials_file(home, one) for one in logins if one.credentials != "env"]
    for path in paths:
        if path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")
            yield text.strip()
            yield from (line.strip() for line in text.splitlines())
