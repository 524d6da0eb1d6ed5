"""What goes wrong, where: drawn from a seed and written down, or played back from a tape.

Every effect of every process, every message and every beat of trouble is a *point*,
numbered in the order in which it is reached. A tape names points and what happened
there. So a history can be played again, and with fewer faults.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

#: Beside `--seed`, so that one seed gives independent streams of chance.
CONCERNS: Final = ("faults", "latency", "market", "traders", "moves")


class Fault(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """At a point: a kind of fault, and how much of it (of what, the kind says)."""

    point: int
    kind: str
    amount: int = 0


class Offer(msgspec.Struct, frozen=True, gc=False):
    """What may go wrong at a kind of point: how often, and the kinds with the span of amounts."""

    rate: float
    kinds: tuple[tuple[str, int, int], ...]


class Chance:
    """Decides at each point; `tape` None draws, else it is played back."""

    def __init__(self, seed: int, tape: Sequence[Fault] | None, density: float = 1.0) -> None:
        self._draw = random.Random(f"{seed} faults").random
        self._tape = None if tape is None else {fault.point: fault for fault in tape}
        self._density = density
        self.points = 0
        self.is_healed = False
        self.drawn: list[Fault] = []
        self.counts: Counter[str] = Counter()

    def at(self, offer: Offer) -> Fault | None:
        """Pass a point: return what goes wrong there, None for nothing."""
        self.points += 1
        if self.is_healed:
            return None
        if self._tape is not None:
            return self._played(self._tape.get(self.points), offer)
        draw = self._draw
        if draw() >= offer.rate * self._density:
            return None
        kind, least, most = offer.kinds[int(draw() * len(offer.kinds))]
        amount = least + int(draw() * (most - least)) if most > least else least
        fault = Fault(self.points, kind, amount)
        self.drawn.append(fault)
        return fault

    def _played(self, fault: Fault | None, offer: Offer) -> Fault | None:
        """Return what a tape says if it may come here: effects may have been others then."""
        if fault is None or all(kind != fault.kind for kind, _, _ in offer.kinds):
            return None
        return fault

    def count(self, kind: str) -> None:
        """A fault took place: without it the history would have gone otherwise from here."""
        self.counts[kind] += 1


def streams(seed: int) -> Mapping[str, random.Random]:
    """Return one generator per concern."""
    return {name: random.Random(f"{seed} {name}") for name in CONCERNS}
