"""Files that are on the disk when a call returns: flushed, and so is the folder that names them.

Windows has no way to flush a folder; there a rename is durable with its file
system's own journal.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """Write a file in place, readable by its owner only, and flush it. Raises OSError.

    In place: a crash may leave it torn. Who can't stand that uses `replace`.
    """
    is_new = not path.exists()
    handle = os.open(
        path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600
    )
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        flush_folder(path.parent)


def replace(path: Path, content: bytes) -> None:
    """Replace a file as a whole, and flush it: the old one or the new one is there."""
    fresh = path.with_name(f".{path.name}.new")
    write(fresh, content)
    move(fresh, path)


def allocate(path: Path, size: int) -> None:
    """Take a file's room on the disk, without changing what is in it, and flush it.

    Raises OSError where there is no room for it.
    """
    is_new = not path.exists()
    handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
    try:
        if sys.platform == "win32" or sys.platform == "darwin":
            missing = size - os.fstat(handle).st_size
            os.lseek(handle, 0, os.SEEK_END)
            os.write(handle, bytes(max(missing, 0)))
        else:
            os.posix_fallocate(handle, 0, size)
        os.fsync(handle)
    finally:
        os.close(handle)
    if is_new:
        flush_folder(path.parent)


def move(path: Path, target: Path) -> None:
    """Rename a file or folder, durably; a file that has the name is replaced."""
    path.replace(target)
    flush_folder(target.parent)


def flush(path: Path) -> None:
    """Flush a file that somebody else has written."""
    # Windows flushes only what was opened for writing; elsewhere it may be read-only.
    handle = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_folder(path: Path) -> None:
    """Flush the names in a folder."""
    if sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
