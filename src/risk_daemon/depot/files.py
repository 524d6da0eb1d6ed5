"""Files that must be whole or not there: written beside, flushed, then named."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from risk_daemon.depot.manifest import tree_digest
from risk_daemon.errors import OperatorError
from risk_daemon.journal import durable

_BLOCK: Final = 1 << 20
#: Written by Python beside the source whenever it pleases.
_CACHE: Final = "__pycache__"
_FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) if sys.platform != "win32" else (28, 112)


@contextlib.contextmanager
def told(doing: str) -> Iterator[None]:
    """Turn a failure of the disk into one sentence; whoever is inside leaves nothing half-done."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        at = f" ({error.filename})" if error.filename else ""
        do = "make room" if error.errno in _FULL else "mend that"
        raise OperatorError(
            f"{doing} failed: {why}{at}; nothing was changed, {do} and run it again."
        ) from None


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_bytes(content: bytes) -> str:
    """SHA-256 of what a file holds."""
    return hashlib.sha256(content).hexdigest()


def copy(source: BinaryIO, target: Path, size: int) -> str:
    """Copy at most `size` + 1 bytes to a new file, flushed; return the SHA-256 of what came."""
    digest = hashlib.sha256()
    with target.open("wb") as file:
        for block in _blocks(source, size):
            digest.update(block)
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def digest_of(source: BinaryIO, size: int) -> str:
    """SHA-256 of at most `size` + 1 bytes: one byte too many is another content already."""
    digest = hashlib.sha256()
    for block in _blocks(source, size):
        digest.update(block)
    return digest.hexdigest()


def _blocks(source: BinaryIO, size: int) -> Iterator[bytes]:
    left = size + 1
    while left > 0 and (block := source.read(min(_BLOCK, left))):
        left -= len(block)
        yield block


def write(path: Path, content: bytes) -> None:
    """Write a new file and flush it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_all(folder: Path) -> None:
    """Flush every file and folder below one, so that a name given to it later is true."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            continue
        if path.is_dir():
            durable.flush_folder(path)
        else:
            durable.flush(path)
    durable.flush_folder(folder)


def rename(source: Path, target: Path) -> None:
    """Give something its final name, durably."""
    source.rename(target)
    durable.flush_folder(target.parent)


def remove(path: Path) -> None:
    """Remove a file or folder, whatever it is; nothing if it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def tree_of(folder: Path, *, with_cache: bool = False) -> dict[str, str]:
    """The digest of every file below a folder, by its path; of a link, of where it points."""
    found = {}
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not with_cache and _CACHE in parts:
            continue
        if path.is_symlink():
            found["/".join(parts)] = hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
        elif path.is_file():
            found["/".join(parts)] = digest_of_file(path)
    return found


def digest_of_folder(folder: Path, *, with_cache: bool = False) -> str:
    """One digest of all files below a folder; without what Python compiled unless asked for."""
    return tree_digest(tree_of(folder, with_cache=with_cache))
