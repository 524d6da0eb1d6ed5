"""`backup create | list | verify | prune`: a backup counts when it has been restored once.

Made by the journal where it runs (it alone may copy its file), by this command
under the journal's own lock where it doesn't. Then unpacked into a throw-away
home, looked at page by page, and replayed there in a process of its own: only
what replays is called verified.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.clock import Timekeeper
from risk_daemon.errors import NotFound, NotReachable, OperatorError, Refused, UsageError
from risk_daemon.journal import durable
from risk_daemon.journal.admin import copying_folder
from risk_daemon.journal.exclusive import Hold
from risk_daemon.journal.file import Copied, JournalFile
from risk_daemon.journal.reader import Reader
from risk_daemon.operations import daemon, home
from risk_daemon.operations.accounts import truth
from risk_daemon.operations.backup import backup_file, database
from risk_daemon.operations.backup.backup_file import Identity, Manifest
from risk_daemon.operations.backup.backup_list import (
    FOLDER,
    Known,
    Verified,
    beside,
    known,
    newest_verified,
    size_of,
)
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import DONE, FAILED, Outcome
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.which_release import release
from risk_daemon.operations.words import count, duration, iso

COPY_WITHIN_S: Final = 60.0
REPLAY_WITHIN_S: Final = 600.0


# --- what there is ----------------------------------------------------------------


def show(at: Home, clock: Timekeeper) -> Outcome:
    """List every backup, newest first."""
    home.read(at)
    now = clock.now_ns()
    found = known(at)
    lines = tuple(one.line(now) for one in found) or ("there is no backup yet",)
    rows = [_row(one) for one in found]
    is_any = any(row["verified"] for row in rows)
    following = "" if is_any else "risk-daemon-admin backup create"
    return Outcome(lines, data={"backups": rows}, next_command=following)


def _row(one: Known) -> dict[str, Any]:
    row: dict[str, Any] = {"file": str(one.file), "verified": None, "error": one.why or None}
    if one.manifest is not None:
        told = msgspec.to_builtins(one.manifest)
        row |= {key: told[key] for key in ("made_at", "seq", "environment", "host", "release")}
        row["bytes"] = one.file.stat().st_size
    if one.verified is not None:
        row["verified"] = one.verified.at if one.verified.ok else None
        row["error"] = one.verified.why or None
    return row


# --- making one ----------------------------------------------------------------------


@contextmanager
def alone(at: Home) -> Iterator[Path]:
    """Be the only command that touches the home's backups; what an earlier one left is removed."""
    folder = at.path / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    try:
        hold = Hold(folder / "backups.lock")
    except Refused as refused:
        holder = refused.sentence.rpartition(": ")[2]
        raise Refused(
            f"another backup or restore of {at.path} is under way ({holder}); "
            "nothing was done. It is safe to repeat when that has ended."
        ) from None
    try:
        for left in folder.glob(".*.new"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        for left in folder.glob(".scratch-*"):
            shutil.rmtree(left)
        yield folder
    finally:
        hold.release()


def create(at: Home, clock: Timekeeper) -> Outcome:
    """Make a backup and verify it."""
    about = home.read(at)
    with alone(at) as folder:
        now = clock.now_ns()
        name = f"backup-{stamp(now)}"
        file = folder / f"{name}.zip"
        copied, took_ms = _copy(at, name, clock)
        copy = copying_folder(at.path, name)
        who = Identity(about, now, release(), _commit(at))
        try:
            manifest = backup_file.pack(at, copy, copied, who, file)
        except OSError as error:
            raise OperatorError(
                f"the backup {file} can't be written: {error.strerror or error}. Nothing is lost."
            ) from None
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        found = _judge(at, file, clock)
    told = f"up to record {manifest.seq}, {size_of(file)}; the journal waited {duration(took_ms)}"
    lines = (f"made {file}", told, said(found))
    data = {
        "file": str(file),
        "seq": manifest.seq,
        "bytes": file.stat().st_size,
        "copy_ms": took_ms,
        "verified": found.ok,
        "decisions": found.decisions,
        "error": found.why or None,
    }
    following = "" if found.ok else "risk-daemon-admin verify-db"
    return Outcome(lines, DONE if found.ok else FAILED, data, next_command=following)


def stamp(now: int) -> str:
    """A moment as part of a name: sorts as time does."""
    return iso(now)[:23].replace("-", "").replace(":", "").replace(".", "") + "Z"


def _copy(at: Home, name: str, clock: Timekeeper) -> tuple[Copied, float]:
    """Have the journal copy its file; where none runs, do it in its place."""
    try:
        told = daemon.ask(at, daemon.JOURNAL, "copy", {"name": name}, COPY_WITHIN_S)
    except NotReachable:
        return _copy_offline(at, name, clock)
    return msgspec.convert(told, Copied), told["took_ms"]


def _copy_offline(at: Home, name: str, clock: Timekeeper) -> tuple[Copied, float]:
    path = at.state / FILE
    if not path.is_file():
        raise NotFound(f"there is no state file {path}: there is nothing to back up.")
    hold = Hold(at.state / "journal.lock")
    try:
        folder = copying_folder(at.path, name)
        folder.mkdir(mode=0o700)
        with closing(JournalFile(path, clock.now_ns())) as file:
            began = clock.steady_ns()
            copied = file.copy(folder)
            return copied, round((clock.steady_ns() - began) / 1e6, 1)
    finally:
        hold.release()


def _commit(at: Home) -> str:
    """The commit the configuration stands on; empty where its history can't be read."""
    # Imported here: dulwich is slow to load.
    from dulwich.errors import FileFormatException, NotGitRepository

    from risk_daemon.operations.configuration import history

    try:
        return history.head(at.config)
    except (OSError, KeyError, ValueError, FileFormatException, NotGitRepository):
        return ""


# --- verifying -------------------------------------------------------------------------


def verify(at: Home, file: Path | None, clock: Timekeeper) -> Outcome:
    """Restore a backup into a throw-away home and replay it there; the newest if none is named."""
    home.read(at)
    with alone(at):
        if file is None:
            file = next((one.file for one in known(at)), None)
        if file is None:
            raise NotFound("there is no backup yet: run `risk-daemon-admin backup create`.")
        backup_file.manifest_of(file)
        found = _judge(at, file, clock)
    lines = (f"{file}", said(found))
    data = {"file": str(file), **msgspec.to_builtins(found), "ok": found.ok}
    following = "" if found.ok else "risk-daemon-admin backup list"
    return Outcome(lines, DONE if found.ok else FAILED, data, next_command=following)


def said(found: Verified) -> str:
    """Say what came of restoring a backup."""
    if not found.ok:
        return f"DOES NOT RESTORE: {found.why}"
    told = f"{count(found.records, 'record')}, {count(found.decisions, 'decision')}"
    return f"verified: restored into a throw-away home and replayed, {told}, all as they were"


def _judge(at: Home, file: Path, clock: Timekeeper) -> Verified:
    """Restore into a throw-away home, and keep the verdict beside the file."""
    with scratch(at) as folder:
        found = judge(file, folder, clock)
    durable.replace(beside(file), msgspec.json.encode(found))
    return found


@contextmanager
def scratch(at: Home) -> Iterator[Path]:
    """A folder for a throw-away home, on the disk of the home itself."""
    folder = Path(tempfile.mkdtemp(prefix=".scratch-", dir=at.path / FOLDER))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def judge(file: Path, folder: Path, clock: Timekeeper) -> Verified:
    """Restore a backup into an empty folder, look at every page and record, and replay it."""
    digest = backup_file.digest_of(file)
    verdict = Verified(format=1, digest=digest, at=clock.now_ns())
    try:
        manifest = backup_file.unpack(file, folder)
        there = Home(folder)
        _assert_whole(there, manifest, clock)
        told = truth.rebuilt(there, REPLAY_WITHIN_S)
    except OperatorError as error:
        return msgspec.structs.replace(verdict, why=error.sentence)
    if not told.get("ok"):
        differences = [str(text) for text in told.get("differences", ())]
        return msgspec.structs.replace(verdict, why=f"replayed otherwise: {differences[:1]}")
    return msgspec.structs.replace(
        verdict,
        records=int(told["records"]),
        decisions=int(told["recorded"]),
        hashes=int(told["hashes"]),
    )


def _assert_whole(there: Home, manifest: Manifest, clock: Timekeeper) -> None:
    looked = database.verify(there, clock)
    if not looked.ok:
        wrong = [line for line in looked.lines if any(word in line for word in database.WRONG)]
        raise OperatorError("; ".join(wrong))
    with closing(Reader(there.state / FILE)) as reader:
        last = reader.last()
    ends = (last.seq, last.crc) if last else (0, 0)
    if ends != (manifest.seq, manifest.crc):
        raise OperatorError(f"it ends at record {ends[0]}, its manifest says {manifest.seq}")


# --- removing --------------------------------------------------------------------------


def doomed(at: Home, keep: int) -> list[Known]:
    """What `prune` would remove: all but the newest `keep`, never the newest verified one."""
    if keep < 1:
        raise UsageError(f"--keep must be at least 1, was {keep}.")
    home.read(at)
    best = newest_verified(at)
    return [one for one in known(at)[keep:] if best is None or one.file != best.file]


def prune(at: Home, keep: int, *, dry_run: bool) -> Outcome:
    """Remove what is more than `keep` backups old."""
    if dry_run:
        lines = tuple(f"{one.file.name}: would be removed" for one in doomed(at, keep))
        return Outcome(lines or ("nothing to remove",), notes=("nothing was done",))
    home.read(at)
    with alone(at):
        removed = doomed(at, keep)
        for one in removed:
            one.file.unlink()
            beside(one.file).unlink(missing_ok=True)
    left = known(at)
    lines = tuple(f"{one.file.name}: removed" for one in removed) or ("nothing to remove",)
    data = {"removed": [str(one.file) for one in removed], "left": [str(one.file) for one in left]}
    return Outcome(lines, data=data, next_command="risk-daemon-admin backup list")
