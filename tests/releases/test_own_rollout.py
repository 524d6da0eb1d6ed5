"""The last test of a release: it takes over from the commit before by its own rollout, and back."""

from __future__ import annotations

from pathlib import Path

import pytest

from risk_daemon.stage.own_rollout import BEFORE, OwnRollout, in_words
from tests.untraced import leave_children_untraced

leave_children_untraced()

STEPS = [
    "the canary",
    "50 %",
    "100 %",
    "complete",
    "everything else follows",
    "every account goes back",
    "everything else goes back",
]


@pytest.mark.timeout(600)
def test_this_release_takes_over_from_the_one_before_and_gives_back(tmp_path: Path) -> None:
    verdict = OwnRollout(lambda _kind, _text: None).run(tmp_path / "own")

    assert verdict["problems"] == []
    assert [row["step"] for row in verdict["steps"]] == STEPS
    # One that breaks its limit in each phase, and whenever everything else has followed.
    assert verdict["answered"] == verdict["breaches"] == 6


def test_what_went_wrong_is_the_last_word() -> None:
    said = in_words(
        {
            "ok": False,
            "releases": [BEFORE, "v1.0.0"],
            "breaches": 3,
            "answered": 2,
            "problems": ["50 %: 2 of 3 accounts are held by it"],
        }
    )

    assert said[0].endswith("not as it should be")
    assert said[-1] == "problem: 50 %: 2 of 3 accounts are held by it"
