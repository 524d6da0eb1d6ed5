"""Whether a worker runs the code its release was signed for. Pure.

A worker says in its Hello what lies in the package it was started from. A
release that was staged says in its manifest what that must be. One flag that
means something else in the code of yesterday has cost a firm everything; so a
worker that can't prove what it is gets no stream and holds nothing.
"""

from __future__ import annotations

from typing import Final

#: `signed` of a release that was not staged from a manifest: a checkout has nobody's word to keep.
UNSTAGED: Final = None
_SHOWN: Final = 12


def objection(release: str, runs: str, signed: str | None) -> str:
    """Say why a worker of a release is refused; empty if it is not.

    `runs` is the digest it states, `signed` the one of the manifest: empty if
    there should be one and it can't be read.
    """
    if signed is UNSTAGED or runs == signed != "":
        return ""
    if not signed:
        return (
            f"what {release} was signed for can't be read, so its workers are refused: "
            f"`risk-daemon-admin release verify {release}`"
        )
    return (
        f"a worker of {release} runs code {runs[:_SHOWN] or 'it does not name'}, signed is "
        f"{signed[:_SHOWN]}: it is refused; `risk-daemon-admin release verify {release}`"
    )
