"""Releases as the supervisor sees them: an interpreter each, and a pair of workers.

A worker's name contains its release: a lease names its holder, and two releases must never mean
the same worker.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from risk_daemon.errors import NotFound

WORKER: Final = "worker-"


def workers_of(release: str) -> tuple[str, str]:
    """Name the pair of a release: one enforces, the other is warm, or both are."""
    return f"{WORKER}1@{release}", f"{WORKER}2@{release}"


def is_worker(name: str) -> bool:
    """Tell whether a process is a worker."""
    return name.startswith(WORKER)


def release_of(name: str) -> str:
    """Return the release in a worker's name, empty for another process."""
    return name.partition("@")[2] if is_worker(name) else ""


def interpreter(home: Path, release: str, own: str) -> str:
    """Return the Python of a release: its own environment, or ours if it is the one running here.

    Raises NotFound when the release is not staged in this home.
    """
    folder = home / "releases" / release
    names = ("Scripts/python.exe", "bin/python") if sys.platform == "win32" else ("bin/python",)
    for name in names:
        # Written last: a folder without it is half a copy (docs/formats/release.md).
        if (folder / "staged.json").exists() and (folder / name).exists():
            return str(folder / name)
    if release == own:
        return sys.executable
    raise NotFound(
        f"release {release} is not staged here: there is no {folder};"
        " `risk-daemon-admin release list` shows what is"
    )
