"""Spare processes: a journal and a link that have loaded all they need, for the next of their kind.

More than half of what a start takes is loading Python's modules (for a link the broker's SDK), the
same for whichever login: so it is done beforehand. A journal's spare becomes the journal. A link's
divides into links, where the system can: what it loaded then lies in memory once for all of them.
Spares end by themselves when we do; what they became does not.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import Final

from risk_daemon.clock import SECOND_NS
from risk_daemon.errors import NotFound
from risk_daemon.supervisor.children import Running

#: No login can be called so that its link had this name.
SPARE: Final = "+spare"
LINK: Final = f"link{SPARE}"
JOURNAL: Final = f"journal{SPARE}"
WORD: Final = "--spare"
#: After one was used, or did not stay: whoever starts just now needs the cores more.
AFTER_NS: Final = SECOND_NS // 2

DIVIDES: Final = sys.platform == "linux"

_log = logging.getLogger("supervisor")


class Spare:
    """None or one of them. `start` starts one, and raises OSError or NotFound where it cannot."""

    def __init__(self, start: Callable[[], Running]) -> None:
        self._start = start
        self._waiting: Running | None = None
        self._not_before = 0

    def keep(self, now: int, release: str, *, is_calm: bool) -> None:
        """Have one of a release wait, where all is well: nobody's start is slowed down for it.

        `now` is a steady time in ns.
        """
        waiting = self._waiting
        if waiting is not None and not (waiting.is_alive and waiting.release == release):
            self.end()
            self._not_before = now + AFTER_NS
        if not is_calm:
            self._not_before = max(self._not_before, now + AFTER_NS)
        if self._waiting is None and now >= self._not_before:
            self._not_before = now + AFTER_NS
            try:
                self._waiting = self._start()
            except (OSError, NotFound) as error:
                _log.warning("no spare process", extra={"why": str(error)})

    def take(self, name: str, word: str, release: str, now: int) -> Running | None:
        """Make the one that waits a process of this name; None where there is none of the release.

        `word` is what it reads: a link the name of its login.
        """
        self._not_before = now + AFTER_NS
        if self._waiting is None or self._waiting.release != release:
            return None
        spare, self._waiting = self._waiting, None
        if not spare.begin(name, word):
            return None
        return spare

    def end(self) -> None:
        """Have none wait any more."""
        if self._waiting is not None:
            self._waiting.dismiss()
            self._waiting = None


class Loaded(Spare):
    """One of which every next process is a part: it stays, and another part of it waits."""

    def __init__(self, start: Callable[[], Running]) -> None:
        super().__init__(start)
        #: The process id of the part that waits, 0 for none.
        self._part = 0

    @property
    def is_ready(self) -> bool:
        """It has loaded, and a part of it waits."""
        if self._waiting is not None and (said := self._waiting.hear()):
            self._part = int(said[-1])
        return self._part != 0

    @property
    def is_loading(self) -> bool:
        """It will be ready in a moment."""
        return not self.is_ready and self._waiting is not None and self._waiting.is_alive

    def take(self, name: str, word: str, release: str, now: int) -> Running | None:
        """Have the part that waits be a process of this name; None where there is none."""
        self._not_before = now + AFTER_NS
        if self._waiting is None or self._waiting.release != release or not self.is_ready:
            return None
        part, self._part = self._part, 0
        return self._waiting.divide(part, name, word)

    def end(self) -> None:
        """Have none wait any more."""
        self._part = 0
        super().end()
