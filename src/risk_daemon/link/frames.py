"""The last messages of the hubs as they came: what another release's link is tried with.

Kept in memory only, and as bytes: what a handler makes of a message cannot change what was kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

KEPT: Final = 2_000
#: Well below what one answer may be (docs/formats/control.md).
BYTES_MAX: Final = 512 * 1_024

type Handler = Callable[..., None]


class Frames:
    """A ring of messages: each is msgpack of (event, arguments)."""

    def __init__(self) -> None:
        self._kept: deque[bytes] = deque()
        self._size = 0

    def noting(self, handlers: Mapping[str, Handler]) -> dict[str, Handler]:
        """Return the same handlers; each message is kept before it is handled."""
        return {event: self._noting(event, handler) for event, handler in handlers.items()}

    def _noting(self, event: str, handler: Handler) -> Handler:
        def noted(*arguments: object) -> None:
            self._note(event, arguments)
            handler(*arguments)

        return noted

    def _note(self, event: str, arguments: tuple[object, ...]) -> None:
        try:
            frame = msgspec.msgpack.encode((event, arguments))
        except (TypeError, OverflowError):
            return  # no message that could be sent again; the intake sets it aside
        self._kept.append(frame)
        self._size += len(frame)
        while len(self._kept) > KEPT or self._size > BYTES_MAX:
            self._size -= len(self._kept.popleft())

    def told(self) -> list[bytes]:
        """Return what is kept, oldest first."""
        return list(self._kept)
