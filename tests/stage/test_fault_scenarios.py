"""Every fault, survived by the whole daemon, with breaches before, during and after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.stage.trial import FILES, Trial, Trials, guarded

MUST_BE_ZERO: Final = (
    "late",
    "reversed",
    "reversed_by_race",
    "increased",
    "duplicate",
    "false",
    "orphan_orders",
)
#: What people must be told of, by scenario: a kind of record, and words in it.
TOLD: Final = {
    "new-account": ("alarm-raised", "unguarded account"),
}


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    with guarded(tmp_path_factory.mktemp("faults")) as found:
        yield found


@pytest.fixture(scope="module")
def played(trials: Trials, request: pytest.FixtureRequest) -> dict[str, Trial]:
    """All scenarios that were asked for, played."""
    wanted = {
        item.callspec.params["name"]
        for item in request.session.items
        if item.fspath == request.node.fspath and hasattr(item, "callspec")
    }
    return trials.run(sorted(wanted))


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_fault_is_survived(played: dict[str, Trial], name: str) -> None:
    trial = played[name]

    assert trial.refused == []
    assert trial.late == []
    assert trial.differences == []
    assert [row["text"] for row in trial.of("problem")] == []
    assert all(trial.breaches_by_phase()), trial.breaches_by_phase()


def test_the_referee_has_nothing_to_say_at_the_end(
    trials: Trials, played: dict[str, Trial]
) -> None:
    del played
    verdict: dict[str, Any] = trials.gateway.post("/finish", settle_s=6)

    assert {name: verdict[name] for name in MUST_BE_ZERO} == dict.fromkeys(MUST_BE_ZERO, 0), (
        verdict["problems"]
    )
    assert verdict["answered"] == verdict["breaches"]
