"""The protective plans' two slots per account on the disk; written here, read by the protector.

The journal does not look into a plan: its active worker wrote it (`worker.plan`).
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from risk_daemon.journal import durable
from risk_daemon.protector import plan

TOPIC: Final = "plan"
#: Larger is no plan.
BYTES_MAX: Final = 1 << 16

_log = logging.getLogger("journal")


class Plans:
    """Keeps the newest plan of each account."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept: dict[int, tuple[int, bytes]] = {}

    def keep(self, account: int, body: bytes) -> None:
        """Write a plan that is new, into the older slot. What cannot be written is in the log."""
        slots = [self._folder / name for name in plan.names(account)]
        number, before = self._kept.get(account) or _newest(slots)
        if body == before or len(body) > BYTES_MAX or b"\n" in body:
            return
        number += 1
        try:
            durable.write(slots[number % 2], plan.line_of(number, body))
        except OSError as error:
            _log.warning("plan not kept", extra={"account": account, "why": str(error)})
            return
        self._kept[account] = number, body


def _newest(slots: list[Path]) -> tuple[int, bytes]:
    return plan.newest(path.read_bytes() for path in slots if path.is_file()) or (0, b"")
