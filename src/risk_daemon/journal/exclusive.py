"""At most one journal per home: a lock that the system takes back when its holder dies."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from risk_daemon.errors import Refused


class Hold:
    """A held lock; it lasts until `release`, or the death of this process."""

    def __init__(self, path: Path) -> None:
        """Take the lock at `path`. Raises Refused, naming who holds it."""
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not try_lock(self._handle):
            holder = os.pread(self._handle, 20, _WHO).decode() if hasattr(os, "pread") else ""
            os.close(self._handle)
            who = f"process {holder.strip()}" if holder.strip() else "another process"
            raise Refused(f"the journal of this home is already running: {who} holds {path}")
        os.lseek(self._handle, _WHO, os.SEEK_SET)
        os.write(self._handle, f"{os.getpid():<20}".encode())

    def release(self) -> None:
        """Let it go. The file stays: removing it would let two processes hold it."""
        os.close(self._handle)


#: The holder's pid stands behind the byte that is locked: Windows locks deny reading.
_WHO = 1


def try_lock(handle: int) -> bool:
    """Take the lock of an open file if nobody has it; it lasts until the file is closed."""
    if sys.platform == "win32":
        import msvcrt

        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
