"""Commands as processes of their own, without the half second in which each loads the same.

    warm = Warm(folder)
    done = warm.run(["status"], environment, within_s=90.0)

A server has loaded the command line once, runs no command itself, and forks for
each: what runs is a process with its own arguments, environment and pipes, that
ends with its own exit code (docs/adr/0034). Only on Linux: elsewhere a fork is not safe.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

assert sys.platform == "linux"

_LENGTH: Final = struct.Struct("!I")
_CODE: Final = struct.Struct("!i")
_PID: Final = struct.Struct("!I")


class Warm:
    """The asking side; `close` ends the server."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._address = str(folder / "warm.sock")
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", self._address],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).resolve().parents[1],
            env=dict(environment),
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == b"ready\n"

    def run(
        self, words: Sequence[str], environment: Mapping[str, str], within_s: float
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, as `subprocess.run` does with nothing on its stdin."""
        asked = json.dumps([list(words), dict(environment), str(Path.cwd())]).encode()
        out, err = os.pipe(), os.pipe()
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(self._address)
            socket.send_fds(line, [_LENGTH.pack(len(asked))], [out[1], err[1]])
            os.close(out[1])
            os.close(err[1])
            line.sendall(asked)
            (pid,) = _PID.unpack(_exactly(line, _PID.size))
            try:
                said, talked = _drained((out[0], err[0]), within_s)
                line.settimeout(within_s)
                (code,) = _CODE.unpack(_exactly(line, _CODE.size))
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(words), within_s) from None
        return subprocess.CompletedProcess(list(words), code, said, talked)

    def close(self) -> None:
        """End the server; what it has started is not its own."""
        self._server.terminate()
        assert self._server.stdout is not None
        self._server.stdout.close()
        self._server.wait(20)


def _drained(pipes: tuple[int, int], within_s: float) -> tuple[str, str]:
    """Read both to their ends: like `subprocess.run`, until nobody holds the other end."""
    deadline = time.monotonic() + within_s
    found: dict[int, bytearray] = {pipe: bytearray() for pipe in pipes}
    try:
        with selectors.DefaultSelector() as open_ends:
            for pipe in pipes:
                open_ends.register(pipe, selectors.EVENT_READ)
            while open_ends.get_map():
                ready = open_ends.select(max(deadline - time.monotonic(), 0))
                if not ready:
                    raise TimeoutError
                for key, _ in ready:
                    piece = os.read(key.fd, 65536)
                    found[key.fd] += piece
                    if not piece:
                        open_ends.unregister(key.fd)
    finally:
        for pipe in pipes:
            os.close(pipe)
    said, talked = (found[pipe].decode() for pipe in pipes)
    return said, talked


def _exactly(line: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        piece = line.recv(size - len(found))
        assert piece, "the warm server has gone"
        found += piece
    return found


# --- the server ------------------------------------------------------------------------


def _serve(address: str) -> NoReturn:
    _load()
    # What a collection writes beside each object would be copied for each command.
    gc.collect()
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen()
        # Nobody waits for those in between: the system takes them.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        print("ready", flush=True)
        while True:
            line, _ = door.accept()
            if os.fork() == 0:
                door.close()
                _between(line)
            line.close()


def _load() -> None:
    """Load what commands load; nothing of it may do anything while it is loaded."""
    import asyncio  # noqa: F401
    import importlib
    import pkgutil

    import risk_daemon.cli
    import risk_daemon.operations

    for room in (risk_daemon.cli, risk_daemon.operations):
        for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
            importlib.import_module(module.name)


def _between(line: socket.socket) -> NoReturn:
    """Start the command, wait for its end, and tell its exit code as `subprocess` does."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, pipes, _, _ = socket.recv_fds(line, _LENGTH.size, 2)
    asked = _exactly(line, _LENGTH.unpack(head)[0])
    command = os.fork()
    if command == 0:
        line.close()
        _command(asked, pipes)
    for pipe in pipes:
        os.close(pipe)
    line.sendall(_PID.pack(command))
    _, status = os.waitpid(command, 0)
    with contextlib.suppress(OSError):
        line.sendall(_CODE.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _command(asked: bytes, pipes: Sequence[int]) -> NoReturn:
    """Become the command: its own words, environment, folder and pipes."""
    words, environment, folder = json.loads(asked)
    os.dup2(pipes[0], 1)
    os.dup2(pipes[1], 2)
    for pipe in pipes:
        os.close(pipe)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    time.tzset()
    sys.argv = ["risk-daemon-admin", *words]
    from risk_daemon.programs.admin import main

    sys.exit(main())


if __name__ == "__main__":
    _serve(sys.argv[1])
