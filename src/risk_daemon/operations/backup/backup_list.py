"""The backups of a home: what each says of itself, and whether it was ever restored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.errors import OperatorError
from risk_daemon.operations import home, state_file
from risk_daemon.operations.backup import backup_file
from risk_daemon.operations.backup.backup_file import Manifest
from risk_daemon.operations.home import Home
from risk_daemon.operations.words import duration, iso

FOLDER: Final = "backups"
_VERIFIED: Final = ".verified"


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What came of restoring a backup; counts only for a file of this digest."""

    format: int
    digest: str
    at: int
    why: str = ""
    records: int = 0
    decisions: int = 0
    hashes: int = 0

    @property
    def ok(self) -> bool:
        """Whether it was restored, and replayed as it was."""
        return not self.why


@dataclass(frozen=True, slots=True)
class Known:
    """A backup of this home, as far as it can be read."""

    file: Path
    manifest: Manifest | None
    verified: Verified | None
    why: str = ""

    def line(self, now: int) -> str:
        """Say it."""
        if self.manifest is None:
            return f"{self.file.name}: UNREADABLE: {self.why}"
        age = duration(max(now - self.manifest.made_at, 0) / 1e6)
        told = (
            f"{self.file.name}: {age} old, up to record {self.manifest.seq}, {size_of(self.file)}"
        )
        if self.verified is None:
            return f"{told}, NOT VERIFIED"
        if not self.verified.ok:
            return f"{told}, DOES NOT RESTORE: {self.verified.why}"
        return f"{told}, verified {iso(self.verified.at)}"


def size_of(file: Path) -> str:
    """Say how large a file is."""
    return f"{file.stat().st_size / 1e6:.1f} MB"


def known(at: Home) -> list[Known]:
    """Every backup of the home, newest first."""
    files = sorted((at.path / FOLDER).glob("backup-*.zip"), reverse=True)
    return [_known(file) for file in files]


def _known(file: Path) -> Known:
    try:
        manifest = backup_file.manifest_of(file)
    except OperatorError as error:
        return Known(file, None, None, error.sentence)
    return Known(file, manifest, _verified(file))


def _verified(file: Path) -> Verified | None:
    """What was found of exactly this file."""
    try:
        raw = beside(file).read_bytes()
        found = msgspec.json.decode(raw, type=Verified)
    except (OSError, msgspec.DecodeError):
        return None
    return found if found.digest == backup_file.digest_of(file) else None


def beside(file: Path) -> Path:
    """Where the verdict on a backup is kept."""
    return file.with_name(file.name + _VERIFIED)


def newest_verified(at: Home) -> Known | None:
    """The newest backup that was restored once."""
    return next((one for one in known(at) if one.verified is not None and one.verified.ok), None)


def age_of_backup(at: Home, now: int) -> float | None:
    """How old the newest verified backup is; None where there is none."""
    newest = newest_verified(at)
    if newest is None or newest.manifest is None:
        return None
    return round(max(now - newest.manifest.made_at, 0) / 1e9, 1)


def age_of_state(at: Home, machine: int, now: int) -> float | None:
    """How long there has been something to lose, in seconds; None where that can't be read.

    A home may be made days before its first start, and be made anew for a state that is older:
    the later of the two counts. `machine` is the machine's time, `now` the home's own.
    """
    try:
        made = datetime.fromisoformat(home.read(at).created).timestamp()
        begun = state_file.begun(at)
    except (OperatorError, ValueError):
        return None
    if begun is None:
        return None
    return round(max(min(machine / 1e9 - made, (now - begun) / 1e9), 0), 1)
