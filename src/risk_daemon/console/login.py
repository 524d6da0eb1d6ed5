"""Who is logged in to the page, and how soon one may try again who was wrong. Pure.

Tokens and time are handed in. A session lives in the console's memory alone: a restart ends all
of them, and the page says so. Every wrong password of a name doubles the wait before the next try,
whoever tries; names that nobody has wait together.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Final

SECOND_NS: Final = 1_000_000_000
IDLE_NS: Final = 30 * 60 * SECOND_NS
LONGEST_NS: Final = 12 * 3_600 * SECOND_NS
SESSIONS_MAX: Final = 64
WAIT_MAX_S: Final = 60
#: A wrong one so long ago is forgiven.
FORGIVEN_NS: Final = 15 * 60 * SECOND_NS


@dataclass(slots=True)
class Session:
    """One person at one browser. `csrf` is shown by the page with everything it asks for."""

    user: str
    csrf: str
    begun: int
    used: int


@dataclass(slots=True)
class Wrong:
    """Wrong passwords of a name in a row, and when the last one was."""

    count: int
    at: int


class Logins:
    """Sessions by their token, and what went wrong lately. Times are steady ns."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._wrong: dict[str, Wrong] = {}

    # --- trying ---

    def wait_s(self, name: str, now: int) -> int:
        """Return how long nobody may try this name; 0 if one may now."""
        wrong = self._wrong.get(name)
        if wrong is None:
            return 0
        doubled = 1 << min(wrong.count - 1, 16)
        over = wrong.at + min(doubled, WAIT_MAX_S) * SECOND_NS
        return max(-(-(over - now) // SECOND_NS), 0)

    def failed(self, name: str, now: int) -> None:
        """Count a wrong password of a name; the empty name stands for all that nobody has."""
        wrong = self._wrong.get(name)
        count = wrong.count if wrong is not None and now - wrong.at < FORGIVEN_NS else 0
        self._wrong[name] = Wrong(count + 1, now)

    # --- sessions ---

    def open(self, user: str, token: str, csrf: str, now: int) -> Session:
        """Let a person in; of too many sessions the one that was used longest ago ends."""
        self._wrong.pop(user, None)
        self._end_old(now)
        if len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[min(self._sessions, key=lambda one: self._sessions[one].used)]
        self._sessions[token] = Session(user, csrf, now, now)
        return self._sessions[token]

    def of(self, token: str, now: int) -> Session | None:
        """Return the session of a token, and count it as used; None if there is none any more."""
        self._end_old(now)
        session = self._sessions.get(token)
        if session is not None:
            session.used = now
        return session

    def close(self, token: str) -> None:
        """End a session."""
        self._sessions.pop(token, None)

    def _end_old(self, now: int) -> None:
        for token, one in list(self._sessions.items()):
            if now - one.used > IDLE_NS or now - one.begun > LONGEST_NS:
                del self._sessions[token]


def is_shown(session: Session, csrf: str) -> bool:
    """Tell whether a request shows what only our own page knows."""
    return hmac.compare_digest(session.csrf.encode(), csrf.encode())
