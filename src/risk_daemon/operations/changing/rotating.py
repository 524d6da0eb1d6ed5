"""`credentials rotate`: another key for a login, proven before the old one goes.

Where its link lives the link proves the key, beside the session that it has: a second one of ours
could throw that out (decisions 4.11). The link goes by the new key from then on; the file is
replaced after that. Who dies in between has the old key in the file, which still logs in.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from risk_daemon.core.events import AlarmRaised
from risk_daemon.errors import Denied, NotFound, NotReachable, OperatorError, Refused, UsageError
from risk_daemon.journal import durable
from risk_daemon.operations import daemon, home
from risk_daemon.operations.accounts import own_session
from risk_daemon.operations.configuration import credentials
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.configuration.problems import nearest
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import DONE, Outcome
from risk_daemon.settings import Login, Settings

#: Longer than any key: what is not a key must not be read for ever.
LONGEST: Final = 4_096
WITHIN_S: Final = 15.0
CHECK: Final = "risk-daemon-admin credentials check"


def rotate(
    at: Home, name: str | None, given: Callable[[], str], who: Who, *, dry_run: bool
) -> Outcome:
    """Replace a login's key; `given` is asked for the new one only when all else is known."""
    home.open_home(at)
    settings = in_force(at)
    login = _login(settings, name)
    path = _file(at, settings, login)
    data: dict[str, Any] = {"login": login.name, "file": str(path)}
    if dry_run:
        line = f"{login.name}: the key in {path} would be replaced, once the new one is proven"
        return Outcome((line,), data=data, notes=("nothing was done",))
    key = _fit(given())
    before = path.read_text(errors="replace").strip() if path.is_file() else ""
    if key == before:
        raise Refused(f"{login.name}: that is the key it has; nothing was changed.")
    fresh = path.with_name(f".{path.name}.new")
    try:
        _write(fresh, path, key)
        way, seen = _proven(at, settings, login, key)
        durable.move(fresh, path)
    except OSError as error:
        raise OperatorError(
            f"{login.name}: {path} can't be replaced: {error.strerror or error}. The old key is in "
            "it and logs in as before, unless you revoked it."
        ) from None
    finally:
        fresh.unlink(missing_ok=True)
    _note(at, login, who)
    lines = (
        f"{login.name}: user {login.user} logs in with the new key ({way}), sees {seen}",
        f"{path}: replaced; the old key is not in it any more",
        *_elsewhere(at, path, before),
    )
    data |= {"way": way, "accounts": seen}
    return Outcome(lines, DONE, data, next_command=CHECK)


def in_environment(variable: str) -> str:
    """The new key, from a variable that a person named."""
    return credentials.variable(variable)


def _login(settings: Settings, name: str | None) -> Login:
    names = [one.name for one in settings.logins]
    if name is None:
        if len(names) > 1:
            raise UsageError(f"say whose key: {', '.join(names)}; nothing was changed.")
        return settings.logins[0]
    if name not in names:
        near = nearest(name, names)
        hint = f" Did you mean {near!r}?" if near else ""
        raise NotFound(f"there is no login {name!r}; there are: {', '.join(names)}.{hint}")
    return settings.login(name)


def _file(at: Home, settings: Settings, login: Login) -> Path:
    """The file to be replaced; a key from the environment can't be, and one of two is not."""
    if login.credentials == "env":
        raise Refused(
            f"login {login.name} takes its key from the environment, which belongs to whoever "
            f"started the daemon; nothing was changed. Set {credentials.KEY_VARIABLE} there, then "
            "`stop` and `start`; or give it `credentials: file:PATH` in config/daemon.yaml."
        )
    path = credentials.credentials_file(at, login).resolve()
    others = [
        one.name
        for one in settings.logins
        if one.name != login.name
        and one.credentials != "env"
        and credentials.credentials_file(at, one).resolve() == path
    ]
    if others:
        raise Refused(
            f"{path} is the key of {', '.join(others)} too; nothing was changed. Give each login a "
            "file of its own in config/daemon.yaml."
        )
    if not path.parent.is_dir():
        raise NotFound(f"login {login.name}: the folder {path.parent} is not there.")
    return path


