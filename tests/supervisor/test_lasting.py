"""Which releases are known for holding accounts well: told once, kept on the disk, read back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from risk_daemon.clock import FakeClock
from risk_daemon.settings import Login, Settings
from risk_daemon.supervisor import process, promotion
from risk_daemon.supervisor.lasting import GOOD, ORDERS, Resorts
from risk_daemon.supervisor.promotion import Lease

OLD, NEW = "v1.0.0", "v2.0.0"


class Desk:
    """As much of a supervisor as is asked here; nothing runs."""

    def __init__(self, home: Path) -> None:
        (home / "state").mkdir()
        self.home, self.release = home, OLD
        login = Login(name="north", user="north", credentials="env", accounts=(1, 2))
        self.settings = Settings(environment="demo", logins=(login,))
        self.clock = FakeClock()
        self.promotion = promotion.State(accounts=(1, 2))
        self.children: dict[str, process.Child] = {}
        self.beats: dict[str, object] = {}

    def holds(self, *releases: str) -> None:
        """Have a worker of each release hold an account, for a while already."""
        names = {release: f"worker-1@{release}" for release in releases}
        leases = [Lease(n, names[one], 1, one) for n, one in enumerate(releases, start=1)]
        self.promotion = promotion.State(accounts=(1, 2), leases=tuple(leases))
        running = process.Phase.RUNNING
        self.children = {
            name: process.Child(name=name, phase=running, since=0) for name in names.values()
        }
        self.beats = dict.fromkeys(names.values())

    def good(self) -> list[str]:
        path = self.home / "state" / GOOD
        return list(json.loads(path.read_bytes())["releases"]) if path.exists() else []


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def of(desk: Desk) -> Resorts:
    found = Resorts(desk)  # type: ignore[arg-type]
    found.begin(is_protecting=False)
    return found


def test_a_release_is_good_once_it_has_held_accounts_for_a_while(desk: Desk) -> None:
    resorts = of(desk)
    desk.holds(OLD)

    resorts.look(process.STAYED_UP - 1)
    assert desk.good() == []
    resorts.look(process.STAYED_UP)
    assert desk.good() == [OLD]


def test_of_two_that_hold_accounts_both_are_good_and_told_once(desk: Desk) -> None:
    resorts = of(desk)
    desk.holds(OLD)
    resorts.look(process.STAYED_UP)
    desk.holds(OLD, NEW)
    resorts.look(process.STAYED_UP)
    written = (desk.home / "state" / GOOD).stat().st_mtime_ns

    resorts.look(process.STAYED_UP)

    assert desk.good() == [OLD, NEW]
    assert (desk.home / "state" / GOOD).stat().st_mtime_ns == written


def test_who_has_them_all_again_is_the_last_good_one(desk: Desk) -> None:
    resorts = of(desk)
    for holders in ((NEW,), (OLD, NEW), (OLD,), (OLD,)):
        desk.holds(*holders)
        resorts.look(process.STAYED_UP)

    assert desk.good() == [NEW, OLD]


@pytest.mark.parametrize("damaged", [b"", b"[]", b"{", b'{"releases": 7}'])
def test_a_damaged_file_is_none_and_is_written_anew(desk: Desk, damaged: bytes) -> None:
    (desk.home / "state" / GOOD).write_bytes(damaged)
    resorts = of(desk)
    desk.holds(OLD)

    resorts.look(process.STAYED_UP)

    assert desk.good() == [OLD]


def test_whom_to_guard_is_written_down_at_the_start(desk: Desk) -> None:
    of(desk)

    told = json.loads((desk.home / "state" / ORDERS).read_bytes())
    assert [login["accounts"] for login in told["logins"]] == [[1, 2]]
