"""Every fault, survived by the whole daemon, with breaches before, during and after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest

from risk_daemon.stage.waiting import pause
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
#: What people must be told of, by scenario: a kind of record, words in it, seconds at most.
TOLD: Final = {
    "account-disappears": ("account-missing", "", 5),
    "can-trade": ("lock-placed", "stopped this account from trading", 5),
    "contract-frozen": ("quote-aged", "stale", 15),
    "half-open": ("feed-changed", "does not answer", 5),
    "hubs-frozen": ("feed-changed", "does not answer", 5),
    "market-silent": ("quote-aged", "stale", 15),
    "new-account": ("alarm-raised", "unguarded account", 5),
    "session-taken": ("alarm-raised", "session taken", 5),
}
#: Half past four in Chicago, seen from ten in the morning: the daily break.
BREAK_S: Final = 6.5 * 3_600
BREAK_LASTS_S: Final = 8.0


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trials]:
    with guarded(tmp_path_factory.mktemp("faults")) as found:
        yield found


@pytest.fixture(scope="module")
def played(trials: Trials, request: pytest.FixtureRequest) -> dict[str, Trial]:
    """All scenarios that were asked for, played."""
    wanted = {
        str(value)
        for item in request.session.items
        if item.path == request.path and isinstance(item, pytest.Function)
        for value in (item.callspec.params if hasattr(item, "callspec") else {}).values()
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


@pytest.mark.parametrize("told", sorted(TOLD))
def test_people_are_told_of_a_fault_in_time(played: dict[str, Trial], told: str) -> None:
    kind, words, within_s = TOLD[told]
    after_s = played[told].told_after_s(kind, words)

    assert after_s is not None
    assert after_s <= within_s


def test_in_the_daily_break_silence_is_no_reason_to_connect_again(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with guarded(tmp_path_factory.mktemp("break"), shift_s=BREAK_S) as trials:
        trials.gateway.post("/market", moving=False)
        before = trials.gateway.get("/connections")
        pause(BREAK_LASTS_S)

        assert trials.gateway.get("/connections") == before
        assert trials.daemon.api("/health")["ok"]
