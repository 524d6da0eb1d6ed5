"""What the service manager is told: that it is ready, that it lives, that it stops.

systemd's protocol: one datagram to the socket named by NOTIFY_SOCKET. Where nobody asked for it
nothing is sent, and a service manager that does not listen hinders nobody.
Source: sd_notify(3), sd_watchdog_enabled(3).
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from typing import Final

SOCKET: Final = "NOTIFY_SOCKET"
WATCHDOG: Final = "WATCHDOG_USEC"


class Notifier:
    """Tells the service manager; nobody, where there is none."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get(SOCKET, "")
        said = environment.get(WATCHDOG, "")
        #: How often it wants to hear that we live, in seconds: twice in its time. 0: never.
        self.every_s = int(said) / 2e6 if self._address and said.isdigit() else 0.0

    def ready(self) -> None:
        """All is started; this process is the one to watch, also where another one was before."""
        self._send(f"READY=1\nMAINPID={os.getpid()}")

    def lives(self) -> None:
        """The loop turns."""
        self._send("WATCHDOG=1")

    def succeeded(self, pid: int) -> None:
        """Another process goes on, and is the one to watch."""
        self._send(f"MAINPID={pid}")

    def stopping(self) -> None:
        """It ends, in order."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        # A name that begins with @ is one without a file.
        address = f"\0{self._address[1:]}" if self._address[0] == "@" else self._address
        with (
            contextlib.suppress(OSError),
            socket.socket(getattr(socket, "AF_UNIX", 1), socket.SOCK_DGRAM) as door,
        ):
            door.setblocking(False)
            door.sendto(text.encode(), address)
