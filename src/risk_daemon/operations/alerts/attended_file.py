"""Keeps `state/attended.json`: acknowledgements and silences; commands write, the console reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from risk_daemon.errors import OperatorError, Refused
from risk_daemon.journal.exclusive import Hold
from risk_daemon.operations.alerts.attended import Attended
from risk_daemon.operations.home import Home
from risk_daemon.wire.transport import write_private

FILE: Final = "attended.json"
LOCK: Final = "attended.lock"


def read(at: Home) -> Attended:
    """Read it; nothing is attended where nothing can be read: then people hear more, not less."""
    try:
        return msgspec.json.decode((at.state / FILE).read_bytes(), type=Attended)
    except (OSError, msgspec.MsgspecError):
        return Attended()


def change(at: Home, how: Callable[[Attended], Attended]) -> Attended:
    """Change it, durably, one command after the other."""
    with _alone(at):
        after = how(read(at))
        write_private(at.state / FILE, msgspec.json.encode(after))
        return after


@contextmanager
def _alone(at: Home) -> Iterator[None]:
    try:
        hold = Hold(at.state / LOCK)
    except Refused:
        raise OperatorError(
            "another command acknowledges or silences just now; nothing was changed. Try again."
        ) from None
    try:
        yield
    finally:
        hold.release()
