"""How the two releases are made, and what is said where they can't be."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from risk_daemon.depot import making
from risk_daemon.errors import NotFound, OperatorError
from risk_daemon.stage import two_releases
from risk_daemon.stage.two_releases import CHANGES, Change, checkout_of, edited, previous
from tests.depot import build
from tests.releases.conftest import Wheels


def test_the_changed_one_has_every_change_and_says_what_it_can_live_with(wheels: Wheels) -> None:
    with zipfile.ZipFile(wheels.changed) as opened:
        texts = {
            name: opened.read(f"risk_daemon/{name}").decode()
            for name in {change.file for change in CHANGES}
        }

    assert all(change.new in texts[change.file] for change in CHANGES)
    schemas = making.schemas_of(texts["schemas.py"])
    assert schemas.state_file[0] < schemas.state_file[1]
    assert schemas.snapshots[0] < schemas.snapshots[1]
    assert making.version_of(wheels.changed.name) == two_releases.CHANGED
    assert making.version_of(wheels.previous.name) != two_releases.CHANGED


def test_a_checkout_without_history_is_named(tmp_path: Path) -> None:
    checkout = build.checkout(tmp_path / "one")

    with pytest.raises(NotFound, match=r"has no commit before .*: a clone without its history"):
        previous(checkout, tmp_path / "previous")


def test_the_commit_before_is_taken_and_not_what_lies_there(tmp_path: Path) -> None:
    checkout = build.checkout(tmp_path / "one", says="First.")
    package = checkout / "src" / "risk_daemon" / "__init__.py"
    package.write_text('"""Second."""\n')
    build.commit(checkout, "src/risk_daemon/__init__.py")
    package.write_text('"""Third."""\n')

    made = previous(checkout, tmp_path / "previous")

    assert "First." in (made / "src" / "risk_daemon" / "__init__.py").read_text()


def test_outside_of_a_checkout_nothing_is_made(tmp_path: Path) -> None:
    package = tmp_path / "lib" / "packages" / "risk_daemon"
    package.mkdir(parents=True)

    with pytest.raises(NotFound, match="two releases are made from a checkout with its history"):
        checkout_of(package)


def test_a_change_that_does_not_fit_any_more_is_named() -> None:
    change = Change("rules/any.py", "a < b", "a <= b")

    assert edited(change, "if a < b:") == "if a <= b:"
    for text in ("if a <= b:", "a < b or a < b"):
        with pytest.raises(OperatorError, match=r"rules/any\.py has 'a < b' . times, not once"):
            edited(change, text)
