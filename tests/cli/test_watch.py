"""`status --watch`: a picture about every second, whatever runs, until Ctrl-C ends it with 0."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pytest

from tests.cli.conftest import Admin
from tests.operations.conftest import process

posix = pytest.mark.skipif(sys.platform == "win32", reason="a pseudo terminal is POSIX")


@contextmanager
def watching(admin: Admin, *words: str, out: Any = subprocess.PIPE) -> Iterator[Any]:
    """Run the command until the end of the block."""
    running = subprocess.Popen(
        [sys.executable, "-m", "risk_daemon.programs.admin", "status", "--watch", *words],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "RISK_DAEMON_HOME": str(admin.home.path), "TERM": "xterm"},
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait(20)
        for pipe in (running.stdout, running.stderr):
            if pipe is not None:
                pipe.close()


def objects(out: IO[str], number: int) -> list[dict[str, Any]]:
    """The next JSON lines."""
    return [json.loads(out.readline()) for _ in range(number)]


def end(running: "subprocess.Popen[str]") -> int:
    running.send_signal(signal.SIGINT)
    return running.wait(20)


def test_json_lines_come_about_once_a_second_and_ctrl_c_is_no_error(admin: Admin) -> None:
    with watching(admin, "--json") as running:
        first = objects(running.stdout, 1)[0]
        began = time.monotonic()
        more = objects(running.stdout, 3)
        took = time.monotonic() - began

        assert end(running) == 0

    assert sorted(first) == ["data", "error", "ok", "schema_version"]
    assert {one["data"]["state"] for one in (first, *more)} == {"down"}
    assert [one["data"]["at"] for one in more] == sorted(one["data"]["at"] for one in more)
    assert took > 2.0


def test_with_the_daemon_down_it_says_so_and_sees_what_comes(admin: Admin) -> None:
    with watching(admin, "--json") as running:
        assert objects(running.stdout, 1)[0]["data"]["state"] == "down"
        with process("journal", admin.home, "journal.ready"):
            deadline = time.monotonic() + 20
            while objects(running.stdout, 1)[0]["data"].get("last_seq", 0) == 0:
                assert time.monotonic() < deadline, "the stream is not seen"
        assert objects(running.stdout, 2)[1]["data"]["state"] == "down"
        assert end(running) == 0


def test_into_a_pipe_each_look_is_a_block_of_its_own(admin: Admin) -> None:
    with watching(admin) as running:
        lines = [running.stdout.readline() for _ in range(4)]
        assert end(running) == 0

    assert lines[0].startswith("--- ")
    assert "Chicago" in lines[0]
    assert lines[1] == "down: the daemon is not running and has never run here\n"
    assert lines[2].startswith("--- ")


def test_a_reader_that_has_seen_enough_ends_it_without_a_trace(admin: Admin) -> None:
    with watching(admin) as running:
        running.stdout.readline()
        running.stdout.close()

        assert running.wait(20) == 0
        assert running.stderr.read() == ""


def test_where_no_home_is_there_is_nothing_to_watch(nobody: Admin) -> None:
    said = nobody.told(5, "status", "--watch")

    assert "there is no home at" in said.err
    assert not nobody.home.path.exists()


@posix
def test_on_a_terminal_the_picture_is_drawn_in_place_and_the_last_one_stays(admin: Admin) -> None:
    if sys.platform == "win32":
        return
    ours, theirs = os.openpty()
    with watching(admin, out=theirs) as running:
        os.close(theirs)
        seen = _read_until(ours, b"has never run here", 2)
        assert end(running) == 0
        seen += _rest(ours)
    os.close(ours)

    text = seen.decode()
    assert "\x1b[?1049h" in text
    assert "Ctrl-C ends" in text
    assert "down: the daemon is not running and has never run here" in text.split("\x1b[?1049l")[1]


def _read_until(handle: int, word: bytes, times: int) -> bytes:
    seen, deadline = b"", time.monotonic() + 20
    while seen.count(word) < times:
        assert time.monotonic() < deadline, seen
        seen += os.read(handle, 4_096)
    return seen


def _rest(handle: int) -> bytes:
    seen = b""
    try:
        while part := os.read(handle, 4_096):
            seen += part
    except OSError:  # the other end is closed
        pass
    return seen
