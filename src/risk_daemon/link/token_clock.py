"""The session's token: renewed well before its end, replaced when it is refused.

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
        self._tried_at = -LOGIN_EVERY

    async def keep(self) -> None:
        """Renew the token when its end is near; log in where it cannot be renewed."""
        expires = self._broker.token_expires_at
        if not expires or expires - self._wall_ns() >= RENEW_BEFORE:
            return
        try:
            await self._broker.renew()
        except BrokerUnavailable:
            await self._log_in()

    def refused(self) -> None:
        """Somebody was answered 401: log in, once."""
        self._session.need_login()
        now = self._clock.steady_ns()
        if not self._is_busy and now - self._tried_at >= LOGIN_EVERY:
            self._is_busy, self._tried_at = True, now
            self._spawn(self._log_in())

    async def _log_in(self) -> None:
        try:
            await self._session.refresh_login()
        except (BrokerUnavailable, BrokerRefused) as error:
            self._on_refused(str(error))
        else:
            self._on_renewed()
        finally:
            self._is_busy = False

    def _wall_ns(self) -> int:
        """Return real time: the token's `exp` is not shifted in a demo home."""
        return self._clock.now_ns() - int(getattr(self._clock, "offset_ns", 0))
