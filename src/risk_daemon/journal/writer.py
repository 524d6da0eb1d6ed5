"""The one thread that writes the state file: group commit, and copies of it between two commits.

It takes every batch that waits, stores them in one transaction, and reports to
the loop: at once when it was idle, in groups as large as a commit is slow. After
a failure it reports once and ends: a file that could not be written is not
written again by this process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from risk_daemon.clock import Timekeeper
from risk_daemon.errors import OperatorError
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.checkpoints import Checkpoints
from risk_daemon.journal.file import Copied, JournalFile, WriteFailed

#: Called in the writer's thread, with the batch and the nanoseconds its commit took.
OnStored = Callable[[Batch, int], None]
OnFailed = Callable[[WriteFailed], None]
#: Called in the writer's thread when the disk was full and the reserve was given up.
OnTight = Callable[[], None]
#: Called in the writer's thread, with what the copy holds, or why there is none.
OnCopied = Callable[[Copied | OperatorError], None]


class Copy:
    """A wish to have the state file copied into a folder."""

    def __init__(self, folder: Path, on_copied: OnCopied) -> None:
        self.folder = folder
        self.on_copied = on_copied


class Writer:
    """Stores batches in the order in which they are put."""

    def __init__(
        self,
        file: JournalFile,
        clock: Timekeeper,
        on_stored: OnStored,
        on_failed: OnFailed,
        on_tight: OnTight = lambda: None,
    ) -> None:
        self._file = file
        self._clock = clock
        self._on_stored = on_stored
        self._on_failed = on_failed
        self._on_tight = on_tight
        self._checkpoints = Checkpoints(file, on_failed)
        self._queue: SimpleQueue[Batch | Copy | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal-writer")
        self._thread.start()

    def put(self, batch: Batch) -> None:
        """Store this, after all that was put before."""
        self._queue.put(batch)

    def copy(self, folder: Path, on_copied: OnCopied) -> None:
        """Copy the file once all that was put before is stored."""
        self._queue.put(Copy(folder, on_copied))

    def stop(self) -> None:
        """Store what is left and end; blocks until then."""
        self._queue.put(None)
        self._thread.join()
        self._checkpoints.stop()

    def _run(self) -> None:
        try:
            while self._store_next():
                pass
        except WriteFailed as failed:
            self._on_failed(failed)
        except BaseException as error:
            # Whatever it was, nobody may go on waiting for this thread.
            self._on_failed(WriteFailed(f"the writer died: {error!r}", certain=False))
            raise

    def _store_next(self) -> bool:
        item = self._queue.get()
        if isinstance(item, Batch):
            item = self._store(item)
        if isinstance(item, Copy):
            self._make(item)
        return item is not None

    def _store(self, batch: Batch) -> Batch | Copy | None:
        """Store a batch with all that waits behind it; return what is to be done next."""
        then: Batch | Copy | None = batch
        while not self._queue.empty():
            then = self._queue.get()
            if not isinstance(then, Batch):
                break
            batch.absorb(then)
        began = self._clock.steady_ns()
        if self._file.store(batch):
            self._on_tight()
        self._on_stored(batch, self._clock.steady_ns() - began)
        self._checkpoints.look(is_idle=self._queue.empty())
        return then

    def _make(self, copy: Copy) -> None:
        try:
            copy.on_copied(self._file.copy(copy.folder))
        except OperatorError as failed:
            copy.on_copied(failed)
