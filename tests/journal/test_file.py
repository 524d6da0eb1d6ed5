"""The state file: what it keeps, what it notices, and what it refuses to open."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from queue import SimpleQueue

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from risk_daemon.errors import NotFound, OperatorError
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.checkpoints import FOLD_FROM, SHORT, Checkpoints
from risk_daemon.journal.file import JournalFile, WriteFailed
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.schema import SCHEMA
from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.journal.sqlite import require, sqlite3
from risk_daemon.wire.control import Lease, Snapshot
from risk_daemon.wire.record import NewRecord, Record
from tests.sim.gateway_process import until

KINDS = ("mark-changed", "lock-placed", "pulse")


def records(count: int, after: Record | None = None) -> list[Record]:
    head = Sequencer(after.seq, after.at, after.crc) if after else Sequencer()
    return [
        head.admit(NewRecord(KINDS[n % 3], n % 5, b"payload %d" % n), 1_000 + n)
        for n in range(count)
    ]


def batch(of: list[Record], has_promise: bool = True) -> Batch:
    made = Batch(1)
    made.records = of
    made.has_promise = has_promise
    return made


@contextmanager
def opened(path: Path, verified: int = 20_000) -> Iterator[JournalFile]:
    with closing(JournalFile(path, 5, verified)) as file:
        yield file


def filled(path: Path, count: int) -> list[Record]:
    stored = records(count)
    with opened(path) as file:
        file.store(batch(stored))
    return stored


def edit(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.db"


def test_a_new_file_is_empty_private_and_of_this_schema(path: Path) -> None:
    with opened(path) as file:
        assert (file.head.seq, file.head.at, file.head.crc) == (0, 0, 0)
        assert file.head.incarnation > 0
        incarnation = file.head.incarnation
    with opened(path) as file, closing(Reader(path)) as reader:
        assert file.head.incarnation == incarnation
        assert (reader.last(), reader.first_seq(), reader.crc_at(1)) == (None, 0, None)
        assert reader.seq_since(1) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA,)


@pytest.mark.parametrize("has_promise", [True, False])
def test_what_is_stored_is_read_back(path: Path, has_promise: bool) -> None:
    stored = records(1_234)
    with opened(path) as file, closing(Reader(path)) as reader:
        file.store(batch(stored[:1_000], has_promise))
        file.store(batch(stored[1_000:], not has_promise))
        assert reader.records(1, 9_999, [], 9_999).records == stored
        assert reader.records(10, 12, [], 99).next_seq == 13
        assert reader.records(10, 99, [], 2).next_seq == 12
        locks = reader.records(1, 9_999, ["lock-placed"], 9_999).records
        assert locks == [record for record in stored if record.kind == "lock-placed"]
        both = reader.records(1, 9_999, ["lock-placed", "pulse"], 9_999).records
        assert both == [record for record in stored if record.kind != "mark-changed"]
        assert reader.seq_since(stored[99].at) == 100
        assert reader.counts(1, ["lock-placed"]) == Counter(
            one.account for one in locks if one.account
        )
        late = [one for one in both if one.seq >= 600 and one.account]
        told = reader.counts(600, ["lock-placed", "pulse"])
        assert told == Counter(one.account for one in late)
        assert reader.counts(1, ["unheard-of"]) == {}
        assert reader.seq_back(3, []) == 1_232
        assert reader.seq_back(2, ["pulse"]) == 1_230
        assert reader.seq_back(2, ["unheard-of"]) == 1
    with opened(path) as file:
        assert (file.head.seq, file.head.crc) == (1_234, stored[-1].crc)


def test_a_look_ends_when_it_has_found_a_lot(path: Path) -> None:
    head = Sequencer()
    stored = [head.admit(NewRecord("big", 0, bytes(300_000)), 1) for _ in range(10)]
    with opened(path) as file, closing(Reader(path)) as reader:
        file.store(batch(stored))
        found = reader.records(2, 99, [], 99)
        rest = reader.records(found.next_seq, 99, [], 99)
        end = reader.records(rest.next_seq, 99, [], 99)

    assert [record.seq for record in found.records + rest.records] == list(range(2, 10))
    assert (end.records, end.is_all) == (stored[9:], True)


def test_all_tables_of_a_batch_are_stored_together(path: Path) -> None:
    made = batch(records(3))
    made.once = [("lock-placed/a", 2)]
    made.policies = [(7, 1)]
    made.leases = [Lease(7, "worker-a", "v1", 1, 77, 3)]
    made.intents = [(7, 1)]
    made.snapshots = [Snapshot(7, "v1", 1, 3, "d", b"state")]
    later = batch([], False)
    later.snapshots = [Snapshot(7, "v1", 1, 4, "d", b"newer")]
    made.absorb(later)
    with opened(path) as file, closing(Reader(path)) as reader:
        file.store(made)
        assert reader.once("lock-placed/a") == 2
        assert reader.once("lock-placed/b") is None
        assert [one.seq for one in reader.snapshots("v1", 1, -1, 9)] == [4]
        assert reader.snapshots("v1", 1, 7, 9) == []
    with opened(path) as file:
        assert file.head.policies == {7}
        assert file.head.leases == {7: made.leases[0]}


@pytest.mark.parametrize("epoch", [1, 3])
def test_the_file_itself_holds_the_fence(path: Path, epoch: int) -> None:
    first, stale = batch(records(1)), batch(records(2)[1:])
    first.leases = [Lease(7, "worker-a", "v1", 1, 77, 1), Lease(8, "worker-a", "v1", 1, 77, 1)]
    stale.leases = [Lease(7, "worker-b", "v1", epoch, 77, 2)]
    with opened(path) as file:
        file.store(first)
        with pytest.raises(AssertionError, match=f"epoch {epoch} does not follow"):
            file.store(stale)
    intent = batch(records(2)[1:])
    intent.intents = [(8, epoch + 1)]
    with opened(path) as file, pytest.raises(AssertionError, match=f"intent of epoch {epoch + 1}"):
        file.store(intent)


def test_the_log_is_folded_into_the_file_and_leaves_nothing_behind(path: Path) -> None:
    log = path.with_name("journal.db-wal")
    with opened(path) as file:
        file.store(batch(records(5_000)))
        small = path.stat().st_size
        pages, left = file.log()
        file.fold()
        assert pages == left > 50
        assert file.log() == (pages, 0)
        assert path.stat().st_size > small
        assert log.stat().st_size > 0
    assert not log.exists()


def never(failed: WriteFailed) -> None:
    raise failed


@contextmanager
def beside_of(file: JournalFile, on_failed: Callable[[WriteFailed], None]) -> Iterator[Checkpoints]:
    beside = Checkpoints(file, on_failed)
    try:
        yield beside
    finally:
        beside.stop()


def grow(file: JournalFile, after: Record | None, pages: int) -> Record:
    """Store small commits until the log has so many pages."""
    while after is None or file.log()[0] < pages:
        file.store(batch(records(1, after), has_promise=False))
        after = records(1, after)[0]
    return after


def test_a_long_log_is_folded_beside_the_writer_and_its_short_rest_when_nobody_waits(
    path: Path,
) -> None:
    with opened(path) as file, beside_of(file, never) as beside:
        last = grow(file, None, FOLD_FROM)
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT max(seq) FROM record").fetchone()
            last = grow(file, last, FOLD_FROM + 5)
            beside.look(is_idle=True)
            beside.look(is_idle=True)
            until(lambda: file.log()[1] <= SHORT)
        beside.look(is_idle=False)
        assert file.log()[1] > 0
        beside.look(is_idle=True)
        assert file.log()[1] == 0
        file.store(batch(records(1, last)))
        assert file.log()[0] < FOLD_FROM, "the log begins anew"


def test_a_log_that_cannot_be_folded_beside_the_writer_is_told(path: Path) -> None:
    failures: SimpleQueue[WriteFailed] = SimpleQueue()
    with opened(path) as file, beside_of(file, failures.put) as beside:
        grow(file, None, FOLD_FROM)
        with no_file_larger_than(path.stat().st_size):
            beside.look(is_idle=False)
            failed = failures.get(timeout=30)
            with pytest.raises(WriteFailed, match="can't be written"):
                file.fold()
    assert "the state file can't be written: " in str(failed)
    assert not failed.certain


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    resource = pytest.importorskip("resource", reason="a limit on file sizes is POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_batch_that_does_not_fit_fails_as_a_whole(path: Path) -> None:
    with opened(path) as file, pytest.raises(WriteFailed, match="can't be written") as failed:
        file.store(batch(records(1) + records(1)))
    assert failed.value.certain
    with opened(path) as file:
        assert file.head.seq == 0


def test_a_commit_that_cannot_be_written_is_certain_and_one_not_flushed_is_not(path: Path) -> None:
    with opened(path) as file:
        edit(path, "CREATE TABLE parent (x PRIMARY KEY)")
        run = file._connection.execute
        run("CREATE TABLE child (x REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
        run("PRAGMA foreign_keys = ON")
        run("CREATE TRIGGER t AFTER INSERT ON record BEGIN INSERT INTO child VALUES (1); END")
        with pytest.raises(WriteFailed, match="FOREIGN KEY") as failed:
            file.store(batch(records(1)))
    assert not failed.value.certain


# --- the chain ------------------------------------------------------------------

mutations = st.one_of(
    st.tuples(st.just("drop"), st.integers(1, 19)),
    st.tuples(st.just("swap"), st.integers(1, 19)),
    *(
        st.tuples(st.just(f"alter {column}"), st.integers(1, 20))
        for column in ("at", "version", "kind", "account", "payload", "crc")
    ),
)

_ALTER = {
    "at": "at + 1",
    "version": "version + 1",
    "kind": "'pulse' || kind",
    "account": "account + 1",
    "payload": "CAST(payload || 'x' AS BLOB)",
    "crc": "crc + 1",
}


def mutate(path: Path, what: str, seq: int) -> None:
    if what == "drop":
        edit(path, f"DELETE FROM record WHERE seq = {seq}")
    elif what == "swap":
        edit(
            path,
            f"UPDATE record SET seq = 1000 WHERE seq = {seq}",
            f"UPDATE record SET seq = {seq} WHERE seq = {seq + 1}",
            f"UPDATE record SET seq = {seq + 1} WHERE seq = 1000",
        )
    else:
        column = what.split()[1]
        edit(path, f"UPDATE record SET {column} = {_ALTER[column]} WHERE seq = {seq}")


@given(mutations)
@settings(max_examples=60)
def test_any_row_altered_dropped_or_swapped_is_noticed(mutation: tuple[str, int]) -> None:
    what, seq = mutation
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        filled(path, 20)
        mutate(path, what, seq)
        with closing(Reader(path)) as reader:
            check = reader.check(1, 100, 0)
        dropped_first = what == "drop" and seq == 1
        refused = not dropped_first
        if refused:
            with pytest.raises(OperatorError, match="does not follow the one before it"):
                JournalFile(path, 5)

    assert seq <= check.broken_at <= seq + 1
    assert check.last_seq == check.broken_at - 1


def test_only_so_many_records_are_checked_at_the_start(path: Path) -> None:
    filled(path, 20)
    mutate(path, "alter kind", 4)  # no lock: those are compared with the lock file anyhow

    with opened(path, verified=15):
        pass
    with pytest.raises(OperatorError, match="record 4 of"):
        JournalFile(path, 5, 17)


def test_a_file_whose_beginning_was_archived_is_anchored_at_its_oldest_record(path: Path) -> None:
    stored = filled(path, 20)
    edit(path, "DELETE FROM record WHERE seq < 10")
    with opened(path), closing(Reader(path)) as reader:
        assert reader.beginning(1).seq == 10
        assert reader.check(11, 99, stored[9].crc).last_seq == 20
    mutate(path, "alter kind", 11)
    with pytest.raises(OperatorError, match="record 11 of"):
        JournalFile(path, 5)


def test_an_end_that_was_cut_off_is_noticed_by_what_the_other_tables_know(path: Path) -> None:
    made = batch(records(5))
    made.policies = [(7, 5)]
    with opened(path) as file:
        file.store(made)
    edit(path, "DELETE FROM record WHERE seq = 5")

    with pytest.raises(OperatorError, match="ends at record 4, but knows of record 5"):
        JournalFile(path, 5)


# --- what is not opened ------------------------------------------------------------


def test_an_sqlite_that_can_corrupt_is_refused_by_name() -> None:
    require((3, 51, 3))
    require((3, 53, 4))
    with pytest.raises(OperatorError, match=r"SQLite 3\.51\.2 can corrupt WAL files; 3\.51\.3"):
        require((3, 51, 2))
    with pytest.raises(OperatorError, match=r"SQLite 3\.40\.1"):
        require((3, 40, 1))


def test_the_file_of_a_newer_release_is_refused(path: Path) -> None:
    filled(path, 1)
    edit(path, f"PRAGMA user_version = {SCHEMA + 1}")

    with pytest.raises(OperatorError, match=f"has schema {SCHEMA + 1}, this release knows"):
        JournalFile(path, 5)


EXPANDED = (
    "ALTER TABLE record ADD COLUMN origin TEXT NOT NULL DEFAULT 'before'",
    "ALTER TABLE lease ADD COLUMN why TEXT NOT NULL DEFAULT ''",
    "CREATE TABLE shape (one INTEGER PRIMARY KEY CHECK (one = 1), oldest INTEGER NOT NULL) STRICT",
    f"PRAGMA user_version = {SCHEMA + 1}",
)


def test_a_file_that_a_newer_release_only_expanded_is_read_and_written_on(path: Path) -> None:
    before = filled(path, 3)
    edit(path, *EXPANDED, f"INSERT INTO shape VALUES (1, {SCHEMA})")
    after = records(4, before[-1])
    written = batch(after)
    written.leases = [Lease(7, "worker-1", "v1", 1, 1, 5)]

    with opened(path) as file:
        file.store(written)

    with closing(Reader(path)) as reader:
        assert reader.records(1, 100, (), 100).records == before + after
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA + 1,)
        assert connection.execute("SELECT DISTINCT origin FROM record").fetchall() == [("before",)]


def test_a_file_that_a_newer_release_changed_beyond_that_is_refused(path: Path) -> None:
    filled(path, 3)
    edit(path, *EXPANDED, f"INSERT INTO shape VALUES (1, {SCHEMA + 1})")

    with pytest.raises(OperatorError, match=f"has schema {SCHEMA + 1}, this release knows"):
        JournalFile(path, 5)


def test_an_expanded_file_that_is_damaged_is_judged_before_it_is_opened(path: Path) -> None:
    filled(path, 3)
    edit(
        path,
        *EXPANDED,
        f"INSERT INTO shape VALUES (1, {SCHEMA})",
        "UPDATE record SET at = 1 WHERE seq = 2",
    )
    before = path.read_bytes()

    with pytest.raises(OperatorError, match=r"record 2 of .* does not follow"):
        JournalFile(path, 5)

    assert path.read_bytes() == before


def test_another_programs_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    edit(path, "CREATE TABLE theirs (x)")

    with pytest.raises(OperatorError, match="some other program's database"):
        JournalFile(path, 5)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"no database at all " * 1_000)

    with pytest.raises(OperatorError, match="can't be read: file is not a database"):
        JournalFile(path, 5)


def test_a_reader_needs_a_file(path: Path) -> None:
    with pytest.raises(NotFound, match="there is no state file"):
        Reader(path)
