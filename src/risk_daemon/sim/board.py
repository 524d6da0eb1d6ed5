"""The markets as the referee sees them: as they are, as delivered per login, and of late.

Truth is the exchange's own quote board. Delivered is what left on a market hub of the login since
it subscribed, as far as it is believable. *Of late* are the extremes that any order of arrival may
still show somebody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from risk_daemon.sim.believed import Believed
from risk_daemon.sim.contracts import CATALOGUE
from risk_daemon.sim.model import Quote
from risk_daemon.sim.trip import ARRIVAL_NS


class Board:
    """Quotes of all contracts."""

    def __init__(self) -> None:
        self.quotes: Mapping[str, Quote] = {}
        self._late: dict[str, deque[tuple[int, Quote]]] = {}
        self._delivered: dict[tuple[str, str], Believed] = {}

    def moved(self, contract: str, quote: Quote, now_ns: int) -> None:
        """The market moved, in truth."""
        late = self._late.setdefault(contract, deque())
        late.append((now_ns, quote))
        # The one before the oldest kept was in force when the half second began.
        while len(late) > 1 and now_ns - late[1][0] > ARRIVAL_NS:
            late.popleft()

    def quoted(self, login: str, contract: str, quote: Quote, now_ns: int) -> bool:
        """A quote left on a market hub; whether what is believed changed."""
        if contract not in CATALOGUE:
            return False
        key = (login, contract)
        if key not in self._delivered:
            self._delivered[key] = Believed(CATALOGUE[contract].tick_size)
        return self._delivered[key].quoted(quote, now_ns)

    def printed(self, login: str, contract: str, quote: Quote) -> bool:
        """A trade print left on a market hub; whether it proved a quote."""
        found = self._delivered.get((login, contract))
        return found is not None and found.printed(quote.last)

    def passed(self, now_ns: int) -> list[tuple[str, str]]:
        """Time passed: the logins and contracts whose doubted quote counts now."""
        return [key for key, found in self._delivered.items() if found.passed(now_ns)]

    def unfollowed(self, login: str, contract: str) -> None:
        """Nobody of the login listens any more: the old quote must value nothing later."""
        self._delivered.pop((login, contract), None)

    def believed(self, login: str, contract: str) -> Quote | None:
        """The believable delivered quote."""
        found = self._delivered.get((login, contract))
        return found.quote if found else None

    def extremes(self, login: str, contract: str, now_ns: int) -> tuple[Quote, Quote] | None:
        """The lowest and the highest quote of late."""
        late = self._late.get(contract, ())
        found = [
            quote
            for index, (_, quote) in enumerate(late)
            if index == len(late) - 1 or now_ns - late[index + 1][0] <= ARRIVAL_NS
        ]
        found += [q for q in (self.quotes.get(contract), self.believed(login, contract)) if q]
        if not found:
            return None
        return min(found, key=lambda q: q.bid), max(found, key=lambda q: q.ask)
