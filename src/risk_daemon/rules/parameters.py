"""Reading a rule's parameters: every error names the key, the value and what is allowed."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from risk_daemon.core.account import Account
from risk_daemon.core.events import Fact
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.instrument import parse as parse_units
from risk_daemon.core.world import Rule, World

SECOND: Final = 1_000_000_000
_UNITS_OF_TIME: Final = {"s": SECOND, "m": 60 * SECOND, "h": 3600 * SECOND, "d": 86_400 * SECOND}


class ParameterError(ValueError):
    """One parameter that cannot be meant. `path` is dotted, below the rule."""

    def __init__(self, path: str, value: object, allowed: str) -> None:
        super().__init__(f"{path}: {value!r} is not allowed; allowed: {allowed}")
        self.path, self.value, self.allowed = path, value, allowed


Rehearsal = Callable[[Rule, World, Account], tuple[tuple[Fact, ...], tuple[Fact, ...]]]
"""Makes the facts of a near miss and of a breach for a rule, on a clean copy of an account."""


Tighter = str | tuple[str, ...]
"""Which way a parameter protects more: `lower`, `higher`, or its words from loose to tight."""

LOWER: Final = "lower"
HIGHER: Final = "higher"


class RuleKind(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as the catalog knows it. `parameters` names each key with what it allows.

    `defaults` holds the value a key has when it is not given, None for "none"; a
    key without one is required. `tighter` says which way a change protects more;
    of a key it does not name, every change is neither tighter nor looser. `common` names
    the keys of `rules.common` that it takes.
    """

    name: str
    summary: str
    parameters: Mapping[str, str]
    build: Callable[[Reader], Rule]
    rehearsal: Rehearsal
    defaults: Mapping[str, object] = {}
    tighter: Mapping[str, Tighter] = {}
    common: tuple[str, ...] = ("on_repeat", "reason_text", "schedule")

    def parse(self, params: Mapping[str, object]) -> Rule:
        """Build the rule; ParameterError for the first key or value that is wrong."""
        reader = Reader(self, params)
        reader.refuse_unknown()
        return self.build(reader)

    def __call__(self, params: Mapping[str, object]) -> Rule:
        """Build the rule, as the engine's catalog wants it."""
        return self.parse(params)


