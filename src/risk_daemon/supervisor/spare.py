"""A spare link: a program that has loaded all it needs and waits to be told whose link it is.

Half of what a link's restart takes is loading the broker's SDK, and that is the same for all
logins: so it is done beforehand, once for all of them. It ends by itself when we do.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from risk_daemon.clock import SECOND_NS
from risk_daemon.errors import NotFound
from risk_daemon.supervisor.children import Running

NAME: Final = "link-spare"
WORD: Final = "--spare"
#: After one was used, or did not stay: whoever starts just now needs the cores more.
AFTER_NS: Final = 2 * SECOND_NS

_log = logging.getLogger("supervisor")


class Spare:
    """None or one of them. `start` starts one, and raises OSError or NotFound where it cannot."""

    def __init__(self, start: Callable[[], Running]) -> None:
        self._start = start
        self._waiting: Running | None = None
        self._not_before = 0

    def keep(self, now: int, *, is_calm: bool) -> None:
        """Have one wait, where all is well: nobody's start is slowed down for it. Steady ns."""
        if self._waiting is not None and not self._waiting.is_alive:
            self.end()
            self._not_before = now + AFTER_NS
        if not is_calm:
            self._not_before = max(self._not_before, now + AFTER_NS)
        if self._waiting is None and now >= self._not_before:
            self._not_before = now + AFTER_NS
            try:
                self._waiting = self._start()
            except (OSError, NotFound) as error:
                _log.warning("no spare link", extra={"why": str(error)})

    def take(self, name: str, login: str, now: int) -> Running | None:
        """Make the one that waits a login's link; None where there is none."""
        self._not_before = now + AFTER_NS
        spare, self._waiting = self._waiting, None
        if spare is None or not spare.begin(name, login):
            return None
        return spare

    def end(self) -> None:
        """Have none wait any more."""
        if self._waiting is not None:
            self._waiting.dismiss()
            self._waiting = None
