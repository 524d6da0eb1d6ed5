"""The routes: status codes, shapes, headers; everything from memory."""

import asyncio

import httpx
import pytest

from risk_daemon.clock import FakeClock
from risk_daemon.console.app import make_app
from risk_daemon.console.seen import Seen
from tests.console.build import NOW, seen, view


def get(memory: Seen, path: str) -> httpx.Response:
    """Ask the application, without a socket."""
    clock = FakeClock(1_795_622_400_000_000_000)
    clock.advance(NOW)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(make_app(memory, clock))
        async with httpx.AsyncClient(transport=transport, base_url="http://console") as client:
            return await client.get(path)

    return asyncio.run(ask())


def test_health_answers_200_only_when_all_is_well() -> None:
    assert get(seen(view(1)), "/health").status_code == 200
    down = get(Seen(release="v1"), "/health")
    assert (down.status_code, down.json()["state"]) == (503, "down")


def test_the_api_shows_accounts_processes_and_events() -> None:
    memory = seen(view(1))

    assert get(memory, "/api/v1/accounts").json()["accounts"][0]["name"] == "A1"
    assert get(memory, "/api/v1/accounts/1").json()["version"] == 1
    assert get(memory, "/api/v1/processes").json()["processes"][0]["name"] == "worker-1"
    assert get(memory, "/api/v1/events").json() == {"version": 1, "events": []}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/api/v1/accounts/9", 404),
        ("/api/v1/accounts/one", 422),
        ("/api/v1/events?limit=0", 422),
        ("/api/v1/events?limit=501", 422),
        ("/nowhere", 404),
    ],
)
def test_a_question_that_cannot_be_meant_is_refused(path: str, code: int) -> None:
    assert get(seen(view(1)), path).status_code == code


def test_metrics_are_in_the_format_of_prometheus() -> None:
    memory = seen(view(1))
    memory.kinds["pulse"] = 3

    answer = get(memory, "/metrics")

    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "risk_daemon_healthy 1.0\n" in answer.text
    assert 'risk_daemon_records_total{kind="pulse"} 3.0\n' in answer.text
    assert 'risk_daemon_account_enforcing{account="1"} 1.0\n' in answer.text


def test_the_page_may_neither_run_nor_fetch_anything() -> None:
    answer = get(seen(view(1)), "/")

    assert answer.status_code == 200
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["x-frame-options"] == "DENY"
    assert "A1" in answer.text


def test_the_description_of_the_api_lists_every_route() -> None:
    paths = get(seen(), "/openapi.json").json()["paths"]

    assert sorted(paths) == [
        "/api/v1/accounts",
        "/api/v1/accounts/{number}",
        "/api/v1/alarms",
        "/api/v1/events",
        "/api/v1/processes",
        "/health",
        "/metrics",
    ]
