"""Messages on their way to the sockets: the gaps that tear one fill into several messages.

Pure. Per login the order of posting is kept (one user hub is one stream) unless a fault says
otherwise. What a fault withholds "never" is simply lost, as with the live gateway.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush
from random import Random

from risk_daemon.sim.faults import FaultBoard
from risk_daemon.sim.model import Message
from risk_daemon.sim.moment import NS_PER_MS
from risk_daemon.sim.profile import Profile, draw_ns

_REORDER_MS = (0.0, 60.0)
_WITHHELD = {"trade": "withhold_trades", "position": "withhold_positions"}


class Outbox:
    """A queue in time, one stream per login."""

    def __init__(self, rng: Random, profile: Profile, faults: FaultBoard) -> None:
        self.profile = profile
        self._rng = rng
        self._faults = faults
        self._due: list[tuple[int, int, str, Message]] = []
        self._last_ns: dict[str, int] = {}
        self._count = 0

    def post(self, login: str, messages: Iterable[Message], now_ns: int) -> None:
        """Send these messages, each a small gap after the one before."""
        for message in messages:
            self._post_one(login, message, now_ns)

    def take_due(self, now_ns: int) -> list[tuple[str, Message]]:
        """What leaves now, oldest first."""
        out: list[tuple[str, Message]] = []
        while self._due and self._due[0][0] <= now_ns:
            _, _, login, message = heappop(self._due)
            out.append((login, message))
        return out

    def next_due_ns(self) -> int | None:
        """When the next message leaves, or None."""
        return self._due[0][0] if self._due else None

    def _post_one(self, login: str, message: Message, now_ns: int) -> None:
        kind = _WITHHELD.get(message.kind)
        held = self._faults.find(kind, now_ns, login, message.account) if kind else None
        if held is not None:
            if held.options.get("deliver", "late") == "late":
                self._push(held.ends_ns, login, message)
            return
        if self._faults.find("reorder", now_ns, login, message.account):
            self._push(now_ns + draw_ns(self._rng, _REORDER_MS), login, message)
            return
        due = max(now_ns, self._last_ns.get(login, 0)) + draw_ns(self._rng, self.profile.gap_ms)
        self._last_ns[login] = due
        self._push(due, login, message)
        if self._is_doubled(login, message, now_ns):
            self._push(due + NS_PER_MS, login, message)

    def _is_doubled(self, login: str, message: Message, now_ns: int) -> bool:
        if self._faults.find("duplicates", now_ns, login, message.account):
            return True
        return self._rng.random() < self.profile.duplicates

    def _push(self, due_ns: int, login: str, message: Message) -> None:
        self._count += 1
        heappush(self._due, (due_ns, self._count, login, message))
