"""The one thread that writes the state file: group commit, nothing else.

It takes every batch that waits, stores them in one transaction, and reports to
the loop: at once when it was idle, in groups as large as a commit is slow. After
a failure it reports once and ends: a file that could not be written is not
written again by this process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from risk_daemon.clock import Timekeeper
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.checkpoints import Checkpoints
from risk_daemon.journal.file import JournalFile, WriteFailed

#: Called in the writer's thread, with the batch and the nanoseconds its commit took.
OnStored = Callable[[Batch, int], None]
OnFailed = Callable[[WriteFailed], None]


class Writer:
    """Stores batches in the order in which they are put."""

    def __init__(
        self, file: JournalFile, clock: Timekeeper, on_stored: OnStored, on_failed: OnFailed
    ) -> None:
        self._file = file
        self._clock = clock
        self._on_stored = on_stored
        self._on_failed = on_failed
        self._checkpoints = Checkpoints(file, on_failed)
        self._queue: SimpleQueue[Batch | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal-writer")
        self._thread.start()

    def put(self, batch: Batch) -> None:
        """Store this, after all that was put before."""
        self._queue.put(batch)

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
        batch = self._queue.get()
        if batch is None:
            return False
        going_on = True
        while not self._queue.empty():
            later = self._queue.get()
            if later is None:
                going_on = False
                break
            batch.absorb(later)
        began = self._clock.steady_ns()
        self._file.store(batch)
        self._on_stored(batch, self._clock.steady_ns() - began)
        self._checkpoints.look(is_idle=self._queue.empty())
        return going_on
