"""How commands wait for what others do: they look, pause, and say what they wait for."""

from __future__ import annotations

import threading

from risk_daemon.cli.show import talk
from risk_daemon.clock import Clock
from risk_daemon.operations.running.lifecycle import Waiting


def waiting(within_s: float = 0.0) -> Waiting:
    """A wait on a terminal; `within_s` 0 where the command itself knows for how long."""
    never = threading.Event()

    def pause(seconds: float) -> None:
        never.wait(seconds)

    return Waiting(Clock(), pause, within_s, talk)
