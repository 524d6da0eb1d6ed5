"""The command on PATH is that of the release which holds the most accounts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from risk_daemon.operations.home import Home
from risk_daemon.operations.releases.following import NAME, TRADERS, pick, write_commands
from risk_daemon.stage.second_release import install
from tests.depot.build import Recipe
from tests.depot.conftest import Releases
from tests.depot.leases import lease
from tests.operations import build as homes

SAYS = ("operations/which_release.py", "return f\"v{installed_version('risk-daemon')}\"")


def test_the_one_with_the_most_accounts_is_followed() -> None:
    held = {"v1.0.0": [1, 2], "v1.1.0": [3]}

    assert pick(held, ["v1.0.0", "v1.1.0", "v1.2.0"]) == "v1.0.0"
    assert pick(held, ["v1.1.0", "v1.2.0"]) == "v1.1.0"


def test_of_several_the_newest_is_followed() -> None:
    assert pick({"v1.0.0": [1], "v1.1.0": [2]}, ["v1.1.0", "v1.0.0"]) == "v1.0.0"
    assert pick({}, ["v1.0.0", "v1.1.0"]) == "v1.1.0"
    assert pick({"v1.0.0": [1]}, []) == ""


def staged(home: Home, version: str) -> None:
    install(home.path, version, (*SAYS, f'return "{version}"'))


def said(home: Home, *words: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run the launcher as people do: by a link on PATH, from anywhere."""
    link = home.path.parent / NAME
    if not link.is_symlink():
        link.symlink_to(home.path / "bin" / NAME)
    known = {k: v for k, v in os.environ.items() if k != "RISK_DAEMON_HOME"}
    done = subprocess.run(
        [link, *words], capture_output=True, text=True, check=False, env={**known, **(env or {})}
    )
    return done.returncode, done.stdout, done.stderr


pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there the launcher is a .cmd")


@pytest.fixture
def two(tmp_path: Path) -> Home:
    """A home in a folder with a blank in its name, with two releases, the second staged last."""
    home = homes.home(tmp_path / "a home" / "home")
    staged(home, "v9.0.0")
    staged(home, "v9.1.0")
    os.utime(home.releases / "v9.0.0" / "staged.json", ns=(1, 1))
    write_commands(home)
    return home


def test_the_launcher_becomes_the_release_that_holds_the_accounts(two: Home) -> None:
    assert said(two, "--version") == (0, "v9.1.0\n", "daemon not running\n")

    lease(two, "v9.0.0", 1, 2)

    assert said(two, "--version") == (0, "v9.0.0\n", "daemon not running\n")


def test_exit_codes_and_words_are_those_of_the_command(two: Home) -> None:
    code, out, err = said(two, "why", "no such", "--reason=a b")

    assert (code, out) == (2, "")
    assert "--reason" in err


def test_a_home_that_is_named_is_followed_and_not_the_launchers_own(
    two: Home, tmp_path: Path
) -> None:
    other = homes.home(tmp_path / "other")
    staged(other, "v8.0.0")

    assert said(two, "--version", "--home", str(other.path))[1] == "v8.0.0\n"
    assert said(two, f"--home={other.path}", "--version")[1] == "v8.0.0\n"
    assert said(two, "--version", env={"RISK_DAEMON_HOME": str(other.path)})[1] == "v8.0.0\n"


def test_a_state_file_that_can_not_be_read_does_not_stop_a_command(two: Home) -> None:
    (two.state / "journal.db").write_bytes(b"no database at all, but long enough " * 100)

    assert said(two, "--version")[:2] == (0, "v9.1.0\n")


def test_a_half_copied_release_is_not_followed(two: Home) -> None:
    (two.releases / "v9.1.0" / "staged.json").unlink()

    assert said(two, "--version")[:2] == (0, "v9.0.0\n")


def test_without_any_release_it_says_so(tmp_path: Path) -> None:
    home = homes.home(tmp_path / "home")
    write_commands(home)

    code, out, err = said(home, "--version")

    assert (code, out) == (5, "")
    assert f"no release is staged in {home.path}" in err


def test_staging_puts_the_launcher_into_the_home(releases: Releases, tmp_path: Path) -> None:
    releases.added(tmp_path / "made", Recipe())

    assert f"{NAME} follows the release" in releases.told(0, "stage", "v1.0.0").err

    assert os.access(releases.home.path / "bin" / NAME, os.X_OK)


def test_a_traders_launcher_is_beside_it_and_knows_its_home(two: Home) -> None:
    known = {k: v for k, v in os.environ.items() if k != "RISK_DAEMON_HOME"}
    words = [str(two.path / "bin" / TRADERS), "why", "ONE"]

    done = subprocess.run(words, capture_output=True, text=True, check=False, env=known)

    assert done.returncode == 8
    assert "1 ONE: you may trade\n" in done.stdout


@pytest.mark.parametrize(
    ("standing", "script"),
    [("home", "./scripts/send_alert.sh"), ("home/scripts", "./send_alert.sh"), ("..", "sh")],
)
def test_the_scripts_of_the_printed_page_are_in_the_home_and_know_it(
    two: Home, standing: str, script: str
) -> None:
    where = two.path if standing == "home" else two.path / standing.removeprefix("home/")
    words = [script] if script != "sh" else ["sh", str(two.path / "scripts" / "send_alert.sh")]
    known = {k: v for k, v in os.environ.items() if k not in ("RISK_DAEMON_HOME", "PATH")}

    done = subprocess.run(
        [*words, "--dry-run", "Back in ten minutes"],
        cwd=where,
        capture_output=True,
        text=True,
        check=False,
        env={**known, "PATH": "/usr/bin:/bin"},
    )

    assert done.returncode == 0, done.stderr
    assert "traders: would be told" in done.stdout
