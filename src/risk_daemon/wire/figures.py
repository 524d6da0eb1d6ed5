"""PURE: what the worker that holds accounts tells of its own work, about once a second.

Published through the journal like a view, never stored; who looks after the daemon's health (the
console) adds it up over its windows. Latencies are µs, from the instant at which the journal took a
record until this worker had decided on it: the queue between the two is part of them.
"""

from __future__ import annotations

from typing import Final

import msgspec

TOPIC: Final = "figures"
#: So many latencies of each turn are told, the first ones; what was decided is counted whole.
LATENCIES_MAX: Final = 256


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of one worker; `upto` is the last record that it is about, which tells turns apart.

    `failed` are the records on which a rule raised. An account that could not be folded is no work
    of anybody: that is an alarm of its own.
    """

    worker: str
    release: str
    upto: int
    decided: int = 0
    failed: int = 0
    latencies_us: tuple[int, ...] = ()


class Meter:
    """Counts one worker's turns."""

    def __init__(self, worker: str, release: str) -> None:
        self._worker, self._release = worker, release
        self._decided = self._failed = 0
        self._latencies: list[int] = []

    def took(self, took_ns: int, *, failed: bool) -> None:
        """Count a record that was decided so long after it was stored.

        Before it was stored it can't have been: then somebody set the clock, and it tells nothing.
        """
        self._decided += 1
        self._failed += failed
        if took_ns >= 0 and len(self._latencies) < LATENCIES_MAX:
            self._latencies.append(took_ns // 1_000)

    def turn(self, upto: int) -> Figures | None:
        """End a turn at a record; None where nothing was decided in it."""
        if not self._decided:
            return None
        told = Figures(
            worker=self._worker,
            release=self._release,
            upto=upto,
            decided=self._decided,
            failed=self._failed,
            latencies_us=tuple(self._latencies),
        )
        self._decided = self._failed = 0
        self._latencies = []
        return told


def encode_figures(figures: Figures) -> bytes:
    """Write them as they are published."""
    return msgspec.json.encode(figures)


def decode_figures(payload: bytes) -> Figures:
    """Read them."""
    return msgspec.json.decode(payload, type=Figures)
