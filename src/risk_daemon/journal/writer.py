"""The one thread that writes the state file: group commit, nothing else.

It takes every batch that waits, stores them in one transaction, and reports to
the loop. After a failure it reports once and ends: a file that could not be
written is not written again by this process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final

from risk_daemon.clock import Timekeeper
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.file import (
    CHECKPOINT_ALWAYS,
    CHECKPOINT_BUSY,
    CHECKPOINT_IDLE,
    JournalFile,
    WriteFailed,
)

_IDLE_S: Final = 0.05

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
        batch = self._next()
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
        # A checkpoint takes milliseconds, and promises come in chains (an intent,
        # then its request): rather between chains than behind the first link.
        self._file.checkpoint(CHECKPOINT_BUSY if self._queue.empty() else CHECKPOINT_ALWAYS)
        return going_on

    def _next(self) -> Batch | None:
        try:
            return self._queue.get(timeout=_IDLE_S)
        except Empty:
            self._file.checkpoint(CHECKPOINT_IDLE)
            return self._queue.get()
