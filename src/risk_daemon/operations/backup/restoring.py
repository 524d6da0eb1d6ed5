"""`restore`: the state from a backup, or from whatever is left of it. Only while nothing runs.

Made whole in a folder of its own, proven there, then put in place in one move
(`journal.swap`); what stood there before is kept. No lock is lost or shortened
by it: every witness of what was locked is asked (the old state file, its lock
file), and where none can answer for all of it the accounts may only reduce.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Clock, Timekeeper
from risk_daemon.core.events import LockPlaced, PolicyAdopted
from risk_daemon.core.session import next_reset
from risk_daemon.errors import OperatorError, Refused
from risk_daemon.journal import lock_file, swap
from risk_daemon.journal.anew import Anew, Known, Made
from risk_daemon.journal.exclusive import Hold
from risk_daemon.journal.file import JournalFile
from risk_daemon.journal.lease import RESTORE_GAP
from risk_daemon.journal.salvage import Salvage
from risk_daemon.journal.schema import SCHEMA
from risk_daemon.operations import home
from risk_daemon.operations.backup import backup_file, backup_list, backups, database
from risk_daemon.operations.backup.backup_file import Manifest
from risk_daemon.operations.home import About, Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.words import both_times, count, iso
from risk_daemon.wire.locks import Row, Slot, Standing, joined

DATABASE: Final = f"state/{FILE}"
SLOTS: Final = tuple(f"state/{name}" for name in lock_file.SLOTS)
#: The log before the file: a file without its log is older than with it.
OLD: Final = (f"{DATABASE}-wal", f"{DATABASE}-shm", DATABASE, *SLOTS)
NEW: Final = (DATABASE, *SLOTS)
CONFIG: Final = "config"
START: Final = "risk-daemon-admin start"


@contextmanager
def stopped(at: Home, *, is_supervised: bool = False) -> Iterator[None]:
    """Nothing of the home runs, or starts, until the end of the block; an open swap is finished.

    `is_supervised`: the supervisor itself asks for it, and starts no journal meanwhile.
    """
    with ExitStack() as held:
        try:
            if not is_supervised:
                held.callback(home.lock(at).release)
            at.state.mkdir(mode=0o700, exist_ok=True)
            held.callback(Hold(at.state / "journal.lock").release)
        except Refused as refused:
            said = refused.sentence.rstrip(".")
            raise Refused(f"{said}. {_STOP_FIRST}") from None
        if swap.is_begun(at.path):
            swap.finish(at.path)
        yield


_STOP_FIRST: Final = "Run `risk-daemon-admin stop` first; nothing was changed."


def finish(at: Home) -> str:
    """Finish a restore that was interrupted; says so, or nothing where there is none."""
    if not swap.is_begun(at.path):
        return ""
    with stopped(at):
        return "a restore was interrupted after it had been decided; it is finished now"


# --- from a backup --------------------------------------------------------------------


def from_backup(
    at: Home, file: Path, who: Who, clock: Timekeeper, *, elsewhere: bool, dry_run: bool
) -> Outcome:
    """Put a backup's state and configuration in place of the home's."""
    about = home.read(at)
    manifest = backup_file.manifest_of(file)
    _assert_fits(about, manifest, file, elsewhere=elsewhere)
    with stopped(at), backups.alone(at):
        staging = swap.begin(at.path)
        try:
            found, told_before = _unpacked(at, file, staging, clock)
            if not found.ok:
                raise OperatorError(
                    f"the backup {file} does not restore: {found.why} Nothing was changed."
                )
            if dry_run:
                lines = (
                    f"would restore {file}: up to record {manifest.seq}, "
                    f"made {both_times(iso(manifest.made_at))}",
                    told_before or backups.said(found),
                )
                return Outcome(lines, data=_told(manifest), notes=("nothing was done",))
            now = _now(clock, staging)
            made = _made(at, staging, now, _why(who, f"from {file.name}"))
            into = (*NEW, CONFIG) if (staging / CONFIG).is_dir() else NEW
            away = (*OLD, CONFIG) if CONFIG in into else OLD
            aside = swap.commit(at.path, backups.stamp(clock.now_ns()), away, into)
        finally:
            if not swap.is_begun(at.path):
                swap.abandon(at.path)
    first = (
        f"restored {file}: up to record {manifest.seq}, made {both_times(iso(manifest.made_at))}"
    )
    return _outcome(first, made, aside, _told(manifest))


def _unpacked(
    at: Home, file: Path, staging: Path, clock: Timekeeper
) -> tuple[backup_list.Verified, str]:
    """Unpack a backup, judged anew unless it is one of this home's that was, and is unchanged.

    To replay a large one takes minutes in which nobody is protected.
    """
    for one in backup_list.known(at):
        if one.file.resolve() == file.resolve() and one.verified is not None and one.verified.ok:
            backup_file.unpack(file, staging)
            told = both_times(iso(one.verified.at))
            return one.verified, f"verified {told}, and unchanged since"
    return backups.judge(file, staging, clock), ""


def _assert_fits(about: About, manifest: Manifest, file: Path, *, elsewhere: bool) -> None:
    """Refuse a backup of something else than this home."""
    if manifest.schema > SCHEMA:
        raise Refused(
            f"the backup {file} has schema {manifest.schema}, this release knows {SCHEMA}: use the "
            f"command of {manifest.release}, which made it. Nothing was changed."
        )
    if elsewhere:
        return
    theirs, ours = (manifest.environment, manifest.host), (about.environment, about.host)
    if theirs != ours:
        raise Refused(
            f"the backup {file} is of a {theirs[0]} home on host {theirs[1]}, this is a {ours[0]} "
            f"home on host {ours[1]}; nothing was changed. If it is meant: --from-elsewhere."
        )


def _told(manifest: Manifest) -> dict[str, Any]:
    return {
        "seq": manifest.seq,
        "made_at": manifest.made_at,
        "config_commit": manifest.config_commit,
    }


def _made(at: Home, staging: Path, now: int, why: str) -> Made:
    """Make the state of an unpacked backup one of its own, with every lock that is known."""
    anew = Anew(staging / DATABASE, now)
    slot = lock_file.read(at.state)
    rows, is_complete = _rows(slot), _is_whole(slot)
    if not is_complete and (at.state / FILE).is_file():
        # The lock file can't answer for all of it: perhaps the old state file can.
        salvage = Salvage(at.state / FILE, staging / "old")
        standing = Standing()
        for record in salvage.records(0, 0):
            standing.take(record)
        rows = joined(rows, standing.rows({}))
        is_complete = salvage.is_complete and salvage.last_seq >= (slot.seq if slot else 0)
    elif slot is None and not (at.state / FILE).exists():
        # A home that never ran has locked nothing.
        is_complete = not any(at.path.glob(f"{swap.ASIDE}/*")) and not any(
            at.logs.glob("journal.*")
        )
    own = lock_file.read((staging / DATABASE).parent)
    rows = joined(rows, tuple(Row(account=row.account, marks=row.marks) for row in _rows(own)))
    ends = _ends(anew.policies.values(), now)
    return anew.finish(Known(rows, is_complete, _epoch(at, slot), ends), why)


def _epoch(at: Home, slot: Slot | None) -> int:
    """The highest epoch that may have been held: by the lock file, and by the number of restores.

    Two restores of one backup must not lead to the same epochs, whatever was lost between them.
    """
    restores = len(list(at.path.glob(f"{swap.ASIDE}/*/state")))
    return max(slot.epoch if slot is not None else 0, restores * RESTORE_GAP)


def _rows(slot: Slot | None) -> tuple[Row, ...]:
    return slot.rows if slot is not None else ()


def _is_whole(slot: Slot | None) -> bool:
    return slot is not None and slot.is_whole


def _ends(policies: Iterable[PolicyAdopted], now: int) -> dict[int, int]:
    """When each account's next session begins."""
    return {
        policy.account: next_reset(policy.calendar, policy.day_roll, now) for policy in policies
    }


