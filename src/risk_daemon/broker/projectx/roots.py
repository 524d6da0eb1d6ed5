"""From the gateway's symbol ids to the exchange's roots.

A code that is not listed is taken as it is: the root is for weights and for
people, never for tick values, which come from the contract's own metadata.
"""

from __future__ import annotations

from risk_daemon.rules.products import ALIASES


def root_of(symbol_id: str) -> str:
    """Return the exchange's root of a symbol id such as `F.US.ENQ`."""
    code = symbol_id.rsplit(".", 1)[-1]
    return ALIASES.get(code, code)
