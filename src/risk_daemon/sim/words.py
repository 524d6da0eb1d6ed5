"""Sentences of refusal: what was said, what comes nearest to it, and what is allowed. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def not_among(what: str, said: object, allowed: Iterable[str]) -> str:
    """Say that a word is none of those there are, and which one was probably meant."""
    names = sorted(allowed)
    near = get_close_matches(str(said), names, n=1)
    meant = f"did you mean {near[0]}? " if near else ""
    return f"{what} is {said!r}; {meant}allowed are {', '.join(names) or 'none'}"
