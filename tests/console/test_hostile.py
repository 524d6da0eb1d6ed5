"""Ten thousand requests that mean no good, at a daemon that guards: none of them does anything."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from risk_daemon.console.refusals import ROWS_MAX
from risk_daemon.core.events import RequestsRefused
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.configuration import passwords
from risk_daemon.operations.home import Home
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.waiting import until
from risk_daemon.wire.record import decode
from tests.untraced import leave_children_untraced

leave_children_untraced()

CROWD = Crowd(1, 2)
REQUESTS = 10_000
PASSWORD = "correct horse battery"
#: Logging in is slowed for whoever is wrong: a few tries say enough.
LOGINS = 5
PATHS = (
    "/api/v1/actions",
    "/api/v1/accounts",
    "/api/v1/accounts/{word}",
    "/api/v1/events?limit={word}",
    "/api/v1/alarms?limit={word}",
    "/api/v1/history?minutes={word}",
    "/api/v1/figures?account={word}",
    "/api/v1/session",
    "/web/{word}",
    "/{word}",
)
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")
WORDS = (
    "0", "-1", "1e9", "99999999999999999999", "NaN", "..%2f..%2fpage.json", "%00", "a" * 2_000,
    "app.js%0d%0aX:1", "';DROP TABLE record;--", "%F0%9F%92%A5", "{}", "null",
)  # fmt: skip
ACTIONS = ("flatten-all", "abort", "promote", "rollback", "start", "hold", "nonsense", "")
HOSTS = ("localhost", "127.0.0.1", "evil.example", "127.0.0.1.evil.example", "")


@pytest.fixture(scope="module")
def scene() -> Iterator[tuple[Gateway, Daemon]]:
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "hostile", CROWD, 5, None)
        passwords.set_password(Home(daemon.home), "anna", PASSWORD)
        daemon.start()
        hold(gateway, CROWD.accounts(), LIMIT)
        yield gateway, daemon


def body(chance: random.Random) -> bytes:
    """Return a body: what an action looks like, nearly, or anything."""
    form = {
        "action": chance.choice(ACTIONS),
        "reason": chance.choice(("", "x", "y" * 5_000, "\x00")),
        "seen": chance.choice(("", "0", "guess")),
        "typed": chance.choice(("flatten all", "", "FLATTEN ALL")),
    }
    made = (
        json.dumps(form).encode(),
        json.dumps([form]).encode(),
        json.dumps(form).encode()[: chance.randrange(40)],
        b"\xff\xfe\x00" * chance.randrange(20),
        b"[" * 2_000,
        b"",
    )
    return chance.choice(made)


def overheard(port: int) -> dict[str, str]:
    """Log in and out again: what the page sent in between, and somebody may send again."""
    origin = {"Origin": f"http://127.0.0.1:{port}"}
    given = json.dumps({"user": "anna", "password": PASSWORD})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/api/v1/session", given, origin)
    answer = connection.getresponse()
    csrf = json.loads(answer.read())["csrf"]
    session = {
        "Cookie": answer.headers["set-cookie"].partition(";")[0],
        "X-CSRF-Token": csrf,
    }
    connection.request("DELETE", "/api/v1/session", headers=origin | session)
    assert connection.getresponse().status == 200
    connection.close()
    return session


def headers(chance: random.Random, port: int, old: dict[str, str]) -> dict[str, str]:
    """Return headers as another site, another host name, a forger or a replayer would send them."""
    host = chance.choice(HOSTS)
    found = {"Host": f"{host}:{port}" if host else "", "Content-Type": "application/json"}
    if chance.random() < 0.7:
        found["Origin"] = chance.choice((f"http://{host}:{port}", "https://evil.example", "null"))
    if chance.random() < 0.5:
        found["X-CSRF-Token"] = chance.choice(("", "0" * 64, "guess"))
    if chance.random() < 0.5:
        found["Cookie"] = chance.choice(("risk_daemon=0", "session=" + "f" * 64, "=;=;", "a" * 500))
    return found | old if chance.random() < 0.2 else found


def send(port: int, chance: random.Random, old: dict[str, str]) -> int:
    """Send one, and return its status; 0 where the connection was closed on it."""
    path = chance.choice(PATHS).replace("{word}", chance.choice(WORDS))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        raw = body(chance)
        connection.putrequest(chance.choice(METHODS), path.replace(" ", "%20"), skip_host=True)
        for name, value in (headers(chance, port, old) | {"Content-Length": str(len(raw))}).items():
            connection.putheader(name, value)
        connection.endheaders(raw)
        return connection.getresponse().status
    except (http.client.HTTPException, ConnectionError):
        return 0
    finally:
        connection.close()


def sent(gateway: Gateway) -> list[dict[str, Any]]:
    """What reached the broker that changes anything."""
    found: list[dict[str, Any]] = gateway.get("/requests")["requests"]
    return [one for one in found if one["path"].startswith(("/api/Order/place", "/api/Position/c"))]


@pytest.mark.timeout(300)
def test_none_of_ten_thousand_does_anything_and_each_that_was_refused_is_in_the_audit(
    scene: tuple[Gateway, Daemon],
) -> None:
    gateway, daemon = scene
    home = Home(daemon.home)
    port = int(json.loads((daemon.home / "run" / "console.json").read_text())["port"])
    before, epochs = sent(gateway), {row["account"]: row["epoch"] for row in rows(home)}
    chance = random.Random(20261127)

    old = overheard(port)

    statuses = Counter(send(port, chance, old) for _ in range(REQUESTS))

    assert not [status for status in statuses if status >= 500], statuses
    assert sum(number for status, number in statuses.items() if 400 <= status < 500) > REQUESTS / 2
    assert sent(gateway) == before
    assert {row["account"]: row["epoch"] for row in rows(home)} == epochs
    assert all(row["enforcing"] for row in rows(home))
    assert "no rollout was begun here" in daemon.run("rollout", "status").out
    assert daemon.run("health").code == 0
    # It writes each minute what it refused, and what is left when it ends: here it is ended.
    daemon.processes()["console"].terminate()
    expected = Counter({one: n for one, n in statuses.items() if 400 <= one < 500})
    until(lambda: written(home).total() >= expected.total(), 30, "the audit of all of them")
    assert written(home) == expected
    until((daemon.home / "run" / "console.json").exists, 30, "a new console")
    assert max(len(one.rows) for one in refused(home)) <= ROWS_MAX + len(expected)


def refused(home: Home) -> list[RequestsRefused]:
    """What the journal has of refused requests."""
    facts = (decode(one).fact for one in asked.tail(home, 100, ("requests-refused",)))
    return [one for one in facts if isinstance(one, RequestsRefused)]


def written(home: Home) -> Counter[int]:
    """How many of each status."""
    found: Counter[int] = Counter()
    for one in refused(home):
        for row in one.rows:
            found[row.status] += row.count
    return found


def rows(home: Home) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = asked.status(home)["accounts"]
    return found


def test_who_guesses_a_password_is_kept_waiting_and_written_down(
    scene: tuple[Gateway, Daemon],
) -> None:
    _, daemon = scene
    port = int(json.loads((daemon.home / "run" / "console.json").read_text())["port"])
    codes = []
    for number in range(LOGINS):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        given = json.dumps({"user": "anna", "password": f"guess number {number}"})
        told = {"Content-Type": "application/json", "Origin": f"http://127.0.0.1:{port}"}
        connection.request("POST", "/api/v1/session", given, told)
        codes.append(connection.getresponse().status)
        connection.close()

    assert codes[0] == 401
    assert 429 in codes
    used = asked.tail(Home(daemon.home), 50, ("console-used",))
    assert any(b"anna" in one.payload for one in used)
