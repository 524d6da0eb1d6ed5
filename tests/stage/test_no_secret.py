"""A key is where it was put and nowhere else: no log, record, argument, environment or bundle."""

from __future__ import annotations

import contextlib
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from risk_daemon.errors import OperatorError
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.waiting import until
from tests.untraced import leave_children_untraced

leave_children_untraced()

CROWD = Crowd(1, 2)
KEY = f"a-key-of-{CROWD.login(0)}"
#: Where a person put it.
ITS_PLACE = "credentials"


@pytest.fixture(scope="module")
def played() -> Iterator[tuple[Gateway, Daemon]]:
    """A daemon that has logged in, answered a breach, failed to log in, and been asked things."""
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "secret", CROWD, 5, None)
        daemon.start()
        hold(gateway, CROWD.accounts(), LIMIT)
        order = {"account": CROWD.accounts()[0], "contract": "MNQ", "side": "buy", "size": 2}
        gateway.post("/order", **order, type="market")
        until(lambda: bool(gateway.get("/requests")["requests"]), 20, "the breach to be met")
        for words in (("credentials", "check"), ("test-connection",), ("status", "--show-events")):
            said = daemon.run(*words)
            assert KEY not in said.out + said.err
        daemon.run("restart").ok()
        yield gateway, daemon


def found_in(daemon: Daemon) -> set[str]:
    """Name every file, process and bundle entry of a home in which the key can be read."""
    files = [one for one in daemon.home.rglob("*") if one.is_file() and not one.is_socket()]
    found = {
        one.relative_to(daemon.home).as_posix()
        for one in files
        if one.relative_to(daemon.home).parts[0] != ITS_PLACE and KEY.encode() in content(one)
    }
    for name, process in daemon.processes().items():
        with contextlib.suppress(psutil.Error):
            told = " ".join([*process.cmdline(), *process.environ().values()])
            if KEY in told:
                found.add(f"process {name}")
    return found


def content(file: Path) -> bytes:
    """What a file holds; one that is gone by now holds nothing."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return b""


def bundle(daemon: Daemon) -> set[str]:
    """Name every entry of a support bundle in which the key can be read."""
    file = daemon.home.parent / "support.zip"
    daemon.run("doctor", "--bundle", str(file))
    with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as opened:
        return {name for name in opened.namelist() if KEY.encode() in opened.read(name)}


def test_the_key_is_there_at_all(played: tuple[Gateway, Daemon]) -> None:
    _, daemon = played

    holders = [one for one in (daemon.home / ITS_PLACE).iterdir() if KEY.encode() in content(one)]

    assert holders, "the daemon logged in with another key than the one that is looked for"


def test_a_key_that_was_spilled_is_found(played: tuple[Gateway, Daemon]) -> None:
    _, daemon = played
    spilled = daemon.home / "logs" / "spilled.log"
    spilled.write_text(f'{{"event": "login", "key": "{KEY}"}}\n')

    try:
        assert found_in(daemon) == {"logs/spilled.log"}
    finally:
        spilled.unlink()


def test_it_is_in_no_file_no_process_and_no_bundle(played: tuple[Gateway, Daemon]) -> None:
    _, daemon = played

    assert found_in(daemon) == set()
    assert bundle(daemon) == set()


def test_a_login_that_is_refused_does_not_tell_it(played: tuple[Gateway, Daemon]) -> None:
    gateway, daemon = played
    with contextlib.suppress(OperatorError):
        gateway.post("/key", user=CROWD.login(0), api_key="another-one")

    said = daemon.run("credentials", "check")

    assert KEY not in said.out + said.err
    assert found_in(daemon) == set()
