"""A real state file damaged at five hundred places: noticed, or it does not matter."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from risk_daemon.core.events import LeaseGranted, LockPlaced
from risk_daemon.errors import OperatorError
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.file import JournalFile
from risk_daemon.journal.inspection import Inspection
from risk_daemon.journal.lock_file import SLOTS
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.journal.sqlite import UNREADABLE
from risk_daemon.wire.control import Lease, Snapshot
from risk_daemon.wire.record import NewRecord, Record, new_record
from risk_daemon.worker.recovery import digest_of
from tests.journal.homes import policy

PLACES = 250
SECTOR = 512
ALL = 1 << 62
type Content = dict[str, object]


def made(folder: Path, *, is_folded: bool) -> Path:
    """A state file with something in every table; its log is folded in, or as a kill leaves it."""
    path = folder / "state" / "journal.db"
    head = Sequencer()
    file = JournalFile(path, 5)
    for turn in range(12):
        batch = Batch(turn + 1)
        batch.has_promise = True
        if turn == 0:
            batch.records.append(head.admit(policy(7), 1))
            batch.policies.append((7, 1))
            lease = Lease(7, "worker-1", "v1", 1, file.head.incarnation, 2)
            batch.records.append(head.admit(new_record(granted(lease)), 1))
            batch.leases.append(lease)
        news = [NewRecord("mark-changed", 0, b"mark %d" % (turn * 100 + n)) for n in range(30)]
        lock = new_record(
            LockPlaced(
                account=7,
                lock=f"lock-{turn}",
                rule="r",
                mode="full",
                began_at=turn,
                until=None,
                reason="because",
            )
        )
        batch.records += [head.admit(new, 2 + turn) for new in (*news, lock)]
        batch.once.append((f"lock-placed/7:lock-{turn}:{turn}", head.seq))
        body = b"state of an account" * 20
        kept = Snapshot(7, "v1", 1, head.seq, "", body)
        batch.snapshots.append(Snapshot(7, "v1", 1, head.seq, digest_of(kept), body))
        file.store(batch)
    if is_folded:
        file.close()
    else:
        shutil.copytree(folder, folder.parent / "killed")
        file.close()
        shutil.rmtree(folder)
        (folder.parent / "killed").rename(folder)
    return path


def granted(lease: Lease) -> LeaseGranted:
    return LeaseGranted(
        account=lease.account,
        holder=lease.holder,
        release=lease.release,
        epoch=lease.epoch,
        incarnation=lease.incarnation,
    )


def content(path: Path) -> Content:
    """Everything a reader could be told."""
    with closing(Reader(path)) as reader:
        snapshots = reader.snapshots("v1", 1, -1, 99)
        return {
            "records": reader.records(1, ALL, [], 9_999).records,
            "locks": reader.records(1, ALL, ["lock-placed"], 9_999).records,
            "once": sorted(reader.names(1, ALL)),
            # A damaged one is not believed by whoever restores from it.
            "snapshots": [one for one in snapshots if digest_of(one) == one.digest],
        }


def opened(path: Path) -> Content | None:
    """What the journal would serve of the file; None where it, or its inspection, finds a fault."""
    try:
        file = JournalFile(path, 5)
        found = {"leases": file.head.leases, "policies": file.head.policies} | content(path)
        file.close()
        with closing(Inspection(path)) as inspection:
            if inspection.structure() or inspection.disagreements():
                return None
    except (OperatorError, *UNREADABLE):
        return None
    return found


def damaged(raw: bytes, size: int) -> Iterator[bytes]:
    """Yield the file with a bit flipped, a sector never written, or its end cut off."""
    for number in range(PLACES):
        place = (2 * number + 1) * size // (2 * PLACES)
        kind = number % 5
        if kind == 0:
            yield raw[:place]
        elif kind == 1:
            start = place // SECTOR * SECTOR
            yield raw[:start] + bytes(SECTOR) + raw[start + SECTOR :]
        else:
            flipped = raw[place] ^ (1 << number % 8)
            yield raw[:place] + bytes([flipped]) + raw[place + 1 :]


def differing(found: Content, whole: Content) -> set[str]:
    """Name what is served otherwise. A snapshot that is not believed is folded anew."""
    return {name for name in whole if found[name] != whole[name]}


def laid(path: Path, home: Path) -> None:
    """Put a home back as it was."""
    shutil.rmtree(path.parent, ignore_errors=True)
    shutil.copytree(home, path.parent)


def test_a_damage_anywhere_in_the_file_is_noticed_or_does_not_matter(tmp_path: Path) -> None:
    path = made(tmp_path / "home", is_folded=True)
    whole, raw = opened(path), path.read_bytes()
    assert whole is not None
    shutil.copytree(path.parent, tmp_path / "before")
    noticed = 0

    for content_now in damaged(raw, len(raw)):
        laid(path, tmp_path / "before")
        path.write_bytes(content_now)
        found = opened(path)
        noticed += found is None
        assert found is None or differing(found, whole) <= {"snapshots"}

    assert noticed > PLACES // 2


def test_a_damage_anywhere_in_the_log_loses_no_lock_and_nothing_in_between(tmp_path: Path) -> None:
    path = made(tmp_path / "home", is_folded=False)
    shutil.copytree(path.parent, tmp_path / "before")
    log = path.with_name(f"{path.name}-wal")
    raw = log.read_bytes()
    whole = opened(path)
    assert whole is not None
    records = whole["records"]
    assert isinstance(records, list)
    noticed = 0

    for content_now in damaged(raw, len(raw)):
        laid(path, tmp_path / "before")
        log.write_bytes(content_now)
        found = opened(path)
        noticed += found is None
        if found is not None:
            # SQLite ends a log where it does not hold: what is left is a beginning, locks and all.
            assert found["records"] == records[: len(_records(found))]
            assert found["locks"] == whole["locks"]

    assert noticed > PLACES // 2


def _records(found: Content) -> list[Record]:
    records = found["records"]
    assert isinstance(records, list)
    return records


@pytest.mark.parametrize("slot", SLOTS)
def test_a_damaged_slot_of_the_lock_file_is_written_anew(tmp_path: Path, slot: str) -> None:
    path = made(tmp_path / "home", is_folded=True)
    whole, raw = opened(path), (path.parent / slot).read_bytes()

    for content_now in list(damaged(raw, len(raw)))[:50]:
        (path.parent / slot).write_bytes(content_now)
        assert opened(path) == whole
