"""A drained account: its holder is silent from that record on, until it is ended or over."""

from __future__ import annotations

from risk_daemon.core.events import DrainAsked
from risk_daemon.worker.drain import MS_NS, Drains, Shown

NUMBER = 7


def asked(for_ms: int = 1_000, holder: str = "me") -> DrainAsked:
    return DrainAsked(account=NUMBER, holder=holder, epoch=1, release="v2", for_ms=for_ms)


def shown(seq: int = 5) -> Shown:
    return Shown(account=NUMBER, seq=seq, digest="d")


def drained(for_ms: int = 1_000) -> Drains:
    drains = Drains("me")
    assert not drains.take(asked(for_ms), at=100, shown=shown())
    return drains


def test_the_holder_falls_silent_and_shows_the_account_as_it_is() -> None:
    drains = drained()

    assert drains.is_silent(NUMBER)
    assert drains.shown(NUMBER) == shown()
    assert drains.shown(NUMBER + 1) is None


def test_who_does_not_hold_it_shows_it_too_and_has_nothing_to_end() -> None:
    drains = Drains("another")
    assert not drains.take(asked(), at=100, shown=shown())

    assert not drains.is_silent(NUMBER)
    assert drains.shown(NUMBER) == shown()
    assert not drains.take(asked(for_ms=0), at=200, shown=shown(6))


def test_an_ended_drain_lets_the_holder_go_on_once() -> None:
    drains = drained()

    assert drains.take(asked(for_ms=0), at=200, shown=shown(6))
    assert not drains.is_silent(NUMBER)
    assert not drains.take(asked(for_ms=0), at=201, shown=shown(7))


def test_a_new_lease_ends_it() -> None:
    drains = drained()

    drains.leased(NUMBER)
    drains.leased(NUMBER + 1)  # one that was not drained

    assert not drains.is_silent(NUMBER)


def test_a_drain_that_nobody_ends_is_over_by_itself_at_its_time() -> None:
    drains = drained(for_ms=3)
    end = 100 + 3 * MS_NS
    assert drains.wake_at() == end

    assert drains.over(end - 1) == []
    assert drains.over(end) == [NUMBER]

    assert (drains.is_silent(NUMBER), drains.wake_at(), drains.over(end)) == (False, 0, [])
