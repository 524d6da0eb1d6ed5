"""The scripts of the printed page: one line each, and a twin for Windows that says the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from risk_daemon.operations.releases.printed import SCRIPTS as IN_A_HOME

SCRIPTS = Path(__file__).parents[2] / "scripts"
SHELL = sorted(path.stem for path in SCRIPTS.glob("*.sh"))


@pytest.mark.parametrize("name", SHELL)
def test_a_script_is_one_line_that_calls_the_command_line(name: str) -> None:
    shebang, line = (SCRIPTS / f"{name}.sh").read_text().splitlines()

    assert shebang == "#!/bin/sh"
    assert line.startswith("exec risk-daemon-admin ")
    assert line.endswith(' "$@"')
    assert os.access(SCRIPTS / f"{name}.sh", os.X_OK)


@pytest.mark.parametrize("name", SHELL)
def test_its_twin_says_the_same_and_passes_the_exit_code_on(name: str) -> None:
    line = (SCRIPTS / f"{name}.sh").read_text().splitlines()[1]
    said = line.removeprefix("exec ").removesuffix(' "$@"')

    twin = (SCRIPTS / f"{name}.ps1").read_text().splitlines()

    assert twin == [f"{said} @args", "exit $LASTEXITCODE"]


def test_no_twin_is_alone() -> None:
    assert sorted(path.stem for path in SCRIPTS.glob("*.ps1")) == SHELL
    assert len(SHELL) >= 8


def test_a_home_has_the_same_scripts_with_the_same_words() -> None:
    here = {name: (SCRIPTS / f"{name}.sh").read_text().splitlines()[1] for name in SHELL}

    assert here == {
        name: f'exec risk-daemon-admin {words} "$@"' for name, words in IN_A_HOME.items()
    }
