"""Putting a restored state in place: from any point at which it is cut off, it ends the same."""

import json
from pathlib import Path

import pytest

from risk_daemon.errors import OperatorError
from risk_daemon.journal import swap

WHEN = "20260101T000000000Z"
AWAY = ("state/journal.db-wal", "state/journal.db", "state/locks-0.txt", "config")
INTO = ("state/journal.db", "state/locks-0.txt", "config")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def prepared(home: Path) -> None:
    """An old state with a log, and a new one beside it; one more file that is nobody's business."""
    home.mkdir()
    for name in ("state/journal.db-wal", "state/journal.db", "config/policy.yaml", "state/other"):
        write(home / name, f"old {name}")
    staging = swap.begin(home)
    for name in ("state/journal.db", "state/locks-0.txt", "config/policy.yaml", "home.json"):
        write(staging / name, f"new {name}")


def moves(home: Path) -> list[tuple[Path, Path]]:
    """Every move of the plan, in its order."""
    aside, staging = home / swap.ASIDE / WHEN, home / swap.STAGING
    out = [(home / name, aside / name) for name in AWAY if (home / name).exists()]
    return out + [(staging / name, home / name) for name in INTO]


def assert_swapped(home: Path) -> None:
    aside = home / swap.ASIDE / WHEN
    assert (home / "state/journal.db").read_text() == "new state/journal.db"
    assert (home / "state/locks-0.txt").read_text() == "new state/locks-0.txt"
    assert (home / "config/policy.yaml").read_text() == "new config/policy.yaml"
    assert (home / "state/other").read_text() == "old state/other"
    assert not (home / "state/journal.db-wal").exists()
    kept = {str(path.relative_to(aside)) for path in aside.rglob("*") if path.is_file()}
    assert kept == {"state/journal.db", "state/journal.db-wal", "config/policy.yaml"}
    assert all((aside / name).read_text() == f"old {name}" for name in kept)
    assert not (home / swap.STAGING).exists()
    assert not swap.is_begun(home)


def test_a_swap_moves_the_old_aside_and_the_new_in(tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepared(home)

    assert swap.commit(home, WHEN, AWAY, INTO) == home / swap.ASIDE / WHEN

    assert_swapped(home)


@pytest.mark.parametrize("done", range(7))
def test_one_that_was_cut_off_is_finished(tmp_path: Path, done: int) -> None:
    home = tmp_path / "home"
    prepared(home)
    plan = {"format": 1, "when": WHEN, "away": AWAY, "into": INTO}
    write(home / swap.STAGING / "plan.json", json.dumps(plan))
    order = moves(home)
    assert len(order) == 6
    for source, target in order[:done]:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)
    assert swap.is_begun(home)

    swap.finish(home)

    assert_swapped(home)


def test_before_it_is_decided_nothing_has_moved_and_the_next_begins_anew(tmp_path: Path) -> None:
    home = tmp_path / "home"
    prepared(home)
    assert not swap.is_begun(home)

    staging = swap.begin(home)

    assert list(staging.iterdir()) == []
    assert (home / "state/journal.db").read_text() == "old state/journal.db"
    swap.abandon(home)
    assert not staging.exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"when": "x"}'])
def test_a_plan_that_cannot_be_read_moves_nothing_and_says_where_things_are(
    tmp_path: Path, text: str
) -> None:
    home = tmp_path / "home"
    prepared(home)
    write(home / swap.STAGING / "plan.json", text)

    with pytest.raises(OperatorError, match="a restore was interrupted") as said:
        swap.finish(home)

    assert str(home / swap.ASIDE) in said.value.sentence
    assert (home / "state/journal.db").read_text() == "old state/journal.db"
