"""The service listener is told by one datagram, as systemd wants it; without one nobody is."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.supervisor.notifying import Notifier
from tests.operations import build

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="systemd's protocol is not there")


def local() -> socket.socket:
    """A socket of this machine, for datagrams."""
    return socket.socket(getattr(socket, "AF_UNIX", 1), socket.SOCK_DGRAM)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    """Who listens as systemd does."""
    with local() as door:
        door.bind(str(tmp_path / "notify"))
        door.settimeout(40)
        yield door


def told(door: socket.socket) -> list[str]:
    return door.recv(4096).decode().splitlines()


def test_each_word_is_a_datagram_of_its_own(listener: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": listener.getsockname(), "WATCHDOG_USEC": "10000000"})

    notifier.ready()
    notifier.lives()
    notifier.succeeded(4711)
    notifier.stopping()

    assert notifier.every_s == 5.0
    assert told(listener)[:2] == ["READY=1", f"MAINPID={os.getpid()}"]
    assert [told(listener) for _ in range(3)] == [["WATCHDOG=1"], ["MAINPID=4711"], ["STOPPING=1"]]


@pytest.mark.skipif(sys.platform != "linux", reason="names without a file are Linux's")
def test_a_socket_without_a_file_is_told_too() -> None:
    with local() as door:
        door.bind(f"\0risk-daemon-test-{os.getpid()}")
        door.settimeout(5)

        Notifier({"NOTIFY_SOCKET": f"@risk-daemon-test-{os.getpid()}"}).lives()

        assert told(door) == ["WATCHDOG=1"]


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "10000000"}, {"NOTIFY_SOCKET": "/nobody/listens", "WATCHDOG_USEC": "x"}],
)
def test_where_nobody_listens_nothing_is_hindered(environment: dict[str, str]) -> None:
    notifier = Notifier(environment)

    notifier.ready()

    assert notifier.every_s == 0.0


def test_a_supervisor_says_that_it_is_ready_lives_and_stops(
    listener: socket.socket, tmp_path: Path
) -> None:
    home = build.home(tmp_path / "home")
    running = subprocess.Popen(
        [sys.executable, "-m", "risk_daemon.programs.supervisor", "--home", str(home.path)],
        env={
            **os.environ,
            "NOTIFY_SOCKET": listener.getsockname(),
            "WATCHDOG_USEC": "400000",
        },
    )
    try:
        assert told(listener)[:2] == ["READY=1", f"MAINPID={running.pid}"]
        assert [told(listener) for _ in range(3)] == [["WATCHDOG=1"]] * 3
        running.send_signal(signal.SIGTERM)
        while (last := told(listener)) == ["WATCHDOG=1"]:
            pass
        assert last == ["STOPPING=1"]
    finally:
        running.terminate()
        assert running.wait(40) == 0
