"""A real journal on a scratch home."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from risk_daemon.operations.home import Home
from tests.operations import build


@contextmanager
def process(module: str, home: Home, ready: str, *args: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program of the daemon until the end of the block; it must end in order."""
    words = [sys.executable, "-m", f"risk_daemon.programs.{module}", "--home", str(home.path)]
    running = subprocess.Popen([*words, *args])
    try:
        wait_for(home.run / ready, running)
        yield running
    finally:
        running.terminate()
        assert running.wait(20) == 0


def wait_for(path: Path, running: subprocess.Popen[bytes]) -> None:
    """Wait until a process has written that it is ready, or has died."""
    deadline = time.monotonic() + 20
    while not path.exists():
        assert running.poll() is None, f"ended with {running.returncode}"
        assert time.monotonic() < deadline, f"no {path.name}"
        time.sleep(0.02)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home nobody runs."""
    return build.home(tmp_path / "home")


@pytest.fixture
def journal(home: Home) -> Iterator[Home]:
    """The home, with its journal running."""
    with process("journal", home, "journal.ready"):
        yield home
