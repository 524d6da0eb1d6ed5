"""The `release` commands as people run them, on a home and a depot of their own."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from risk_daemon.depot.store import Depot
from risk_daemon.operations.home import Home
from tests.cli.conftest import Admin, Said
from tests.depot import build
from tests.operations import build as homes


@dataclass(frozen=True)
class Releases:
    """A home that trusts the test's key, its depot, and the command between them."""

    admin: Admin
    depot: Path

    @property
    def home(self) -> Home:
        return self.admin.home

    def told(self, code: int, *words: str) -> Said:
        """Run `release ...`; it must end with this exit code."""
        return self.admin.told(code, "release", *words)

    def refused(self, code: int, *words: str) -> str:
        """Run `release ...`, which must change nothing; what it says, in one sentence."""
        before = self.contents()

        said = self.told(code, *words)

        assert said.out == ""
        assert self.contents() == before
        talk = [line for line in said.err.splitlines() if line.startswith("risk-daemon-admin:")]
        assert len(talk) == 1, said.err
        assert "Traceback" not in said.err
        return talk[0]

    def contents(self) -> dict[str, bytes]:
        """Every file of home and depot, but for those that come and go with a look at them."""
        both = {**homes.contents(self.home.path), **homes.contents(self.depot)}
        passing = ("lock", "-shm", "-wal")
        return {name: content for name, content in both.items() if not name.endswith(passing)}

    def added(self, folder: Path, recipe: build.Recipe) -> Path:
        """Bring a small release in, as `add` does."""
        made = build.release(folder, recipe)
        depot = Depot(self.depot)
        depot.add(made, [build.KEY.trusted, build.STRANGER.trusted], 1, "tester", lambda _: None)
        with depot.changing():
            depot.remember(self.home.path)
        return made


def releases_at(folder: Path) -> Releases:
    home = homes.home(folder / "home")
    home.trusted_keys.write_text(f"{build.KEY.trusted.text}\n")
    depot = folder / "depot"
    return Releases(Admin(home, {"RISK_DAEMON_DEPOT": str(depot)}), depot)


@pytest.fixture
def nobody(tmp_path: Path) -> Admin:
    """A place where no home is."""
    return Admin(Home(tmp_path / "none"), {})


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    """A home nobody runs, and an empty depot."""
    return releases_at(tmp_path)
