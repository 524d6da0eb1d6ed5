"""Who leaves next: goals that wait for the budget, closes before cancels. No loop, no clock.

The desk of a link is this with the loop of its process around it; the simulator of the protocol
(`proving`) is this with a loop of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from risk_daemon.broker import budget as rationing
from risk_daemon.broker import fence
from risk_daemon.broker.port import REFUSED, THROTTLED, UNAUTHORIZED, Outcome, Request
from risk_daemon.core.events import Intended

_FIRST: Final = {"close": 0, "reduce": 0, "resize": 1, "cancel": 2}
KEYS_MAX: Final = 10_000
#: What a request without budget is answered with: it did not leave.
KEPT: Final = Outcome(outcome=REFUSED, code=429, meaning=THROTTLED, text="own budget")


class Waiting:
    """Goals in the order of their leaving, each taken in once."""

    def __init__(
        self,
        budget: rationing.Budget,
        now: Callable[[], int],
        apply: Callable[[fence.Input], object],
        on_unauthorized: Callable[[], None],
        release_of: Callable[[int], str] = lambda _: "",
        left_at: Callable[[str], int | None] = lambda _: None,
    ) -> None:
        """`left_at` tells when an earlier link let a goal's request out, if one did."""
        self._release_of, self._left_at = release_of, left_at
        self._budget, self._now, self._apply = budget, now, apply
        self._on_unauthorized = on_unauthorized
        self._waiting: list[tuple[int, int, Intended, bool]] = []
        self._keys: dict[str, None] = {}
        self._count = 0
        self._reserved = 0

    def take(self, intended: Intended, *, by_person: bool = False) -> bool:
        """Take a goal in, once per key: it may come by the stream and directly.

        One whose request left before this link began is looked for, not sent again.
        """
        if intended.key in self._keys:
            return False
        left_at = self._left_at(intended.key)
        if left_at is not None:
            self.look_for(intended, left_at)
            return False
        self.know(intended.key)
        self._count += 1
        rank = _FIRST.get(intended.goal.act, 3)
        self._waiting.append((rank, self._count, intended, by_person))
        return True

    def look_for(self, intended: Intended, left_at: int) -> None:
        """Take over a goal that may have left: wherever it comes from again, it is not sent."""
        self.know(intended.key)
        self._apply(fence.Resumed(intended, left_at))

    def know(self, key: str) -> None:
        """Count a goal as taken in: nothing is to be done for it."""
        self._keys[key] = None
        if len(self._keys) > KEYS_MAX:
            del self._keys[next(iter(self._keys))]

    def knows(self, key: str) -> bool:
        """Tell whether a goal of this key was taken in."""
        return key in self._keys

    @property
    def waiting(self) -> int:
        """Goals that wait for the budget."""
        return len(self._waiting)

    def pump(self) -> int:
        """Hand goals to the fence while the budget lets requests out, each release's in order.

        Return when to go on, or 0: nobody waits.
        """
        self._waiting.sort(key=lambda item: item[:2])
        refused: set[str] = set()
        while (item := self._first(refused)) is not None:
            _, _, intended, by_person = item
            looks = intended.goal.act == "look"
            now, release = self._now(), self._whose(intended, by_person=by_person)
            if not looks and not rationing.take(
                self._budget, rationing.ENFORCEMENT, now, release=release
            ):
                refused.add(release)
                continue
            self._waiting.remove(item)
            self._reserved = 0 if looks else 1
            self._apply(fence.Decided(intended, by_person))
            if self._reserved:
                rationing.give_back(self._budget, rationing.ENFORCEMENT, release)
                self._reserved = 0
        now = self._now()
        return max(rationing.free_at(self._budget, now), now + 1_000_000) if refused else 0

    def _first(self, refused: set[str]) -> tuple[int, int, Intended, bool] | None:
        """Return the first goal that waits, of no release that has to wait for its turn."""
        for item in self._waiting:
            if self._whose(item[2], by_person=item[3]) not in refused:
                return item
        return None

    def _whose(self, intended: Intended, *, by_person: bool) -> str:
        return "" if by_person else self._release_of(intended.account)

    def may_leave(self, request: Request) -> bool:
        """Tell whether a request the fence let out has budget; it uses what was kept for it."""
        if self._reserved:
            self._reserved = 0
            return True
        release = self._release_of(request.account)
        return rationing.take(self._budget, rationing.ENFORCEMENT, self._now(), release=release)

    def answered(self, request: Request, outcome: Outcome) -> None:
        """Take the broker's answer to a request that left."""
        rationing.answer(
            self._budget,
            rationing.ENFORCEMENT,
            self._now(),
            throttled=outcome.meaning == THROTTLED,
        )
        if outcome.meaning == UNAUTHORIZED:
            self._on_unauthorized()
        self._apply(fence.Answered(request, outcome))
