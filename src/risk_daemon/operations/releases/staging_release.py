"""Which release staging gets: made of the checkout one stands in, else one of the depot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from risk_daemon.depot.store import Depot, Release, accept
from risk_daemon.errors import NotFound
from risk_daemon.operations import home as homes
from risk_daemon.operations.home import Home
from risk_daemon.operations.releases import depot as releases
from risk_daemon.operations.releases import trusting
from risk_daemon.operations.releases.depot import Act

_OURS: Final = re.compile(r'^name = "risk-daemon"$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Source:
    """A checkout to make a release of, with the key that signs it; or a release of the depot."""

    version: str = ""
    checkout: Path | None = None
    key: Path | None = None

    @property
    def told(self) -> str:
        """Where it comes from, in words."""
        if self.checkout is None:
            return f"{self.version} of the depot"
        return f"a release of what is committed in {self.checkout}"


def is_checkout(folder: Path) -> bool:
    """Tell whether a folder is a checkout of this program."""
    try:
        text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return (folder / ".git").exists() and _OURS.search(text) is not None


def choose(production: Home, depot: Depot, folder: Path, version: str, key: Path | None) -> Source:
    """Choose by where one stands, and refuse what can't be had; nothing is made yet.

    Raises NotFound for no release or no key, Refused for one that production does not trust.
    """
    if not version and is_checkout(folder):
        return Source(checkout=folder, key=_key(key))
    known = depot.versions()
    if not version and not known:
        raise NotFound(
            f"there is no release in the depot {depot.path}, and {folder} is no checkout to make "
            "one of; nothing was changed. `risk-daemon-admin release add` brings one in."
        )
    release = depot.get(version or known[-1])
    accept(release.text, release.signature, trusting.of_home(production), release.version)
    return Source(version=release.version)


def _key(given: Path | None) -> Path:
    path = given.expanduser().absolute() if given is not None else homes.release_key()
    if not path.is_file():
        raise NotFound(
            f"there is no key {path} to sign the release with; nothing was changed. Name one with "
            f"--key or {homes.KEY_VARIABLE}, make one with `risk-daemon-admin release keygen --out "
            f"{path}`, or take a release of the depot with --version."
        )
    return path


def brought(production: Home, depot: Depot, source: Source, act: Act) -> Release:
    """Return the release in the depot; one of a checkout is made, signed and verified first."""
    if source.checkout is None:
        return depot.get(source.version)
    assert source.key is not None
    made = releases.make(source.checkout, None, source.key, act.say, dry_run=False)
    releases.add(production, depot, Path(made.data["out"]), act)
    return depot.get(str(made.data["version"]))