# --- from what is left -----------------------------------------------------------------


def rebuild(
    at: Home, who: Who, clock: Timekeeper, *, dry_run: bool, is_supervised: bool = False
) -> Outcome:
    """Make a sound state file of the newest verified backup and of what can still be read."""
    home.read(at)
    with stopped(at, is_supervised=is_supervised), backups.alone(at):
        wrong = _damage(at, clock)
        if not wrong:
            return Outcome(("the state file is sound: nothing was rebuilt",), next_command=START)
        if dry_run:
            return Outcome((f"would be rebuilt: {wrong}",), notes=("nothing was done",))
        staging = swap.begin(at.path)
        try:
            base = _base(at, staging)
            now = _now(clock, staging)
            made = _salvaged(at, staging, now, _why(who, f"rebuilt: {wrong}"))
            aside = swap.commit(at.path, backups.stamp(clock.now_ns()), OLD, NEW)
        finally:
            if not swap.is_begun(at.path):
                swap.abandon(at.path)
    told = f"the backup {base.file.name}" if base is not None else "no backup"
    first = f"rebuilt from {told} and {count(made.salvaged, 'record')} of the old file ({wrong})"
    data = {"backup": str(base.file) if base is not None else None, "salvaged": made.salvaged}
    return _outcome(first, made, aside, data)


