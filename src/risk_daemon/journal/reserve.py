"""Room for the moment the disk is full: a file that means nothing, and is deleted then.

What is freed serves the state file, and everybody else who must write: locks, epochs and goals go
on being stored, while what can wait is refused (`journal.intake`). A minute after somebody made
room the file is made again.
"""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Final

from risk_daemon.journal import durable

FILE: Final = "reserve.bin"
BYTES: Final = 16 << 20
#: Room that must be left beside the file when it is made: the reserve is no reason for a full disk.
BESIDE: Final = BYTES


#: With less than this nothing can be started: address files, the log's index.
START_NEEDS: Final = 1 << 20


class Reserve:
    """The file of one home; asked by the writer's thread, and by the one that keeps it."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._guard = threading.Lock()

    @property
    def is_there(self) -> bool:
        """The room is taken, and can be given up."""
        return self._path.exists()

    def keep(self) -> bool:
        """Take the room if it is not taken and there is enough; tells whether it is taken."""
        with self._guard:
            try:
                if self.is_there and self._path.stat().st_size >= BYTES:
                    return True
                if shutil.disk_usage(self._path.parent).free < BYTES + BESIDE:
                    return False
                durable.allocate(self._path, BYTES)
            except OSError:
                self._path.unlink(missing_ok=True)
                return False
            return True

    def make_room_to_start(self) -> None:
        """Free the room where there is not even enough for a journal to begin."""
        if self.is_there and shutil.disk_usage(self._path.parent).free < START_NEEDS:
            self.give_up()

    def give_up(self) -> bool:
        """Free the room; tells whether there was any to free."""
        with self._guard:
            try:
                self._path.unlink()
            except OSError:
                return False
            return True