class Reader:
    """Takes typed values out of a rule's parameters."""

    def __init__(self, kind: RuleKind, params: Mapping[str, object], under: str = "") -> None:
        self._kind, self._params, self._under = kind, params, under

    def refuse_unknown(self) -> None:
        """Raise for a key the rule does not have, with the nearest one it has."""
        for key in self._params:
            if key in self._kind.parameters:
                continue
            near = difflib.get_close_matches(str(key), self._kind.parameters, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            names = ", ".join(sorted(self._kind.parameters))
            raise ParameterError(str(key), self._params[key], f"one of {names}{hint}")

    def fail(self, key: str, allowed: str | None = None) -> ParameterError:
        """Return the error of a key, with what it allows."""
        text = allowed or self._kind.parameters[key]
        return ParameterError(self._under + key, self._params.get(key), text)

    def choice(self, key: str, options: tuple[str, ...], default: str) -> str:
        """Read one of a few words."""
        value = self._params.get(key, default)
        if value not in options:
            raise self.fail(key, "one of " + ", ".join(options))
        return str(value)

    def money(self, key: str, default: str | None = None, *, at_least: int = 0) -> int:
        """Read an amount into units. It is text: a binary float is not exact."""
        value = self._params.get(key, default)
        if value is None or isinstance(value, bool | float):
            raise self.fail(key)
        try:
            units = parse_units(str(value))
        except ValueError:
            raise self.fail(key) from None
        if units < at_least:
            raise self.fail(key)
        return units

    def whole(self, key: str, default: int | None = None, *, at_least: int = 0) -> int:
        """Read a whole number."""
        value = self._params.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
            raise self.fail(key)
        return value

    def has(self, key: str) -> bool:
        """Tell whether a key was given."""
        return self._params.get(key) is not None

    def is_word(self, key: str, word: str) -> bool:
        """Tell whether a key was given as this word."""
        return self._params.get(key) == word

    def words(self, key: str, options: tuple[str, ...]) -> tuple[str, ...]:
        """Read a list of a few words, each at most once."""
        value = self._params.get(key)
        if not isinstance(value, list | tuple) or not value or len(set(value)) < len(value):
            raise self.fail(key)
        if any(word not in options for word in value):
            raise self.fail(key)
        return tuple(str(word) for word in value)

    def shares(self, key: str) -> tuple[int, ...]:
        """Read rising shares between 0 and 1 into units."""
        value = self._params.get(key)
        if not isinstance(value, list | tuple) or not value:
            raise self.fail(key)
        try:
            found = [parse_units(word) for word in value if isinstance(word, str)]
        except ValueError:
            raise self.fail(key) from None
        if len(found) < len(value) or not found[0] > 0 or not found[-1] < UNIT:
            raise self.fail(key)
        if any(one >= other for one, other in itertools.pairwise(found)):
            raise self.fail(key)
        return tuple(found)

    def text(self, key: str) -> str:
        """Read one line of text."""
        value = self._params.get(key)
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            raise self.fail(key, "one line of text")
        return value.strip()

    def flag(self, key: str, *, default: bool) -> bool:
        """Read true or false."""
        value = self._params.get(key, default)
        if not isinstance(value, bool):
            raise self.fail(key, "true or false")
        return value

    def clock(self, key: str, default: str) -> int:
        """Read a wall time "15:08" or "15:08:30" into seconds after midnight."""
        value = self._params.get(key, default)
        found = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?", str(value))
        if found is None or not isinstance(value, str):
            raise self.fail(key, 'a wall time in Chicago in quotes, such as "15:08"')
        return int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3] or 0)

    def duration(self, key: str, default: str | None = None) -> int:
        """Read "15m", "2h", "30s", "1d" into ns."""
        value = self._params.get(key, default)
        text = str(value)
        unit = _UNITS_OF_TIME.get(text[-1:])
        if unit is None or not text[:-1].isascii() or not text[:-1].isdigit() or text[:-1] == "0":
            raise self.fail(key, 'a duration such as "30s", "15m", "2h" or "1d"')
        return int(text[:-1]) * unit

    def sizes(self, key: str) -> dict[str, int]:
        """Read a table of whole numbers by name."""
        value = self._params.get(key)
        if not isinstance(value, Mapping) or not value:
            raise self.fail(key)
        for name, size in value.items():
            if isinstance(size, bool) or not isinstance(size, int) or size < 0:
                raise ParameterError(f"{self._under}{key}.{name}", size, "a whole number from 0")
        return {str(name): int(size) for name, size in value.items()}

    def rows(self, key: str, inner: Mapping[str, str]) -> list[Reader]:
        """Read a list of tables; empty when it was not given."""
        value = self._params.get(key)
        if value is None:
            return []
        if not isinstance(value, list | tuple) or not all(isinstance(r, Mapping) for r in value):
            raise self.fail(key)
        kind = msgspec.structs.replace(self._kind, parameters=inner)
        readers = [Reader(kind, row, f"{self._under}{key}.{n}.") for n, row in enumerate(value)]
        for reader in readers:
            reader.refuse_unknown()
        return readers

    def table(self, key: str, inner: Mapping[str, str]) -> Reader | None:
        """Read a nested table; None when it was not given."""
        value = self._params.get(key)
        if value is None:
            return None
        if not isinstance(value, Mapping):
            raise self.fail(key)
        kind = msgspec.structs.replace(self._kind, parameters=inner)
        reader = Reader(kind, value, f"{self._under}{key}.")
        reader.refuse_unknown()
        return reader