def _damage(at: Home, clock: Timekeeper) -> str:
    """What is wrong with the state file; empty if nothing is. A sound one's lock file is mended."""
    path = at.state / FILE
    if not path.is_file():
        return f"{path} is gone"
    try:
        JournalFile(path, clock.now_ns()).close()
    except OperatorError as error:
        return error.sentence.removesuffix(f"; {lock_file.MEND}").removesuffix(
            f": {lock_file.MEND}"
        )
    looked = database.verify(at, clock)
    wrong = [line for line in looked.lines if any(word in line for word in database.WRONG)]
    return "; ".join(wrong)


def _base(at: Home, staging: Path) -> backup_list.Known | None:
    """Unpack the newest verified backup that can be read; None where there is none."""
    for one in backup_list.known(at):
        if one.verified is None or not one.verified.ok:
            continue
        try:
            backup_file.unpack(one.file, staging)
        except OperatorError:
            swap.begin(at.path)
            continue
        return one
    return None


def _salvaged(at: Home, staging: Path, now: int, why: str) -> Made:
    """Go on from the backup with what the damaged file still says."""
    (staging / "state").mkdir(mode=0o700, exist_ok=True)
    kept = lock_file.read((staging / DATABASE).parent)
    anew = Anew(staging / DATABASE, now)
    slot = lock_file.read(at.state)
    is_complete = _is_whole(slot)
    if (at.state / FILE).is_file():
        salvage = Salvage(at.state / FILE, staging / "old")
        anew.take(salvage)
        knows_more = slot is not None and slot.seq > anew.last_seq
        is_complete = is_complete or (salvage.is_complete and not knows_more)
    ends = _ends(_policies(at, anew), now)
    rows = joined(_rows(slot), tuple(Row(account=r.account, marks=r.marks) for r in _rows(kept)))
    return anew.finish(Known(rows, is_complete, _epoch(at, slot), ends), why)


def _policies(at: Home, anew: Anew) -> Iterable[PolicyAdopted]:
    """The policies of the state; of the files, where it has none."""
    if anew.policies:
        return anew.policies.values()
    from risk_daemon.operations.configuration.loading import load

    try:
        return load(at.config).policies
    except OperatorError:
        return ()


# --- what both say -----------------------------------------------------------------------


def _now(clock: Timekeeper, staging: Path) -> int:
    """The home's own time, by the settings in the backup."""
    from risk_daemon.operations.configuration.in_force import last_adopted

    settings = last_adopted(Home(staging)) if (staging / DATABASE).is_file() else None
    offset_s = settings.clock_offset_s if settings is not None else 0
    return Clock(int(offset_s * SECOND_NS)).now_ns() if offset_s else clock.now_ns()


def _why(who: Who, how: str) -> str:
    return f"the state was restored by {who.by} ({who.reason}), {how}"


def _outcome(first: str, made: Made, aside: Path, data: Mapping[str, Any]) -> Outcome:
    lines = [
        first,
        f"locks in force: {made.locks}, of them {len(made.placed)} that it did not know",
        *(_placed_line(lock) for lock in made.placed),
    ]
    told = {
        **data,
        "last_seq": made.last_seq,
        "incarnation": made.incarnation,
        "locks": made.locks,
        "placed": [{"account": lock.account, "lock": lock.lock} for lock in made.placed],
        "set_aside": str(aside),
    }
    notes = (
        f"what stood there before is kept in {aside}",
        "nobody enforces until `start`; then reconcile: `risk-daemon-admin reconcile-state`",
    )
    return Outcome(tuple(lines), data=told, notes=notes, next_command=START)


def _placed_line(lock: LockPlaced) -> str:
    end = f"until {both_times(iso(lock.until))}" if lock.until else "until an admin ends it"
    return f"{lock.account}: {lock.mode} by {lock.rule} {end} ({lock.reason})"
