"""What "reductions only" still allows: per contract the least that was held since it began."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from risk_daemon.sim.ledger import Book


class Allowance:
    """One ledger's allowance; it has not begun until it is told so."""

    def __init__(self) -> None:
        self._least: dict[str, int] | None = None

    def look(self, book: Book, view: Callable[[str], int], *, has_begun: bool) -> None:
        """Take what is held now; `view` says which of the two quantities to believe."""
        if not has_begun:
            self._least = None
        elif self._least is None:
            self._least = {contract: abs(view(contract)) for contract in book.contracts()}
        else:
            for contract, size in self._least.items():
                self._least[contract] = min(size, abs(view(contract)))

    def least(self, contract: str) -> int:
        """What is allowed of a contract, once it has begun."""
        return (self._least or {}).get(contract, 0)

    def over(self, contracts: Iterable[str], view: Callable[[str], int]) -> frozenset[str]:
        """The contracts that hold more than is allowed."""
        if self._least is None:
            return frozenset()
        least = self._least
        return frozenset(c for c in contracts if abs(view(c)) > least.get(c, 0))


class Reductions:
    """The same in both ledgers, and as any order of arrival may have it.

    `true` and `seen` begin late and `wide` begins early: what was filled around the beginning
    belongs to either side of it, and nobody is accused for where he put it.
    """

    def __init__(self) -> None:
        self._true, self._seen, self._wide = Allowance(), Allowance(), Allowance()

    def look(self, truth: Book, delivered: Book, *, surely: bool, perhaps: bool) -> None:
        """Take what is held in both ledgers."""
        self._true.look(truth, truth.small, has_begun=surely)
        self._seen.look(delivered, delivered.large, has_begun=surely)
        self._wide.look(delivered, delivered.small, has_begun=perhaps)

    def over(self, book: Book, *, true: bool) -> frozenset[str]:
        """What must be reduced by one ledger."""
        mine = self._true if true else self._seen
        return mine.over(book.contracts(), book.small)

    def perhaps_over(self, truth: Book, delivered: Book) -> frozenset[str]:
        """What may be reduced."""
        seen = self._wide.over(delivered.contracts(), delivered.large)
        return seen | self._wide.over(truth.contracts(), truth.large)
