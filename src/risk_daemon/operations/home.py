"""A home: one running daemon's configuration, state, sockets and logs, in one folder.

    home.json            what this home is: environment, host, where its credentials come from
    trusted.keys         whose releases are accepted
    config/              the configuration, a git work tree
    releases/            releases unpacked from the depot, ready to run
    state/  run/  logs/  the journal; sockets, ports and locks; logs

Cheap to import, so that every program can. A home belongs to one machine and to
one daemon at a time: two daemons on the same accounts would both enforce.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from risk_daemon.errors import NotFound, OperatorError, Refused, UsageError
from risk_daemon.journal.exclusive import Hold

FORMAT: Final = 1
ENVIRONMENTS: Final = ("production", "staging", "demo")
STAGING_VARIABLE: Final = "RISK_DAEMON_STAGING_HOME"
KEY_VARIABLE: Final = "RISK_DAEMON_RELEASE_KEY"
#: Where the brief has its staging home.
STAGING: Final = Path("/staging")


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of a home is. Says nothing about whether it exists."""

    path: Path

    @property
    def config(self) -> Path:
        """The configuration's git work tree."""
        return self.path / "config"

    @property
    def state(self) -> Path:
        """The journal's file and what belongs to it."""
        return self.path / "state"

    @property
    def run(self) -> Path:
        """Sockets, port numbers, tokens and locks of the running daemon."""
        return self.path / "run"

    @property
    def logs(self) -> Path:
        """JSON lines for people; nothing decides on them."""
        return self.path / "logs"

    @property
    def releases(self) -> Path:
        """Releases unpacked and ready to run, each a virtual environment."""
        return self.path / "releases"

    @property
    def trusted_keys(self) -> Path:
        """Whose releases this home accepts: public keys, one per line, fixed by `init`."""
        return self.path / "trusted.keys"

    @property
    def about_again(self) -> Path:
        """A second copy of that file, for when the first is gone or damaged."""
        return self.state / "home.json"

    @property
    def about(self) -> Path:
        """The file that says what this home is."""
        return self.path / "home.json"


@dataclass(frozen=True, slots=True)
class About:
    """Contents of `home.json`."""

    environment: str
    created: str
    host: str
    credentials: str


def default_path() -> Path:
    """Where a production home is when nobody says otherwise."""
    if sys.platform == "win32":
        return Path(os.environ.get("PROGRAMDATA", "C:/ProgramData")) / "risk-daemon"
    if sys.platform == "darwin":
        return Path("/usr/local/var/risk-daemon")
    return Path("/var/lib/risk-daemon")


def depot_path() -> Path:
    """Where the depot of this host is: RISK_DAEMON_DEPOT, else the platform's place."""
    named = os.environ.get("RISK_DAEMON_DEPOT")
    if named:
        return Path(named).expanduser().absolute()
    place = default_path()
    return place.with_name(f"{place.name}-depot")


def staging_path(production: Path) -> Path:
    """Where the staging home is: RISK_DAEMON_STAGING_HOME, /staging, or beside production's."""
    named = os.environ.get(STAGING_VARIABLE)
    if named:
        return Path(named).expanduser().absolute()
    return STAGING if (STAGING / "config").is_dir() else production.with_name("staging")


def release_key() -> Path:
    """Where the key is that signs releases: RISK_DAEMON_RELEASE_KEY, else the usual place."""
    return Path(os.environ.get(KEY_VARIABLE) or "~/keys/release.key").expanduser().absolute()


def choose(given: Path | None) -> Home:
    """Take the home from `--home`, then RISK_DAEMON_HOME, then the platform's place."""
    if given is not None:
        return Home(given.expanduser().absolute())
    named = os.environ.get("RISK_DAEMON_HOME")
    return Home(Path(named).expanduser().absolute() if named else default_path())


