"""A daemon, and people who type: its own commands, and the lines of the brief as they stand."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from risk_daemon.operations.home import Home
from risk_daemon.stage.daemon import Daemon, Done
from risk_daemon.stage.gateway import Gateway

ROOT: Final = Path(__file__).resolve().parents[2]
WITHIN_S: Final = 120.0


class Typed:
    """A scene of a running daemon, at which commands are typed."""

    def __init__(self, gateway: Gateway, daemon: Daemon) -> None:
        self.gateway, self.daemon, self.home = gateway, daemon, Home(daemon.home)

    def run(self, *words: str) -> Done:
        """Type a command of the daemon."""
        return self.daemon.run(*words, within_s=WITHIN_S)

    def type(self, line: str) -> Done:
        """Type a line of the brief, as it stands on the page."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=ROOT,
            env=self.daemon.environment | {"RISK_DAEMON_HOME": str(self.home.path), "PATH": path},
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        return Done((line,), done.returncode, done.stdout, done.stderr)
