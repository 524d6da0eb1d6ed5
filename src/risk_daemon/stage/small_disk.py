"""A real file system of a few mebibytes, which can be filled.

A tmpfs in a mount namespace of one's own: it needs no right of the machine's, and nothing of it is
left when the processes in it have ended.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from risk_daemon.errors import OperatorError

MEBIBYTE: Final = 1 << 20
FILLER: Final = "filler"
_ALONE: Final = ("unshare", "--map-root-user", "--mount")
_MOUNTED: Final = 'mount -t tmpfs -o size="$1" none "$2" && shift 2 && exec "$@"'


def words(size: int, folder: Path, command: Sequence[str]) -> list[str]:
    """Return the words that run a command with so many bytes of file system at a folder."""
    return [*_ALONE, "sh", "-c", _MOUNTED, "sh", str(size), str(folder), *command]


def is_possible(folder: Path) -> bool:
    """Tell whether this system lets anybody mount one."""
    if sys.platform != "linux":
        return False
    tried = subprocess.run(words(MEBIBYTE, folder, ["true"]), capture_output=True, check=False)
    return tried.returncode == 0


def mount(size: int, folder: Path) -> None:
    """Mount one here, in this process's own namespace (`alone`). Raises OperatorError."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OperatorError(f"no small file system can be mounted: {done.stderr.strip()}")


def unmount(folder: Path) -> None:
    """Take it away, as soon as nobody uses it."""
    subprocess.run(["umount", "--lazy", str(folder)], check=False)  # noqa: S607


def alone(command: Sequence[str]) -> list[str]:
    """Return the words that run a command in a mount namespace of its own."""
    return [*_ALONE, *command]


def inside(pid: int, path: Path) -> Path:
    """Return a path as a process sees it."""
    return Path(f"/proc/{pid}/root{path}")


def fill(folder: Path, leave: int = 0) -> None:
    """Write until the disk is full, then leave so many bytes free."""
    path = folder / FILLER
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 18)):
            pass
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(1 << 12)):
            pass
    os.truncate(path, max(path.stat().st_size - leave, 0))


def free(folder: Path) -> None:
    """Make room again."""
    (folder / FILLER).unlink(missing_ok=True)
