"""How much of a full-size contract a root is, and which family it nets with.

`economic` weights only: what a micro is in risk. Micro silver is 1/5, micro
bitcoin 1/50 and micro ether 1/500 of the full contract, not a tenth.

Source: contract specifications of the exchange, as tabulated in docs/rules/weights.md.
"""

from __future__ import annotations

from typing import Final

from risk_daemon.core.instrument import UNIT

#: micro root -> (full-size root, how many micros make one)
_MICROS: Final = {
    "MES": ("ES", 10),
    "MNQ": ("NQ", 10),
    "M2K": ("RTY", 10),
    "MYM": ("YM", 10),
    "MCL": ("CL", 10),
    "QM": ("CL", 2),
    "MNG": ("NG", 10),
    "QG": ("NG", 4),
    "MGC": ("GC", 10),
    "SIL": ("SI", 5),
    "MHG": ("HG", 10),
    "M6E": ("6E", 10),
    "E7": ("6E", 2),
    "M6B": ("6B", 10),
    "M6A": ("6A", 10),
    "MBT": ("BTC", 50),
    "MET": ("ETH", 500),
}


def mini_weight(root: str) -> int:
    """Return a root's weight in units of 1e-9 full contracts; 1 for one that has no micro."""
    micro = _MICROS.get(root)
    return UNIT // micro[1] if micro else UNIT


def family_of(root: str) -> str:
    """Return the full-size root a micro nets with, or the root itself."""
    micro = _MICROS.get(root)
    return micro[0] if micro else root
