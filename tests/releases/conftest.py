"""The two releases of `stage.two_releases`, made once for all tests here; a daemon with both."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.stage import two_releases
from risk_daemon.stage.daemon import Done
from risk_daemon.stage.second_release import build, python_of, unpack
from tests.supervisor.test_failover import ACCOUNT, Scene
from tests.untraced import untraced_children

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Wheels:
    """Their wheels, and what they are called."""

    previous: Path
    changed: Path


class Pair(Scene):
    """A daemon of this checkout, with the workers of both releases."""

    def __init__(self, folder: Path, wheels: Wheels) -> None:
        self.old = unpack(folder / "home", wheels.previous)
        self.new = unpack(folder / "home", wheels.changed)
        super().__init__(folder)

    def release(self) -> str:
        """The release that enforces the account; empty if none says that it does."""
        (row,) = asked.status(Home(self.daemon.home))["accounts"]
        return str(row["release"]) if row["enforcing"] else ""

    def command(self, verb: str, version: str, *words: str) -> Done:
        return self.daemon.run(verb, "--to-version", version, *(words or ("--all",)))

    def pids_of(self, release: str) -> dict[str, int]:
        return {name: pid for name, pid in self.pids().items() if name.endswith(f"@{release}")}

    def in_release(self, release: str, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a program of a release on this home."""
        return in_release(self.daemon.home, release, *words, "--home", str(self.daemon.home))


def in_release(home: Path, release: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python_of(home, release)), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture(scope="module", autouse=True)
def _untraced() -> Iterator[None]:
    """Moves have people's deadlines: whole daemons run here as people run them."""
    with untraced_children():
        yield


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    folder = tmp_path_factory.mktemp("two")
    previous = two_releases.previous(ROOT, folder / "previous")
    changed = two_releases.changed(ROOT, folder / "changed")
    return Wheels(build(previous, folder / "one"), build(changed, folder / "other"))


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, wheels: Wheels) -> Iterator[Pair]:
    found = Pair(tmp_path_factory.mktemp("pair"), wheels)
    try:
        yield found
    finally:
        found.close()


__all__ = ["ACCOUNT", "Pair", "Wheels", "in_release"]
