"""Where this release is meant to decide otherwise than the one before it.

A difference that is found and not declared here stops a rollout. A declared one may be seen up to
its cap, and one that is never seen is told too: the change may do nothing. Emptied by the release
that comes after.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

LOOSER: Final = "looser"
STRICTER: Final = "stricter"


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """One difference, by what it shows in.

    `field` is what differs: `breach`, `lock`, `goal`, or `end` of a lock. `cap_ppm` is the largest
    share of the rule's findings, in parts per million, that may differ so. `until` is UTC ns: from
    then on it is declared no more.
    """

    name: str
    rule: str
    direction: str
    field: str
    cap_ppm: int
    until: int
    why: str


#: Of this release.
DECLARED: Final[tuple[Declared, ...]] = ()


def covering(
    declared: Iterable[Declared], rule: str, differs: Iterable[tuple[str, str]], at: int
) -> str:
    """Name the declared differences that cover all of (field, direction); empty if they do not."""
    names: list[str] = []
    known = [one for one in declared if one.rule == rule and at < one.until]
    for field, direction in differs:
        found = [one.name for one in known if (one.field, one.direction) == (field, direction)]
        if not found:
            return ""
        names += [name for name in found[:1] if name not in names]
    return ", ".join(names)
