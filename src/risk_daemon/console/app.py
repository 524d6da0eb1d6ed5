"""HTTP on the loopback address: everything is answered from memory, nothing waits.

The routes are coroutines: a route in a thread pool would wait for a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final

import msgspec
from fastapi import FastAPI, Header, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, StreamingResponse
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from risk_daemon.clock import Timekeeper
from risk_daemon.console import acting, described, door, live, view
from risk_daemon.console.assets import assets
from risk_daemon.console.desk import Desk
from risk_daemon.console.feeding import TABS_MAX, Feed
from risk_daemon.console.figures import thin
from risk_daemon.console.history import Store
from risk_daemon.console.page import page
from risk_daemon.console.sampling import figures_of
from risk_daemon.console.seen import Seen

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: The page runs and fetches nothing but its own files; other sites may not frame it.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
DAY_MINUTES: Final = 24 * 60
_MS: Final = 1_000_000
_MINUTE_MS: Final = 60_000


def make_app(seen: Seen, clock: Timekeeper, feed: Feed, store: Store, desk: Desk) -> FastAPI:
    """Build the application over what is seen."""
    app = FastAPI(
        title="Risk daemon",
        version=seen.release,
        docs_url=None,
        redoc_url=None,
        responses=described.EVERYWHERE,
    )
    _add_numbers(app, seen, clock)
    _add_lists(app, seen, clock)
    _add_graphs(app, seen, clock, feed, store)
    _add_page(app, seen, clock)
    acting.add_routes(app, desk)
    app.add_exception_handler(405, _name_the_methods)
    app.add_middleware(_Door)
    return app


def _add_numbers(app: FastAPI, seen: Seen, clock: Timekeeper) -> None:
    """For programs that watch."""
    registry = CollectorRegistry()
    registry.register(_Metrics(seen, clock))

    @app.get("/health", responses=described.HEALTH)
    async def health() -> JSONResponse:
        """200 only when every account is enforced and connected."""
        status, body = view.health(seen, clock.steady_ns())
        return JSONResponse(body, status)

    @app.get("/metrics", responses=described.METRICS, response_class=PlainTextResponse)
    async def metrics() -> PlainTextResponse:
        """Numbers for Prometheus."""
        return PlainTextResponse(generate_latest(registry), media_type=METRICS_TYPE)


def _add_lists(app: FastAPI, seen: Seen, clock: Timekeeper) -> None:
    """What there is, as JSON."""

    @app.get("/api/v1/accounts", responses=described.ACCOUNTS, response_model=None)
    async def accounts() -> dict[str, Any]:
        """Every account as its active worker published it."""
        return view.accounts(seen, clock.steady_ns())

    @app.get("/api/v1/accounts/{number}", responses=described.ACCOUNT, response_model=None)
    async def account(number: int) -> dict[str, Any]:
        """One account."""
        body = view.account(seen, number, clock.steady_ns())
        if body is None:
            raise HTTPException(404, f"no account {number} has been published")
        return body

    @app.get("/api/v1/processes", responses=described.PROCESSES, response_model=None)
    async def processes() -> dict[str, Any]:
        """What the supervisor says of its processes."""
        return view.processes(seen, clock.steady_ns())

    @app.get("/api/v1/events", responses=described.EVENTS, response_model=None)
    async def events(limit: Annotated[int, Query(ge=1, le=500)] = 50) -> dict[str, Any]:
        """The latest records, newest last."""
        return view.events(seen, limit)

    @app.get("/api/v1/alarms", responses=described.ALARMS, response_model=None)
    async def alarms(limit: Annotated[int, Query(ge=1, le=500)] = 50) -> dict[str, Any]:
        """The latest alarms that were delivered, newest last."""
        return view.alarms(seen, limit)


def _add_graphs(app: FastAPI, seen: Seen, clock: Timekeeper, feed: Feed, store: Store) -> None:
    """What moves, and what was."""

    @app.get("/api/v1/live", responses=described.LIVE, response_class=StreamingResponse)
    async def stream(
        after: Annotated[str, Query(max_length=64)] = "",
        last_event_id: Annotated[str, Header(max_length=64)] = "",
    ) -> StreamingResponse:
        """The whole state, then what changes: server-sent events (docs/formats/dashboard.md)."""
        if feed.tabs >= TABS_MAX:
            raise HTTPException(503, f"{TABS_MAX} pages look already; close one of them")
        there = live.place_of(last_event_id or after)
        return StreamingResponse(
            feed.follow(there),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store"},
        )

    @app.get("/api/v1/figures", responses=described.FIGURES)
    async def of_account(account: int) -> Response:
        """What one account came to in the last minute."""
        found = figures_of(seen, account, clock.steady_ns())
        body = {"version": view.API_VERSION, "figures": found}
        return Response(msgspec.json.encode(body), media_type="application/json")

    @app.get("/api/v1/history", responses=described.HISTORY)
    async def history(
        minutes: Annotated[int, Query(ge=1, le=DAY_MINUTES)] = 60,
        points: Annotated[int, Query(ge=2, le=9_000)] = 400,
    ) -> Response:
        """What was drawn, from the console's own store, in at most so many points."""
        now_ms = clock.now_ns() // _MS
        try:
            found = await asyncio.to_thread(
                lambda: thin(store.read(now_ms - minutes * _MINUTE_MS, now_ms), points)
            )
        except OSError as error:
            raise HTTPException(503, f"history can't be read: {error.strerror or error}") from None
        body = {"version": view.API_VERSION, "samples": found}
        return Response(msgspec.json.encode(body), media_type="application/json")


