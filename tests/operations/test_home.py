"""A home belongs to one machine, one environment and one daemon at a time."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from risk_daemon.errors import NotFound, Refused, UsageError
from risk_daemon.operations import home as homes
from risk_daemon.operations.home import About, Home
from tests.operations.build import CREATED


def test_a_home_is_chosen_by_flag_then_variable_then_platform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RISK_DAEMON_HOME", raising=False)
    assert homes.choose(None).path == homes.default_path()

    monkeypatch.setenv("RISK_DAEMON_HOME", str(tmp_path / "named"))
    assert homes.choose(None).path == tmp_path / "named"
    assert homes.choose(tmp_path / "given").path == tmp_path / "given"


def test_what_a_home_says_of_itself_is_read_back(tmp_path: Path) -> None:
    made = homes.create(Home(tmp_path / "h"), "demo", CREATED, "files")

    assert homes.open_home(Home(tmp_path / "h")) == made
    assert (tmp_path / "h").stat().st_mode & 0o777 == 0o700


def test_an_existing_home_is_never_made_again(tmp_path: Path) -> None:
    home = Home(tmp_path / "h")
    homes.create(home, "demo", CREATED, "files")
    before = home.about.read_bytes()

    with pytest.raises(Refused, match=r"is a home already \(demo\); nothing was changed"):
        homes.create(home, "production", CREATED, "env")
    assert home.about.read_bytes() == before


def test_a_place_that_cannot_be_a_home_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(UsageError, match="can't be made: Not a directory"):
        homes.create(Home(tmp_path / "file" / "h"), "demo", CREATED, "files")


def test_where_there_is_no_home_the_next_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="run `risk-daemon-admin init --home"):
        homes.read(Home(tmp_path))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "can't be read"),
        ("[]", "is not of format 1"),
        ('{"format": 2}', "is not of format 1: a newer release made this home"),
        ('{"format": 1, "environment": "demo"}', "is damaged: created, host, credentials"),
        (
            '{"format": 1, "environment": "x", "created": "", "host": "", "credentials": ""}',
            "is damaged: environment",
        ),
    ],
)
def test_a_damaged_home_is_refused(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "home.json").write_text(text)

    with pytest.raises(UsageError, match=expected):
        homes.read(Home(tmp_path))


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_text("{")])
def test_a_home_that_lost_its_file_is_known_by_the_second_copy_and_made_whole(
    tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    home = Home(tmp_path / "h")
    about = homes.create(home, "demo", CREATED, "files")

    for path in (home.about, home.about_again):
        damage(path)
        assert homes.read(home) == about
        assert homes.open_home(home) == about
        assert home.about.read_text() == home.about_again.read_text()


def test_a_home_copied_from_another_machine_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path)
    homes.write(home, About("demo", CREATED, "another-machine", "files"))

    with pytest.raises(Refused, match=r"was made on another machine.*--moved"):
        homes.open_home(home)


def test_a_configuration_of_another_environment_is_refused(tmp_path: Path) -> None:
    about = About("demo", CREATED, "here", "files")

    homes.check_environment(Home(tmp_path), about, "demo")
    with pytest.raises(Refused, match=r"is a demo home.*environment: production"):
        homes.check_environment(Home(tmp_path), about, "production")


def test_a_second_daemon_on_a_home_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from risk_daemon.operations import home as h;"
        "held = h.lock(h.Home(Path(sys.argv[1]))); print('held', flush=True); sys.stdin.read()"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert first.stdout is not None
    assert first.stdout.readline().strip() == b"held"

    with pytest.raises(Refused, match=f"already .*process {first.pid}.*nothing was started"):
        homes.lock(Home(tmp_path))

    first.kill()
    first.communicate()
    homes.lock(Home(tmp_path)).release()


def test_the_machine_is_named_the_same_every_time() -> None:
    assert homes.host_fingerprint() == homes.host_fingerprint()
    assert len(homes.host_fingerprint()) == 16


def test_home_json_is_json(tmp_path: Path) -> None:
    homes.create(Home(tmp_path / "h"), "staging", CREATED, "environment")

    assert json.loads((tmp_path / "h" / "home.json").read_text())["environment"] == "staging"
