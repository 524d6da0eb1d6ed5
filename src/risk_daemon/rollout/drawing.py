"""The stages of a rollout as a drawing, made from the table of what may follow what. Pure."""

from __future__ import annotations

import itertools
from typing import Final

from risk_daemon.rollout.row import PHASE, TRANSITIONS

#: The brief's phases, which stand for `PHASE` in the drawing.
PHASES: Final = ("shadow", "canary", "10", "50", "100", "soak")


def drawn() -> str:
    """Return the table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> draft", "    state phases {"]
    promote = TRANSITIONS[PHASE, PHASE]
    lines += [
        f"        {_id(before)} --> {_id(after)}: {promote}"
        for before, after in itertools.pairwise(PHASES)
    ]
    lines.append("    }")
    inner = [pair for pair in TRANSITIONS if pair != (PHASE, PHASE)]
    lines += [
        f"    {_end(before, PHASES[-1] if after == 'done' else 'phases')} --> "
        f"{_end(after, PHASES[0])}: {TRANSITIONS[before, after]}"
        for before, after in inner
    ]
    ended = sorted({after for _, after in inner} - {before for before, _ in inner})
    lines += [f"    {_id(stage)} --> [*]" for stage in ended]
    return "\n".join(lines) + "\n"


def _end(stage: str, instead: str) -> str:
    return _id(instead if stage == PHASE else stage)


def _id(stage: str) -> str:
    """Return a name that Mermaid takes."""
    return f"p{stage}" if stage.isdigit() else stage.replace(" ", "_")
