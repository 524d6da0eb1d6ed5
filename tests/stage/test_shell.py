"""The shell that lines are typed into: what one exports, and what is shown at the root."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from risk_daemon.stage.shell import Shell, rooted


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(str(tmp_path), {"PATH": os.environ["PATH"]})


def test_a_line_begins_where_the_shell_stands(shell: Shell, tmp_path: Path) -> None:
    assert shell.type("pwd", 1.0) == (0, f"{tmp_path}\n")


def test_what_a_line_exports_is_there_for_the_next(shell: Shell) -> None:
    assert not shell.has("NAMED")
    assert shell.type('export NAMED="two words"', 1.0) == (0, "")

    assert shell.has("NAMED")
    assert shell.type('echo "$NAMED"', 1.0) == (0, "two words\n")


def test_an_export_that_fails_changes_nothing(shell: Shell) -> None:
    code, _ = shell.type("export 1=2", 1.0)

    assert code != 0
    assert not shell.has("1")


def test_a_line_that_fails_says_why_and_with_which_code(shell: Shell) -> None:
    assert shell.type("echo out; echo why >&2; exit 3", 1.0) == (3, "out\nwhy\n")


def test_a_folder_is_shown_at_its_place_to_who_types_and_to_nobody_else(tmp_path: Path) -> None:
    place, folder = "/shown-by-this-test", tmp_path / "folder"
    folder.mkdir()
    prefix = rooted(tmp_path / "root", {place: folder}, place)
    typing = Shell(place, {"PATH": os.environ["PATH"]}, prefix)

    seen = typing.type("pwd; echo words > file; ls /", 5.0) if prefix else None

    assert not Path(place).exists()
    # Where no mount namespace may be made nothing is shown, and the proof says so.
    assert (folder / "file").exists() == bool(prefix)
    if seen is not None:
        code, out = seen
        assert code == 0
        assert out.splitlines()[0] == place
        assert {"tmp", place.strip("/")} <= set(out.splitlines())
