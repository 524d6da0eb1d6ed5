"""The session's token: renewed well before its end, replaced when it is refused.

"Well before" is two hours, and half of its life where it lives shorter than that.

A refusal anywhere (401) leads to one login, whoever noticed and however often;
then everything is read again, because what was asked meanwhile was not answered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from risk_daemon.broker.port import Broker
from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.errors import BrokerRefused, BrokerUnavailable
from risk_daemon.link.session import Session

RENEW_BEFORE: Final = 2 * 3_600 * SECOND_NS
#: A gateway that refuses the login itself is not asked at every refused read.
LOGIN_EVERY: Final = 5 * SECOND_NS
#: One that gave a token may be asked again soon: a close waits for it, and tokens can be short.
LOGIN_AGAIN: Final = SECOND_NS
#: A renewal that did not help is not tried again at every look.
KEEP_EVERY: Final = 60 * SECOND_NS


class TokenClock:
    """Keeps one login's token valid."""

    def __init__(
        self,
        broker: Broker,
        session: Session,
        clock: Timekeeper,
        *,
        spawn: Callable[[object], None],
        on_renewed: Callable[[], None],
        on_refused: Callable[[str], None],
    ) -> None:
        self._broker, self._session, self._clock = broker, session, clock
        self._spawn, self._on_renewed, self._on_refused = spawn, on_renewed, on_refused
        self._is_busy = False
        self._next_login_at = 0
        self._expires, self._half_life, self._next_keep_at = 0, 0, 0

    async def keep(self) -> None:
        """Renew the token when its end is near; log in where it cannot be renewed."""
        expires = self._broker.token_expires_at
        left = expires - self._wall_ns()
        if expires != self._expires:
            self._expires, self._half_life, self._next_keep_at = expires, left // 2, 0
        now = self._clock.steady_ns()
        if not expires or left >= min(RENEW_BEFORE, self._half_life) or now < self._next_keep_at:
            return
        self._next_keep_at = now + KEEP_EVERY
        try:
            await self._broker.renew()
        except BrokerUnavailable:
            await self._log_in()

    def refused(self) -> None:
        """Somebody was answered 401: log in, once."""
        self._session.need_login()
        now = self._clock.steady_ns()
        if not self._is_busy and now >= self._next_login_at:
            self._is_busy, self._next_login_at = True, now + LOGIN_EVERY
            self._spawn(self._log_in())

    async def _log_in(self) -> None:
        try:
            await self._session.refresh_login()
        except (BrokerUnavailable, BrokerRefused) as error:
            self._on_refused(str(error))
        else:
            self._next_login_at = self._clock.steady_ns() + LOGIN_AGAIN
            self._on_renewed()
        finally:
            self._is_busy = False

    def _wall_ns(self) -> int:
        """Return real time: the token's `exp` is not shifted in a demo home."""
        return self._clock.now_ns() - int(getattr(self._clock, "offset_ns", 0))
