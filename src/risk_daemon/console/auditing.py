"""Sees every answer of the console, and has what was refused written into the journal."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from risk_daemon.clock import Timekeeper
from risk_daemon.console import refusals
from risk_daemon.console.refusals import Refusals
from risk_daemon.core.events import RequestsRefused
from risk_daemon.errors import DaemonError
from risk_daemon.operations import daemon
from risk_daemon.operations.home import Home

LOOK_EVERY_S: Final = 1.0

_log = logging.getLogger("page")


class Audit:
    """The shell around the counting."""

    def __init__(self, home: Home, clock: Timekeeper) -> None:
        self._home, self._clock = home, clock
        self._refusals = Refusals()

    def take(self, row: refusals.Row) -> None:
        """Count a request that was refused."""
        self._refusals.add(row, self._clock.steady_ns())

    async def run(self) -> None:
        """Write each minute's, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self._write(self._refusals.due(self._clock.steady_ns()))

    async def finish(self) -> None:
        """Write what is left, as the last thing that is done."""
        await self._write(self._refusals.all(self._clock.steady_ns()))

    async def _write(self, found: RequestsRefused | None) -> None:
        if found is None:
            return
        try:
            await asyncio.to_thread(daemon.append, self._home, found)
        except DaemonError as error:  # they stay counted, and come with the next minute's
            _log.warning("refused requests not in the journal", extra={"why": str(error)})
        else:
            self._refusals.written(found, self._clock.steady_ns())


class Watched:
    """Around the whole application: whatever refuses a request, it is seen here."""

    def __init__(self, app: ASGIApp, audit: Audit) -> None:
        self._app, self._audit = app, audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, and look at the status of the answer."""

        async def seen(message: Message) -> None:
            if message["type"] == "http.response.start" and 400 <= message["status"] < 500:
                self._audit.take(_row(scope, message["status"]))
            await send(message)

        await self._app(scope, receive, seen)


def _row(scope: Scope, status: int) -> refusals.Row:
    headers = Headers(scope=scope)
    route = scope.get("route")
    path = getattr(route, "path", "")
    return refusals.row(
        status, scope["method"], path, headers.get("origin", ""), headers.get("host", "")
    )


def protocol(audit: Audit) -> type[asyncio.Protocol]:
    """Return the server's reader of HTTP, which counts also what is none."""

    class Reader(H11Protocol):
        def send_400_response(self, msg: str) -> None:
            super().send_400_response(msg)
            audit.take(refusals.row(400, "", "", "", ""))

    return Reader
