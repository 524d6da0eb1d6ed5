"""Which calendar says when a root's day ends; and what the gateway's aliases mean.

A root that is not listed ends as the account's own calendar says.

Source: contract specifications of the exchange, as tabulated in docs/rules/weights.md.
"""

from __future__ import annotations

from typing import Final

_CALENDARS: Final = {
    "cme_equity": ("ES", "MES", "NQ", "MNQ", "RTY", "M2K", "YM", "MYM", "EMD", "NKD"),
    "cme_energy": ("CL", "QM", "MCL", "NG", "QG", "MNG", "RB", "HO"),
    "cme_metals": ("GC", "MGC", "SI", "SIL", "HG", "MHG", "PL", "PA"),
    "cme_fx": ("6E", "M6E", "6B", "M6B", "6A", "M6A", "6C", "6J", "6S", "6N", "6M", "E7"),
    "cme_crypto": ("BTC", "MBT", "ETH", "MET"),
    "cme_rates": ("ZT", "ZF", "ZN", "TN", "ZB", "UB"),
    "cme_grains": ("ZC", "ZW", "ZS", "ZM", "ZL"),
    "cme_livestock": ("HE", "LE"),
}
_CALENDAR_OF: Final = {root: name for name, roots in _CALENDARS.items() for root in roots}
ROOTS: Final = tuple(sorted(_CALENDAR_OF))

#: What the gateway calls some of them. Source: ProjectX contract metadata, docs/brokers.
ALIASES: Final = {
    "EP": "ES",
    "ENQ": "NQ",
    "CLE": "CL",
    "NQM": "QM",
    "MCLE": "MCL",
    "NGE": "NG",
    "GCE": "GC",
    "SIE": "SI",
    "CPE": "HG",
    "EU6": "6E",
    "BP6": "6B",
    "DA6": "6A",
    "CA6": "6C",
    "NE6": "6N",
    "TYA": "ZN",
}


def calendar_of(root: str, otherwise: str) -> str:
    """Return the calendar a root's day ends by; `otherwise` is the account's own."""
    return _CALENDAR_OF.get(root, otherwise)
