"""JSON as the gateway writes it: decimals keep their trailing zeros.

The standard library would turn a `Decimal` into a float and lose `6065.250000000`. A client that
compares money as binary floats must have the chance to get it wrong here, not in production.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

NINE_PLACES = Decimal("0.000000001")
CENTS = Decimal("0.01")

_quoted = json.encoder.encode_basestring_ascii


def nine(value: Decimal) -> Decimal:
    """A price or a profit with nine decimals, as the live gateway sends it."""
    return value.quantize(NINE_PLACES)


def _object(value: Mapping[object, object]) -> str:
    return "{" + ",".join(f"{_quoted(str(k))}:{render(v)}" for k, v in value.items()) + "}"


def _array(value: Sequence[object]) -> str:
    return "[" + ",".join(map(render, value)) + "]"


# In this order: a bool is an int too, and an enum of numbers must print as its number.
_WRITERS: tuple[tuple[type, Callable[[Any], str]], ...] = (
    (str, _quoted),
    (bool, lambda value: "true" if value else "false"),
    (int, int.__repr__),
    (Decimal, lambda value: format(value, "f")),
    (float, json.dumps),
    (dict, _object),
    (list, _array),
    (tuple, _array),
    (type(None), lambda _value: "null"),
)


def render(value: object) -> str:
    """One JSON text; `Decimal` keeps every digit it has."""
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value)
    raise TypeError(f"{type(value).__name__} has no JSON form on this wire")
