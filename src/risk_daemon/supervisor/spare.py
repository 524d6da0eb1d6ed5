"""Spare processes: a journal and a link that have loaded all they need, and wait to be the next.

More than half of what their restart takes is loading Python's modules (for a link the broker's
SDK), the same for whichever login: so it is done beforehand. They end by themselves when we do.
"""

from __future__ import annotations

import logging
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
