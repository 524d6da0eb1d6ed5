"""Takes checked values out of a mapping; a refusal names place, value and what is allowed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import time
from decimal import Decimal, InvalidOperation

_UNITS = {"s": 1, "m": 60, "h": 3600}


class ConfigRefused(ValueError):
    """The file can't be used; the message says where and why."""


@dataclass(slots=True)
class Reader:
    """Takes values out of one mapping and remembers where it is, for the sentence of refusal."""

    path: str
    data: Mapping[object, object]
    taken: set[object] = field(default_factory=set)

    def refuse(self, key: object, value: object, allowed: str) -> ConfigRefused:
        """The refusal of a value."""
        where = f"{self.path}.{key}" if self.path else str(key)
        return ConfigRefused(f"{where} is {value!r}; allowed is {allowed}")

    def get(self, key: str, default: object = None) -> object:
        """Any value; the key counts as known."""
        self.taken.add(key)
        return self.data.get(key, default)

    def text(self, key: str, default: object = None) -> str:
        """A text that is not empty."""
        value = self.get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.refuse(key, value, "a non-empty text")
        return value

    def one_of(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        """One of a few words."""
        value = self.get(key, default)
        if value not in allowed:
            raise self.refuse(key, value, " or ".join(allowed))
        return str(value)

    def whole(self, key: str, low: int, default: object = None) -> int:
        """A whole number."""
        value = self.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise self.refuse(key, value, f"a whole number of at least {low}")
        return value

    def number(self, key: str, default: float) -> float:
        """Any number."""
        value = self.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.refuse(key, value, "a number of seconds")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.refuse(key, value, "true or false")
        return value

    def money(self, key: str, default: object = None, *, low: str = "0") -> Decimal:
        """An amount, exact."""
        value = self.get(key, default)
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite() or amount < Decimal(low) or isinstance(value, bool):
            raise self.refuse(key, value, f"an amount in quotes of at least {low}")
        return amount

    def seconds(self, key: str, default: str) -> int:
        """A duration such as "30s", "3m" or "1h", in seconds."""
        value = self.get(key, default)
        found = re.fullmatch(r"([1-9][0-9]*)([smh])", str(value))
        if found is None:
            raise self.refuse(key, value, 'a duration such as "30s" or "3m"')
        return int(found[1]) * _UNITS[found[2]]

    def wall_time(self, key: str, default: str) -> time:
        """A wall time such as "15:08" or "10:00:55"."""
        value = self.get(key, default)
        try:
            return time.fromisoformat(str(value) if isinstance(value, str) else "")
        except ValueError:
            raise self.refuse(key, value, 'a wall time in quotes such as "15:08"') from None

    def section(self, key: str) -> Reader:
        """A mapping inside; an empty one where there is none."""
        value = self.get(key, {})
        if not isinstance(value, Mapping):
            raise self.refuse(key, value, "a mapping")
        return Reader(f"{self.path}.{key}" if self.path else key, value)

    def rows(self, key: str) -> list[Reader]:
        """A list of mappings."""
        value = self.get(key)
        if not isinstance(value, list) or not value:
            raise self.refuse(key, value, "a list with at least one entry")
        where = f"{self.path}.{key}" if self.path else key
        for index, entry in enumerate(value):
            if not isinstance(entry, Mapping):
                raise self.refuse(f"{key}[{index}]", entry, "a mapping")
        return [Reader(f"{where}[{index}]", entry) for index, entry in enumerate(value)]

    def done(self) -> None:
        """Refuse what nobody asked for."""
        for key in self.data:
            if key not in self.taken:
                raise self.refuse(key, self.data[key], f"only {', '.join(map(str, self.taken))}")
