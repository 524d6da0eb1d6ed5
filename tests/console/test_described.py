"""Schemathesis asks a running console whatever its description allows, and what it does not.

No status may come that the description does not tell, no shape but the one it tells, and nothing of
the server's own failing. The cases are derived from the description alone: each run has the same.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from schemathesis.core.transport import Response
from schemathesis.schemas import BaseSchema

from risk_daemon.console import asking
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.configuration import passwords
from risk_daemon.operations.home import Home
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.opening import open_all
from tests.untraced import leave_children_untraced

leave_children_untraced()

CROWD = Crowd(1, 2)
PASSWORD = "correct horse battery"
#: Of each route, beside the hundreds that its boundaries come to.
EXAMPLES = "20"
#: It never ends: asked by itself, below.
LIVE = "/api/v1/live"
LEAVING = "/operationId == leave_api_v1_session_delete"


@dataclass
class Site:
    """A running console, and what a page that is logged in sends with all it asks."""

    daemon: Daemon
    address: str
    description: BaseSchema

    def login(self) -> dict[str, str]:
        given = {"user": "anna", "password": PASSWORD}
        origin = {"Origin": self.address}
        answer = requests.post(
            f"{self.address}/api/v1/session", json=given, headers=origin, timeout=30
        )
        assert answer.status_code == 200, answer.text
        cookie = answer.headers["set-cookie"].partition(";")[0]
        return {**origin, "Cookie": cookie, "X-CSRF-Token": answer.json()["csrf"]}


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "described", CROWD, 5, None)
        passwords.set_password(Home(daemon.home), "anna", PASSWORD)
        daemon.start()
        hold(gateway, CROWD.accounts(), LIMIT)
        port = json.loads((daemon.home / "run" / "console.json").read_text())["port"]
        address = f"http://127.0.0.1:{port}"
        yield Site(daemon, address, schemathesis.openapi.from_url(f"{address}/openapi.json"))


def ask_everything(site: Site, folder: Path, headers: dict[str, str], *words: str) -> str:
    """Have schemathesis ask; return what it says, which is asserted to be that all is well."""
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{site.address}/openapi.json"]
    command += ["--generation-deterministic", "--max-examples", EXAMPLES, "--no-color"]
    command += ["--request-timeout", "20", "--warnings", "off", "--continue-on-failure", *words]
    command += [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.timeout(240)
def test_without_a_session_nothing_comes_that_the_description_does_not_tell(
    site: Site, tmp_path: Path
) -> None:
    told = ask_everything(site, tmp_path, {"Origin": site.address}, "--exclude-path", LIVE)

    assert "13 selected / 14 total" in told
    assert site.daemon.run("health").code == 0


@pytest.mark.timeout(240)
def test_with_a_session_neither_and_at_last_it_is_left(site: Site, tmp_path: Path) -> None:
    """Leaving is asked last: it ends the session that all the others need."""
    session = site.login()

    told = ask_everything(site, tmp_path, session, "--exclude-path", LIVE, "--exclude-by", LEAVING)
    mine = requests.get(f"{site.address}/api/v1/session", headers=session, timeout=30).json()
    left = ask_everything(site, tmp_path, session, "--include-by", LEAVING)
    after = requests.get(f"{site.address}/api/v1/session", headers=session, timeout=30).json()

    assert ("12 selected / 14 total" in told, "1 selected / 14 total" in left) == (True, True)
    assert (mine["user"], after["user"]) == ("anna", None)
    assert site.daemon.run("health").code == 0


@pytest.mark.parametrize("action", asking.ACTIONS)
def test_what_is_asked_in_the_state_as_it_is_answers_as_described(site: Site, action: str) -> None:
    """What is guessed never meets the state it would have to show: here each action does."""
    status = asked.status(Home(site.daemon.home))
    seen = asking.accounts_key(status) if action == asking.FLATTEN else asking.rollout_key({})
    body: Any = {
        "action": action,
        "reason": "as described",
        "seen": seen,
        "typed": asking.TYPED.get(action, ""),
        asking.NAMED.get(action, "release"): "v9.9.9",
    }

    case = site.description["/api/v1/actions"]["POST"].Case(body=body)
    answer = case.call_and_validate(headers=site.login())

    assert "stale" not in answer.json()
    assert answer.status_code == (200 if action == asking.FLATTEN else answer.status_code)


def test_each_account_is_answered_as_described(site: Site) -> None:
    for number in CROWD.accounts():
        case = site.description["/api/v1/accounts/{number}"]["GET"].Case(
            path_parameters={"number": number}
        )
        assert case.call_and_validate().json()["account"] == number


@pytest.mark.parametrize(
    ("query", "status"), [({}, 200), ({"after": "boot.1"}, 200), ({"after": "x" * 65}, 422)]
)
def test_what_moves_is_answered_as_described(
    site: Site, query: dict[str, str], status: int
) -> None:
    case = site.description[LIVE]["GET"].Case(query=query)
    with requests.get(f"{site.address}{LIVE}", params=query, stream=True, timeout=30) as answer:
        answer._content = next(answer.iter_content(1 << 20))  # noqa: SLF001 - it never ends
        case.validate_response(Response.from_requests(answer, verify=False))

    assert answer.status_code == status
