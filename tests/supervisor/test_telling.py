"""Who enforces what, as people are told: the lease, and what the holder's heartbeat says."""

from __future__ import annotations

from risk_daemon.supervisor.promotion import Lease, State
from risk_daemon.supervisor.telling import accounts
from risk_daemon.wire.heart import Heartbeat

STATE = State(accounts=(1, 2), leases=(Lease(1, "worker-1@v1", 4, "v1"),))


def beat(*enforcing: tuple[int, int]) -> dict[str, tuple[int, Heartbeat]]:
    one = Heartbeat("worker-1@v1", "v1", 10, seq=7, is_ready=True, enforcing=enforcing)
    return {"worker-1@v1": (1_000, one)}


def test_an_account_is_enforced_when_its_holder_says_so_at_its_epoch() -> None:
    row = accounts(STATE, beat((1, 4)), "v0")[0]

    assert (row["holder"], row["epoch"], row["release"]) == ("worker-1@v1", 4, "v1")
    assert (row["enforcing"], row["why"]) == (True, "")


def test_another_epoch_or_no_heartbeat_is_no_proof() -> None:
    for beats in (beat((1, 3)), beat((2, 4)), {}):
        row = accounts(STATE, beats, "v0")[0]

        assert row["enforcing"] is False
        assert row["why"] == "worker-1@v1 does not say that it enforces it"


def test_an_account_without_a_lease_is_told_of_too() -> None:
    row = accounts(STATE, {}, "v0")[1]

    assert row == {
        "account": 2,
        "holder": None,
        "epoch": 0,
        "release": "v0",
        "enforcing": False,
        "why": "no lease yet",
    }