def _add_page(app: FastAPI, seen: Seen, clock: Timekeeper) -> None:
    """The page for people, and its files."""
    files = assets()

    @app.get("/web/{name}", include_in_schema=False)
    async def asset(name: str, if_none_match: Annotated[str, Header()] = "") -> Response:
        """A file of the page."""
        found = files.get(name)
        if found is None:
            raise HTTPException(404, f"the page has no file {name!r}")
        headers = {"ETag": found.etag, "Cache-Control": "no-cache"}
        if if_none_match == found.etag:
            return Response(status_code=304, headers=headers)
        return Response(found.body, media_type=found.media_type, headers=HEADERS | headers)

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon() -> Response:
        """None: a browser asks for it all the same."""
        return Response(status_code=204)

    @app.get("/", include_in_schema=False)
    async def status_page() -> Response:
        """The page for people."""
        html = page(seen, clock.steady_ns(), clock.now_ns(), None)
        return HTMLResponse(html, headers=HEADERS)


async def _name_the_methods(request: Request, error: Exception) -> Response:
    """Name all that a path takes: the framework names those of the first route it has for it."""
    assert isinstance(error, HTTPException)
    there = (one for one in request.app.routes if isinstance(one, Route))
    found = (one for one in there if one.matches(request.scope)[0] is not Match.NONE)
    methods = sorted({method for one in found for method in one.methods or ()})
    headers = {"Allow": ", ".join(methods)}
    return JSONResponse({"detail": error.detail}, error.status_code, headers=headers)


class _Door:
    """Refuses what was asked for under another name than this machine's own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = door.host_objection(Headers(scope=scope).get("host", ""))
        if why and scope["type"] == "http":
            await PlainTextResponse(why, 421)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


class _Metrics(Collector):
    """Turns our families into the library's at each scrape."""

    def __init__(self, seen: Seen, clock: Timekeeper) -> None:
        self._seen = seen
        self._clock = clock

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        yield from _families(view.metrics(self._seen, self._clock.steady_ns()))


def _families(
    metrics: Iterable[view.Metric],
) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
    for metric in metrics:
        family = (
            CounterMetricFamily(metric.name, metric.help)
            if metric.kind == "counter"
            else GaugeMetricFamily(metric.name, metric.help)
        )
        for suffix, labels, value in metric.samples:
            name = f"{family.name}{suffix or ('_total' if metric.kind == 'counter' else '')}"
            family.add_sample(name, labels, value)
        yield family
