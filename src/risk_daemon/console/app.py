"""HTTP on the loopback address: everything is answered from memory, nothing waits.

The routes are coroutines: a route in a thread pool would wait for a thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Final

from fastapi import FastAPI, HTTPException, Query, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from risk_daemon.clock import Timekeeper
from risk_daemon.console import view
from risk_daemon.console.page import page
from risk_daemon.console.seen import Seen

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: The page fetches nothing and runs nothing; other sites may not frame it.
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


def make_app(seen: Seen, clock: Timekeeper) -> FastAPI:
    """Build the application over what is seen."""
    app = FastAPI(title="Risk daemon", version=seen.release, docs_url=None, redoc_url=None)
    registry = CollectorRegistry()
    registry.register(_Metrics(seen, clock))

    @app.get("/health")
    async def health() -> JSONResponse:
        """200 only when every account is enforced and connected."""
        status, body = view.health(seen, clock.steady_ns())
        return JSONResponse(body, status)

    @app.get("/metrics")
    async def metrics() -> PlainTextResponse:
        """Numbers for Prometheus."""
        return PlainTextResponse(generate_latest(registry), media_type=METRICS_TYPE)

    @app.get("/api/v1/accounts")
    async def accounts() -> dict[str, Any]:
        """Every account as its active worker published it."""
        return view.accounts(seen, clock.steady_ns())

    @app.get("/api/v1/accounts/{number}")
    async def account(number: int) -> dict[str, Any]:
        """One account."""
        body = view.account(seen, number, clock.steady_ns())
        if body is None:
            raise HTTPException(404, f"no account {number} has been published")
        return body

    @app.get("/api/v1/processes")
    async def processes() -> dict[str, Any]:
        """What the supervisor says of its processes."""
        return view.processes(seen, clock.steady_ns())

    @app.get("/api/v1/events")
    async def events(limit: Annotated[int, Query(ge=1, le=500)] = 50) -> dict[str, Any]:
        """The latest records, newest last."""
        return view.events(seen, limit)

    @app.get("/api/v1/alarms")
    async def alarms(limit: Annotated[int, Query(ge=1, le=500)] = 50) -> dict[str, Any]:
        """The latest alarms that were delivered, newest last."""
        return view.alarms(seen, limit)

    @app.get("/", include_in_schema=False)
    async def status_page() -> Response:
        """The page for people."""
        html = page(seen, clock.steady_ns(), clock.now_ns(), None)
        return HTMLResponse(html, headers=HEADERS)

    return app


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
