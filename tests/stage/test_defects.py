"""The planted defects: they fit the source as it is, and the referee notices them."""

import ast
from pathlib import Path

import pytest

from risk_daemon.errors import NotFound, OperatorError
from risk_daemon.stage import defects
from risk_daemon.stage.defects import DEFECTS, Defect, Patch
from risk_daemon.stage.scenes import Evening

NAMES = [defect.name for defect in DEFECTS]
TEN = 10


def of(name: str) -> Defect:
    return defects.named(name)[0]


def broken(patch: Patch) -> Defect:
    """A defect whose one patch is this."""
    return Defect(
        name="broken",
        sentence="",
        patches=(patch,),
        told_by="",
        tells=bool,
    )


def test_there_are_ten_and_each_has_a_name_of_its_own() -> None:
    assert len(set(NAMES)) == TEN


@pytest.mark.parametrize("name", NAMES)
def test_a_defect_fits_the_source_as_it_is_and_leaves_it_readable(
    name: str, tmp_path: Path
) -> None:
    defects.plant(of(name), tmp_path)

    planted = tmp_path / "risk_daemon"
    changed = [
        path
        for path in planted.rglob("*.py")
        if path.read_text() != (defects.PACKAGE / path.relative_to(planted)).read_text()
    ]
    assert changed
    for path in changed:
        ast.parse(path.read_text())


@pytest.mark.parametrize(
    ("old", "found"), [("this text is nowhere", "found 0 times"), ("return", "found")]
)
def test_a_patch_that_does_not_fit_exactly_once_is_an_error(
    old: str, found: str, tmp_path: Path
) -> None:
    with pytest.raises(OperatorError, match=found):
        defects.plant(broken(Patch("core", old, "")), tmp_path)


def test_a_name_that_no_defect_has_is_answered_with_those_there_are() -> None:
    with pytest.raises(NotFound, match="there is no defect 'mised'; there are all, missed, late"):
        defects.named("mised")


def test_names_may_be_listed_and_all_means_all() -> None:
    assert defects.named("late,missed") == (of("late"), of("missed"))
    assert defects.named("all") == DEFECTS


@pytest.mark.parametrize("name", ["reversed", "costs-ignored"])
def test_the_referee_says_no_to_a_daemon_with_a_defect(name: str) -> None:
    shown = defects.show_one(of(name))

    assert shown.noticed, shown.problem


def test_a_sound_daemon_is_ok_on_both_sides_of_the_trade_days_end() -> None:
    shown = defects.control(Evening)

    assert shown.noticed, shown.problem