def _fit(text: str) -> str:
    key = text.strip()
    if not key:
        raise UsageError(
            "no new key was given; nothing was changed. Type it, or give it on stdin or by "
            "--from-env VARIABLE."
        )
    if len(text) > LONGEST or len(key.split()) != 1 or not key.isprintable():
        raise UsageError("what was given is no key: one word on one line; nothing was changed.")
    return key


def _write(fresh: Path, path: Path, key: str) -> None:
    """Write the new key beside the old one, for the same owner only."""
    fresh.unlink(missing_ok=True)
    durable.write(fresh, f"{key}\n".encode())
    if sys.platform != "win32":
        fresh.chmod(stat.S_IRUSR | stat.S_IWUSR)
        with contextlib.suppress(FileNotFoundError):
            found = path.stat()
            # Root rotates, and the daemon's own user has to read it.
            if (found.st_uid, found.st_gid) != (os.getuid(), os.getgid()):
                os.chown(fresh, found.st_uid, found.st_gid)


def _proven(at: Home, settings: Settings, login: Login, key: str) -> tuple[str, str]:
    """Prove a key where it is used: how, and what it sees. Denied where it is none."""
    try:
        answer = daemon.ask(at, daemon.link_name(login.name), "rekey", {"key": key}, WITHIN_S)
    except NotReachable:
        return _proven_by_us(settings, login, key)
    except OperatorError as error:
        if error.exit_code == UsageError.exit_code:
            raise Refused(
                f"{login.name}: its link is of a release that takes no key while it runs; nothing "
                "was changed. `stop`, rotate, `start`; or hand the link over to this release first."
            ) from None
        if error.exit_code != Denied.exit_code:
            raise
        raise _unproven(login, error.sentence) from None
    return "its link goes by it from now on, without a gap", _listed(answer.get("accounts", ()))


def _proven_by_us(settings: Settings, login: Login, key: str) -> tuple[str, str]:
    try:
        seen = own_session.seen_by(settings, login, key)
    except OperatorError as error:
        raise _unproven(login, error.sentence) from None
    missing = [str(number) for number in login.accounts if number not in seen]
    if missing:
        raise _unproven(login, f"it logs in, but does not see {', '.join(missing)}")
    return "by a session of its own; its link does not run", _listed(sorted(seen.items()))


def _unproven(login: Login, why: str) -> Denied:
    return Denied(
        f"{login.name}: the new key is not proven: {why.rstrip('.')}. The old one stays where it "
        "is and in use; nothing was changed."
    )


def _listed(accounts: Any) -> str:
    return ", ".join(f"{number} {name}" for number, name in accounts) or "no account"


def _note(at: Home, login: Login, who: Who) -> None:
    """Tell it to whoever looks: a key that somebody else rotated is to be noticed."""
    text = f"the key of login {login.name} was replaced by {who.by}: {who.reason}"
    said = AlarmRaised(account=0, level="info", what="credentials", text=text, source="command")
    with contextlib.suppress(OperatorError):
        daemon.append(at, said)


def _elsewhere(at: Home, path: Path, old: str) -> Iterator[str]:
    """Say what becomes of other copies of the old key."""
    copies = [
        one
        for one in sorted(path.parent.iterdir())
        if old and one.is_file() and one != path and _holds(one, old)
    ]
    for copy in copies:
        yield f"{copy}: STILL HOLDS THE OLD KEY: remove it"
    yield (
        "the old key logs in until you revoke it at the broker: do that now. Until then every "
        f"other copy works on (another machine, a copy of {at.path}, a shell's "
        f"{credentials.KEY_VARIABLE}); after it all of them are refused"
    )


def _holds(path: Path, key: str) -> bool:
    try:
        return key in path.read_text(errors="replace")
    except OSError:
        return False
