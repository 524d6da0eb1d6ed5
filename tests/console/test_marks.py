"""Which records are marks on a graph."""

import pytest

from risk_daemon.console.marks import mark
from risk_daemon.core.events import (
    AlarmRaised,
    Entry,
    Fact,
    ProtectionDisabled,
    ProtectionEnabled,
    Pulse,
    RolloutNoted,
)


def noted(what: str, reason: str = "why") -> RolloutNoted:
    return RolloutNoted(rollout="r", what=what, actor="anna", reason=reason)


def alarm(level: str, what: str = "feed", audience: str = "") -> AlarmRaised:
    return AlarmRaised(account=1, level=level, what=what, text="blind", audience=audience)


@pytest.mark.parametrize(
    ("fact", "wanted"),
    [
        (noted("entered canary"), ("phase", "entered canary")),
        (noted("started"), ("phase", "started")),
        (noted("held"), ("alert", "rollout held: why")),
        (noted("aborting"), ("rollback", "aborting: why")),
        (noted("rolled back", ""), ("rollback", "rolled back")),
        (alarm("page"), ("alert", "blind")),
        (alarm("urgent", "told", "traders"), ("alert", "blind")),
        (ProtectionDisabled(by="anna", reason="x"), ("alert", "protection switched off by anna")),
        (ProtectionEnabled(by="anna"), ("phase", "protection switched on")),
    ],
)
def test_what_one_looks_for_on_a_time_axis_is_a_mark(fact: Fact, wanted: tuple[str, str]) -> None:
    found = mark(Entry(1, 5_000_000, 0, fact))
    assert found is not None
    assert (found.kind, found.text, found.at) == (*wanted, 5)


@pytest.mark.parametrize(
    "fact",
    [noted("heard Judged"), alarm("warn"), alarm("urgent", "rollout", "traders"), Pulse()],
)
def test_everything_else_is_none(fact: Fact) -> None:
    assert mark(Entry(1, 5, 0, fact)) is None
