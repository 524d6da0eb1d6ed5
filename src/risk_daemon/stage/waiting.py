"""Waiting for a condition with a deadline: the only way anything on a stage waits."""

from __future__ import annotations

import threading
from collections.abc import Callable

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.errors import TimedOut

_LOOK_EVERY_S = 0.02


def until(
    holds: Callable[[], bool], within_s: float, what: str, every_s: float = _LOOK_EVERY_S
) -> float:
    """Return the seconds until `holds`; TimedOut names what was waited for."""
    clock = Clock()
    began = clock.steady_ns()
    while not holds():
        if clock.steady_ns() - began > within_s * SECOND_NS:
            raise TimedOut(f"waited {within_s:g} s for {what}")
        pause(every_s)
    return (clock.steady_ns() - began) / SECOND_NS


def pause(seconds: float) -> None:
    """Let a moment pass."""
    threading.Event().wait(seconds)
