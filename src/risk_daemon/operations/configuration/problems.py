"""What is wrong with a configuration: every error at once, each with its place and its remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from risk_daemon.errors import UsageError


class _Word:
    """Stands where there is no value to show."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


ABSENT: Final = _Word("missing")
NO_KEY: Final = _Word("not a key here")


@dataclass(frozen=True, slots=True)
class Problem:
    """One error: file, line (0: the file as a whole), path, value, what is allowed, nearest key."""

    file: str
    line: int
    path: str
    value: object
    allowed: str
    nearest: str = ""

    def sentence(self) -> str:
        """Say it in one line."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self._told()}"

    def placeless(self) -> str:
        """Say it of a file as it would be: a line of that is nowhere to be seen."""
        return f"{self.file}: {self._told()}"

    def _told(self) -> str:
        what = f"{self.path} is {shown(self.value)}" if self.path else shown(self.value)
        hint = f" Did you mean {self.nearest!r}?" if self.nearest else ""
        return f"{what}; allowed: {self.allowed}.{hint}"


class InvalidConfiguration(UsageError):
    """The configuration can't be used; `problems` are all there are."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        # An error of the policy shows once, not once per account.
        once = {problem.sentence(): problem for problem in problems}
        self.problems = tuple(sorted(once.values(), key=lambda one: (one.file, one.line)))
        count = len(self.problems)
        head = (
            "the configuration has an error"
            if count == 1
            else f"the configuration has {count} errors"
        )
        super().__init__("\n  ".join([head + ":", *(p.sentence() for p in self.problems)]))


def shown(value: object) -> str:
    """Show a value as it could stand in the file, and never more than a line of it."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'[:80]
    return repr(value)[:80]


def nearest(word: str, known: Iterable[str]) -> str:
    """The right key that a wrong one was probably meant to be, or nothing."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), "")
