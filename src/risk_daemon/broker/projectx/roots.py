"""The gateway's product codes and what the exchange calls them.

Source: ProjectX contract metadata, docs/brokers/projectx.md. A code that is
not listed is taken as it is: the root is for weights and for people, never for
tick values, which come from the contract's own metadata.
"""

from __future__ import annotations

from typing import Final

_ROOTS: Final = {
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


def root_of(symbol_id: str) -> str:
    """Return the exchange's root of a symbol id such as `F.US.ENQ`."""
    code = symbol_id.rsplit(".", 1)[-1]
    return _ROOTS.get(code, code)
