"""Two controllers in every order: what keeps an account off an aborted release, what does not."""

import pytest

from risk_daemon.proving.two_controllers import ALL, EPOCH, LATCH, RAISE, check


@pytest.mark.parametrize("protections", [ALL, frozenset({EPOCH, RAISE}), frozenset({EPOCH, LATCH})])
def test_with_an_epoch_and_one_thing_more_no_order_leaves_it_on_the_aborted_release(
    protections: frozenset[str],
) -> None:
    found = check(protections, crashes=0, timeouts=0)

    assert (found.ends, found.path) == (("aborted",), ())
    assert found.states > 5_000


@pytest.mark.parametrize("protections", [frozenset(), frozenset({EPOCH}), frozenset({RAISE})])
def test_without_it_the_shortest_way_there_is_found(protections: frozenset[str]) -> None:
    found = check(protections, crashes=0, timeouts=0)

    assert found.path == (
        "first writes canary",
        "first writes canary",
        "first is told to abort",
        "first writes aborting",
        "first switches to v2",
        "first writes aborted",
    )


def test_a_switch_of_a_dead_controller_is_found_too() -> None:
    found = check(frozenset({EPOCH}), crashes=2, aborts=1, timeouts=1)

    assert found.path
    assert found.ends == ("aborted",)
