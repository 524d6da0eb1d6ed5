"""Whose a home is, where root acts on it: what root has written must not lock its owner out.

A service is root's to install and to start, and the daemon runs as the owner of the home.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from risk_daemon.operations.home import Home

#: What commands of root write into another's home. The state file is only ever written by daemons.
_WRITTEN = ("bin", "config", "run", "logs", "service.json", "home.json")


def is_anothers(at: Home) -> bool:
    """Whether root acts on a home that is somebody else's."""
    return sys.platform != "win32" and os.geteuid() == 0 and at.path.stat().st_uid != 0


def give_back(at: Home) -> None:
    """Give what root has written to the home's owner; nothing where nobody else's home it is."""
    if sys.platform == "win32" or not is_anothers(at):
        return
    owner = at.path.stat()
    for name in _WRITTEN:
        top = at.path / name
        for path in (top, *_below(top)):
            # Never through a link: it may lead out of the home.
            if path.is_symlink() or not path.exists() or path.lstat().st_uid != 0:
                continue
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _below(top: Path) -> list[Path]:
    return sorted(top.rglob("*")) if top.is_dir() and not top.is_symlink() else []
