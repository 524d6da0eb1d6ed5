"""What a command of a person came to: its lines, its data, its exit code, the next command."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

#: Exit codes that are not an error of their own (contract.md).
DONE: Final = 0
FAILED: Final = 1
DEGRADED: Final = 3
UNREACHABLE: Final = 8


@dataclass(frozen=True, slots=True)
class Outcome:
    """One line per account or part, between what stands above and below them.

    `notes` are talk and go to stderr; only `lines` are ever cut short.
    """

    lines: tuple[str, ...]
    exit_code: int = DONE
    data: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    next_command: str = ""
    above: tuple[str, ...] = ()
    below: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it is done and verified."""
        return self.exit_code == DONE
