"""Folds the log into the file beside the writer: nobody waits for that to be seen.

A checkpoint flushes two files, tens of milliseconds on a slow disk, and while the
writer made one no fact was visible. So a thread of its own does the bulk on a
connection of its own. What the writer appends meanwhile stays in the log, which
begins anew only when all of it is folded: the writer folds that rest itself,
once it is short and nobody waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final

from risk_daemon.journal.file import Folder, JournalFile, WriteFailed

#: Pages in the log from which it is folded …
FOLD_FROM: Final = 1_000
#: … by the writer itself, if there are not more left than this many …
SHORT: Final = 128
#: … or the log has grown to this many.
FOLD_ANYHOW: Final = 16_000


class Checkpoints:
    """Asked by the writer after every commit; `on_failed` is called in the folding thread."""

    def __init__(self, file: JournalFile, on_failed: Callable[[WriteFailed], None]) -> None:
        self._file = file
        self._on_failed = on_failed
        self._is_asked = False
        self._wishes: SimpleQueue[bool] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal-checkpoints")
        self._thread.start()

    def look(self, *, is_idle: bool) -> None:
        """Have the log folded if it is long enough. Raises WriteFailed."""
        pages, left = self._file.log()
        if pages >= FOLD_ANYHOW or (pages >= FOLD_FROM and left <= SHORT and is_idle):
            self._file.fold()
        elif left >= FOLD_FROM and not self._is_asked:
            self._is_asked = True
            self._wishes.put(True)

    def stop(self) -> None:
        """Finish what was begun, and end."""
        self._wishes.put(False)
        self._thread.join()

    def _run(self) -> None:
        folder = Folder(self._file.path)
        try:
            while self._wishes.get():
                folder.fold()
                self._is_asked = False
        except WriteFailed as failed:
            self._on_failed(failed)
        finally:
            folder.close()
