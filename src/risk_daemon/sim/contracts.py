"""The contracts this exchange lists.

Names differ from the vendor's roots (NQ is `ENQ`, ES is `EP`), which is a trap the real gateway
sets as well. Source: the project's broker notes and contract table; prices are invented.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

MONTH = "Z26"


@dataclass(frozen=True, slots=True)
class Contract:
    """One tradeable contract with its price grid; `tick_value` is dollars per tick."""

    root: str
    vendor_root: str
    description: str
    tick_size: Decimal
    tick_value: Decimal
    start_price: Decimal

    @property
    def id(self) -> str:
        """The gateway's contract id."""
        return f"CON.F.US.{self.vendor_root}.{MONTH}"

    @property
    def symbol_id(self) -> str:
        """The gateway's symbol id, shared by every month of the product."""
        return f"F.US.{self.vendor_root}"

    @property
    def name(self) -> str:
        """The short name, with a one-digit year."""
        return f"{self.root}{MONTH[0]}{MONTH[-1]}"

    @property
    def display_name(self) -> str:
        """The name shown on positions, with a two-digit year."""
        return f"{self.root}{MONTH}"

    def money(self, price_difference: Decimal, contracts: int) -> Decimal:
        """Dollars that a price difference is worth."""
        return price_difference / self.tick_size * self.tick_value * contracts

    def is_on_grid(self, price: Decimal) -> bool:
        """Whether a price is a whole number of ticks."""
        return price % self.tick_size == 0

    def row(self) -> dict[str, object]:
        """The contract as REST tells it."""
        return {
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "tickSize": self.tick_size,
            "tickValue": self.tick_value,
            "activeContract": True,
            "symbolId": self.symbol_id,
        }


def _contract(line: str) -> Contract:
    root, vendor, tick, value, start, description = (part.strip() for part in line.split("|"))
    return Contract(root, vendor, description, Decimal(tick), Decimal(value), Decimal(start))


_TABLE = """
ES  | EP   | 0.25  | 12.50 | 6065.25  | E-mini S&P 500: December 2026
MES | MES  | 0.25  | 1.25  | 6065.25  | Micro E-mini S&P 500: December 2026
NQ  | ENQ  | 0.25  | 5.00  | 28418.00 | E-mini NASDAQ-100: December 2026
MNQ | MNQ  | 0.25  | 0.50  | 28418.00 | Micro E-mini Nasdaq-100: December 2026
M2K | M2K  | 0.10  | 0.50  | 2410.50  | Micro E-mini Russell 2000: December 2026
MYM | MYM  | 1     | 0.50  | 46200    | Micro E-mini Dow: December 2026
CL  | CLE  | 0.01  | 10.00 | 68.40    | Crude Light: December 2026
MCL | MCLE | 0.01  | 1.00  | 68.40    | Micro Crude Oil: December 2026
GC  | GCE  | 0.10  | 10.00 | 3390.20  | Gold: December 2026
MGC | MGC  | 0.10  | 1.00  | 3390.20  | Micro Gold: December 2026
"""

CATALOGUE: dict[str, Contract] = {
    contract.id: contract for contract in map(_contract, _TABLE.strip().splitlines())
}
BY_ROOT: dict[str, Contract] = {contract.root: contract for contract in CATALOGUE.values()}
_ROOTS = {contract.vendor_root: contract.root for contract in CATALOGUE.values()}


def root_of(contract: str) -> str | None:
    """The root of a contract id of any month; None when this exchange doesn't list the product."""
    return _ROOTS.get(contract.removeprefix("CON.F.US.").partition(".")[0])


def find(words: str) -> Contract | None:
    """A contract by id, name, display name or root, as a person may type it."""
    for contract in CATALOGUE.values():
        if words in (contract.id, contract.name, contract.display_name, contract.root):
            return contract
    return None


def search(words: str) -> list[Contract]:
    """At most 20 contracts whose name or description has the words; "NQ" also finds MNQ."""
    wanted = words.upper()
    return [
        contract
        for contract in CATALOGUE.values()
        if wanted in contract.name.upper() or wanted in contract.description.upper()
    ][:20]