def host_fingerprint() -> str:
    """Name this machine by something that survives a change of its name and address."""
    for source in (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id")):
        try:
            text = source.read_text().strip()
        except OSError:
            continue
        if text:
            return hashlib.sha256(text.encode()).hexdigest()[:16]
    return hashlib.sha256(platform.node().encode()).hexdigest()[:16]


def create(home: Home, environment: str, created: str, credentials: str) -> About:
    """Make the folders of a new home, readable by its owner only."""
    if home.about.exists():
        raise Refused(
            f"{home.path} is a home already ({read(home).environment}); nothing was changed. "
            "Choose another --home, or edit its config/ and run `risk-daemon-admin start`."
        )
    for folder in (home.path, home.config, home.state, home.run, home.logs):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise UsageError(
                f"the home {home.path} can't be made: {error.strerror or error}. "
                "Choose another place with --home."
            ) from None
    about = About(environment, created, host_fingerprint(), credentials)
    write(home, about)
    return about


def write(home: Home, about: About) -> None:
    """Write `home.json` in one step: a torn one would make the home unreadable."""
    text = json.dumps(
        {
            "format": FORMAT,
            "environment": about.environment,
            "created": about.created,
            "host": about.host,
            "credentials": about.credentials,
        },
        indent=2,
    )
    for path in (home.about, home.about_again):
        if not path.parent.is_dir():
            continue
        fresh = path.with_suffix(".new")
        fresh.write_text(text + "\n")
        fresh.replace(path)


def read(home: Home) -> About:
    """Read what a home says about itself; by its second copy, where the first one is damaged."""
    try:
        return _read(home, home.about)
    except (NotFound, UsageError):
        with contextlib.suppress(OperatorError):
            return _read(home, home.about_again)
        raise


def _read(home: Home, path: Path) -> About:
    try:
        fields = json.loads(path.read_text())
    except FileNotFoundError:
        raise NotFound(
            f"there is no home at {home.path}: run `risk-daemon-admin init --home {home.path}`, "
            "or name another one with --home or RISK_DAEMON_HOME."
        ) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read: {error}") from None
    if not isinstance(fields, dict) or fields.get("format") != FORMAT:
        raise UsageError(f"{path} is not of format {FORMAT}: a newer release made this home.")
    names = ("environment", "created", "host", "credentials")
    wrong = [name for name in names if not isinstance(fields.get(name), str)]
    if wrong or fields["environment"] not in ENVIRONMENTS:
        raise UsageError(f"{path} is damaged: {', '.join(wrong) or 'environment'}.")
    return About(*(fields[name] for name in names))


def open_home(home: Home) -> About:
    """Read a home and refuse one that was copied here from another machine."""
    about = read(home)
    here = host_fingerprint()
    if about.host != here:
        raise Refused(
            f"the home {home.path} was made on another machine ({about.host}, this is {here}); two "
            "daemons on the same accounts would both enforce. If the other is gone for good: "
            f"`risk-daemon-admin init --home {home.path} --moved`."
        )
    if not all(_says(home, path, about) for path in (home.about, home.about_again)):
        with contextlib.suppress(OSError):  # one copy is enough to go on
            write(home, about)
    return about


def _says(home: Home, path: Path, about: About) -> bool:
    try:
        return _read(home, path) == about
    except OperatorError:
        return False


def check_environment(home: Home, about: About, configured: str) -> None:
    """Refuse a configuration that was written for a home of another environment."""
    if about.environment != configured:
        raise Refused(
            f"{home.path} is a {about.environment} home, but its config/daemon.yaml says "
            f"`environment: {configured}`; nothing was started."
        )


def lock(home: Home) -> Hold:
    """Become the one daemon of a home, for as long as this process lives."""
    home.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        return Hold(home.run / "daemon.lock")
    except Refused as refused:
        holder = refused.sentence.rpartition(": ")[2]
        raise Refused(
            f"a daemon runs on the home {home.path} already ({holder}); nothing was started. "
            f"See `risk-daemon-admin status --home {home.path}`."
        ) from None
