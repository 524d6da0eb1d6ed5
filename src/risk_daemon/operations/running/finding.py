"""What one check of `doctor` came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, ok, warn or fail, what was seen, and what to do about it."""

    name: str
    state: str
    text: str
    next_command: str = ""

    def line(self) -> str:
        """Say it."""
        way = f"; next: {self.next_command}" if self.next_command else ""
        return f"{self.state:<4} {self.name}: {self.text}{way}"
