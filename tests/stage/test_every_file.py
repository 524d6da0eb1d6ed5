"""Some files of a home damaged while they are in use; the whole of it is `./dev crash --files`."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.stage.every_file import EveryFile, files_of, in_words, treat
from tests.untraced import leave_children_untraced

leave_children_untraced()

SOME = ("state/journal.db", "run/processes.json", "run/link-every-file.addr", "run/console.json")


def test_a_daemon_whose_files_are_deleted_under_it_guards_its_accounts() -> None:
    verdict = EveryFile(
        lambda *_: None, only=SOME.__contains__, treatments=["delete"], moments=[True]
    ).run()

    assert verdict["problems"] == []
    assert (verdict["ok"], verdict["cases"]) == (True, len(SOME))


@pytest.mark.parametrize(
    ("how", "left"),
    [("corrupt", b"0123\xa5\xa5\xa5\xa5\xa5\xa5\xa5\xa5cdef"), ("cut", b"01234567")],
)
def test_a_file_is_corrupted_in_its_middle_and_cut_at_half(
    tmp_path: Path, how: str, left: bytes
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789abcdef")

    treat(path, how)

    assert path.read_bytes() == left


def test_keys_releases_and_what_was_set_aside_are_left_out(tmp_path: Path) -> None:
    for name in ("state/journal.db", "credentials/north", "releases/v1/x", "config/.git/HEAD"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x")

    assert files_of(tmp_path) == ["state/journal.db"]


def test_people_read_how_long_it_took_and_what_was_not_guarded() -> None:
    verdict = {"ok": False, "files": 2, "cases": 6, "worst_s": 7.5, "problems": ["home.json: x"]}

    assert in_words(verdict) == [
        "2 files, 6 cases; guarded again after 7.5 s at worst",
        "problem: home.json: x",
        "verdict: NOT ok",
    ]
