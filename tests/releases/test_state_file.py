"""A newer release's journal expands the file; the older one reads it and writes on, and back."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from risk_daemon.journal import footprint
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.schema import SCHEMA
from risk_daemon.journal.shapes import shapes
from risk_daemon.journal.sqlite import connect
from risk_daemon.schemas import SNAPSHOTS
from risk_daemon.stage.second_release import unpack
from tests.releases.conftest import Wheels, in_release

#: The shape of the older release's snapshots, and of the newer one's.
OLDER, NEWER = SNAPSHOTS[1], SNAPSHOTS[1] + 1
#: Opens the file as a journal does, and stores a snapshot and a record with it.
WRITES = """
import sys
from pathlib import Path
from risk_daemon.core.events import Probed
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.file import JournalFile
from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.schemas import SNAPSHOTS
from risk_daemon.wire.control import Snapshot
from risk_daemon.wire.record import new_record

file = JournalFile(Path(sys.argv[1]), 5)
head = Sequencer(file.head.seq, file.head.at, file.head.crc)
batch = Batch(1)
batch.has_promise = True
batch.records = [head.admit(new_record(Probed()), 1_000)]
seq = batch.records[0].seq
batch.snapshots = [Snapshot(7, sys.argv[2], SNAPSHOTS[1], seq, "digest", b"12345")]
file.store(batch)
file.close()
"""


class Homes:
    """A home with both releases, and its state file."""

    def __init__(self, path: Path, wheels: Wheels) -> None:
        self.path = path
        self.old, self.new = unpack(path, wheels.previous), unpack(path, wheels.changed)
        self.file = path / "state" / "journal.db"

    def written_by(self, release: str) -> None:
        done = in_release(self.path, release, "-c", WRITES, str(self.file), release)
        assert done.returncode == 0, done.stderr

    def written_here(self) -> None:
        """By this checkout: what it promises of files that a newer release expanded."""
        words = [sys.executable, "-c", WRITES, str(self.file), "here"]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr

    def sizes(self) -> list[tuple[str, int]]:
        with closing(connect(str(self.file))) as file:
            return [tuple(row) for row in file.execute("SELECT release, size FROM snapshot")]


@pytest.fixture
def homes(tmp_path: Path, wheels: Wheels) -> Homes:
    return Homes(tmp_path, wheels)


def test_the_file_is_expanded_once_and_both_write_to_it_in_turn(homes: Homes) -> None:
    homes.written_by(homes.old)
    homes.written_by(homes.new)
    homes.written_here()
    homes.written_by(homes.new)

    found = shapes(homes.file)
    assert (found.oldest, found.schema) == (SCHEMA, SCHEMA + 1)
    assert homes.sizes() == [(homes.old, 0), (homes.new, 5), ("here", 0), (homes.new, 5)]
    with closing(Reader(homes.file)) as reader:
        mine = {
            (release, schema): len(reader.snapshots(release, schema, -1, 9))
            for release in (homes.old, homes.new)
            for schema in (OLDER, NEWER)
        }
        assert mine == {
            (homes.old, OLDER): 1,
            (homes.old, NEWER): 0,
            (homes.new, OLDER): 0,
            (homes.new, NEWER): 1,
        }, "a release must find its own snapshots and no other's"
        assert (reader.check(1, 10, 0).checked, reader.check(1, 10, 0).broken_at) == (4, 0)


def test_its_migration_misses_what_the_older_release_touches(homes: Homes) -> None:
    homes.written_by(homes.old)
    with closing(connect(str(homes.file))) as file:
        before = footprint.Tables(file)
    homes.written_by(homes.new)

    with closing(connect(str(homes.file))) as file:
        after = footprint.Tables(file)
        changed = homes.path / "releases" / homes.new / "code" / "risk_daemon" / "journal"
        newer = footprint.read((changed / footprint.NAME).read_text())
        assert footprint.objections(footprint.read(footprint.OWN.read_text()), before, after) == []
        assert footprint.unfit(newer, file) == []
    assert "insert snapshot size" in newer


def test_what_the_newer_release_touches_is_missed_before_its_migration(homes: Homes) -> None:
    """So nobody runs its journal's statements on a file that it has not expanded yet."""
    homes.written_by(homes.old)
    lines = frozenset({"insert snapshot size"})

    with closing(connect(str(homes.file))) as file:
        assert footprint.unfit(lines, file)[:1] == [
            "there is no column snapshot.size, which the release inserts"
        ]
