"""The routes: status codes, shapes, headers; everything from memory."""

import asyncio
from pathlib import Path

import httpx
import pytest

from risk_daemon.clock import FakeClock
from risk_daemon.console.app import make_app
from risk_daemon.console.assets import assets
from risk_daemon.console.desk import Desk
from risk_daemon.console.feeding import Feed
from risk_daemon.console.figures import Decided, Sample
from risk_daemon.console.history import Store, name_of
from risk_daemon.console.seen import Seen
from risk_daemon.operations.home import Home
from tests.console.build import NOW, seen, view

UTC_MS = 1_795_622_400_000
NOW_MS = UTC_MS + NOW // 1_000_000


def get(
    memory: Seen, path: str, store: Store | None = None, host: str = "localhost", known: str = ""
) -> httpx.Response:
    """Ask the application, without a socket."""
    clock = FakeClock(UTC_MS * 1_000_000)
    clock.advance(NOW)
    feed = Feed(memory, clock, "boot")
    desk = Desk(Home(Path("nowhere")), memory, clock)
    app = make_app(memory, clock, feed, store or Store(Path("nowhere")), desk)

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{host}") as client:
            return await client.get(path, headers={"If-None-Match": known})

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
        ("/api/v1/history?minutes=0", 422),
        ("/api/v1/history?minutes=1441", 422),
        ("/api/v1/history?points=1", 422),
        ("/web/nothing.js", 404),
        ("/web/..%2f__init__.py", 404),
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


def test_the_page_may_run_and_fetch_nothing_but_its_own_files() -> None:
    answer = get(seen(view(1)), "/")

    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert "A1" in answer.text


def test_the_description_of_the_api_lists_every_route() -> None:
    paths = get(seen(), "/openapi.json").json()["paths"]

    assert sorted(paths) == [
        "/api/v1/accounts",
        "/api/v1/accounts/{number}",
        "/api/v1/actions",
        "/api/v1/alarms",
        "/api/v1/events",
        "/api/v1/figures",
        "/api/v1/history",
        "/api/v1/live",
        "/api/v1/processes",
        "/api/v1/session",
        "/health",
        "/metrics",
    ]


def test_who_asks_under_another_name_is_refused_whatever_it_asks() -> None:
    answer = get(seen(view(1)), "/health", host="evil.example")
    assert (answer.status_code, "answers to localhost" in answer.text) == (421, True)


def test_a_file_of_the_page_is_sent_once_while_it_is_the_same() -> None:
    first = get(seen(), "/web/page.js")
    assert (first.status_code, first.headers["content-type"]) == (
        200,
        "text/javascript; charset=utf-8",
    )

    again = get(seen(), "/web/page.js", known=first.headers["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert get(seen(), "/favicon.ico").status_code == 204


def test_the_whole_page_weighs_less_than_150_kilobytes() -> None:
    own = sum(len(one.body) for one in assets().values())
    assert own + len(get(seen(view(1)), "/").content) < 150_000


def test_history_is_thinned_to_what_a_graph_can_show(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for number in range(60):
        store.add(Sample(at=NOW_MS - number * 10_000, rate=float(number)))

    body = get(seen(), "/api/v1/history?minutes=10&points=6", store).json()

    assert (body["version"], len(body["samples"])) == (1, 6)


def test_history_that_can_not_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / name_of(NOW_MS)).mkdir()
    answer = get(seen(), "/api/v1/history?minutes=1", Store(tmp_path))
    assert (answer.status_code, "history can't be read" in answer.text) == (503, True)


def test_one_account_has_figures_of_its_own() -> None:
    memory = seen(view(1))
    memory.decided.append(Decided(NOW, 1, 2_500, False))
    memory.decided.append(Decided(NOW, 2, 9_500, False))

    found = get(memory, "/api/v1/figures?account=1").json()["figures"]

    assert (found["records"], found["max"], found["connected"]) == (1, 2.5, 1)
