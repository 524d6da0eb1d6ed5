"""What is asked of a staged release before it gets an account; as processes: tests/releases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from risk_daemon.depot import staging
from risk_daemon.errors import OperatorError, Refused
from risk_daemon.operations.home import Home
from risk_daemon.operations.releases.fitting import refuse_unfit
from tests.operations import build

VERSION = "v1.0.0"
FITS = {"records": [1, 1], "snapshots": [3, 3], "state_file": [1, 1]}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home with a staged release, and a state file that can't be looked at."""
    made = build.home(tmp_path / "home")
    folder = made.releases / VERSION
    folder.mkdir(parents=True)
    (folder / staging.STAGED).write_text("{}")
    (folder / "manifest.json").write_text(json.dumps({"schemas": FITS}))
    made.state.mkdir(exist_ok=True)
    (made.state / "journal.db").write_text("this is no database" * 300)
    return made


def test_a_file_that_can_not_be_looked_at_holds_up_the_way_there_and_not_the_way_back(
    home: Home,
) -> None:
    with pytest.raises(OperatorError, match="can't be read"):
        refuse_unfit(home, VERSION, is_back=False)

    refuse_unfit(home, VERSION, is_back=True)


@pytest.mark.parametrize("is_back", [False, True])
def test_where_nothing_has_run_yet_every_release_fits(home: Home, is_back: bool) -> None:
    (home.state / "journal.db").unlink()

    refuse_unfit(home, VERSION, is_back=is_back)


@pytest.mark.parametrize("is_back", [False, True])
def test_a_manifest_without_proper_ranges_is_refused_both_ways(home: Home, is_back: bool) -> None:
    (home.releases / VERSION / "manifest.json").write_text('{"schemas": {"records": "all"}}')

    with pytest.raises(Refused, match="was signed for can't be read"):
        refuse_unfit(home, VERSION, is_back=is_back)


def test_what_is_not_staged_is_the_supervisors_to_know(home: Home) -> None:
    refuse_unfit(home, "v7.0.0", is_back=False)
