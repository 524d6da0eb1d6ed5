"""Whatever traders do: the same code never differs, and what differs is put right again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as some

from risk_daemon.core.events import Pulse
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.world import Parser, state_hash
from risk_daemon.rules import CATALOG
from tests.build import MS, order, rule
from tests.worker.two import NEW, OLD, Two, changed, lease, limit

RULES: Final = (
    rule("kill-switch"),
    rule("max-contracts", limit=3),
    rule("max-contracts-per-instrument", "alert", limits={"MNQ": 2}),
    rule("daily-realized-loss", limit="500", warn_at=["0.5"]),
)
CANDIDATES: Final = (
    changed("max-contracts", limit(UNIT)),
    changed("max-contracts", limit(-UNIT)),
    changed("daily-realized-loss", limit(150 * UNIT)),
    changed("daily-realized-loss", limit(-150 * UNIT)),
)
MOVES: Final = some.lists(
    some.one_of(
        some.tuples(some.just("fill"), some.sampled_from([-2, -1, 1, 2]), some.integers(-4, 3)),
        some.tuples(some.just("order"), some.sampled_from([-1, 1]), some.integers(1, 3)),
        some.tuples(some.just("wait"), some.integers(1, 2_700), some.just(0)),
        some.tuples(some.just("answer"), some.just(0), some.just(0)),
        some.tuples(some.just("fail over"), some.just(0), some.just(0)),
        some.tuples(some.just("restart"), some.integers(0, 1), some.just(0)),
    ),
    max_size=25,
)


def played(
    catalog: Mapping[str, Parser], moves: list[tuple[str, int, int]], *, is_late: bool
) -> Two:
    both, epoch = Two(catalog).open(*RULES), 1
    both.is_late = is_late
    for number, (what, one, other) in enumerate(moves):
        match what:
            case "fill":
                both.fill(1 if one > 0 else -1, abs(one), pnl=other * 100 * UNIT)
            case "order":
                both.feed(order(1_000 + number, one, other, limit_price=21_000 * UNIT))
            case "wait":
                for step in (one // 3, one // 3, one // 3):
                    both.feed(Pulse(), after=step * MS)
            case "answer" if both.goals() and both.is_open:
                both.answered()
            case "fail over":
                epoch += 1
                both.feed(lease(epoch, OLD, f"worker-{epoch}@{OLD}"))
            case "restart":
                assert both.restart(one) == []
            case _:
                pass
    both.is_late = False
    both.feed(Pulse())
    both.pulse(45)
    return both


@settings(max_examples=60, deadline=None)
@given(MOVES, some.booleans())
def test_the_same_code_agrees_or_nobody_can_tell(
    moves: list[tuple[str, int, int]], is_late: bool
) -> None:
    both = played(CATALOG, moves, is_late=is_late)

    assert set(both.verdicts) <= {"agrees", "unseen"}
    assert both.reseeds == []
    assert both.is_alike


@settings(max_examples=60, deadline=None)
@given(some.integers(0, len(CANDIDATES) - 1), MOVES, some.booleans())
def test_what_differs_is_put_right_and_the_account_can_go_there(
    candidate: int, moves: list[tuple[str, int, int]], is_late: bool
) -> None:
    both = played(CANDIDATES[candidate], moves, is_late=is_late)

    assert both.is_alike
    before = state_hash(both.candidate)
    assert both.restart() == []
    assert state_hash(both.candidate) == before
    both.feed(lease(99, NEW))
    assert both.candidate.shadow is None
