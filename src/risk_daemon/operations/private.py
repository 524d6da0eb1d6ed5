"""Who else may read a file of a home: by its mode where there are modes, else by its folder.

Windows has no modes: there a home is as private as the folder it was made in,
which is the operator's to choose, so nothing can be judged from here.
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path
from typing import Final

_OTHERS: Final = 0o077
CAN_BE_JUDGED: Final = sys.platform != "win32"


def open_to_others(path: Path) -> str:
    """Return the mode of a file or folder that others may use, else nothing."""
    if not CAN_BE_JUDGED:
        return ""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return ""
    return f"{mode:04o}" if mode & _OTHERS else ""
