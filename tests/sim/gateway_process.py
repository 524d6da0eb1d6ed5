"""The real simulated gateway as a child process, and a few words to talk to it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

READY_WITHIN_S = 20.0


def until[T](look: Callable[[], T], within_s: float = 5.0) -> T:
    """What `look` finds as soon as it finds something true; fails after the deadline."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"not true within {within_s} s; last seen: {found!r}"
        time.sleep(0.01)
    return found


def call(url: str, body: object = None, token: str | None = None) -> tuple[int, Any]:
    """(status, decoded answer) of a POST with a body, or of a GET without."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            text = answer.read().decode()
            return answer.status, json.loads(text) if text else None
    except urllib.error.HTTPError as error:
        text = error.read().decode()
        return error.code, json.loads(text) if text.startswith("{") else text


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    pid: int
    port: int
    control_port: int
    api_url: str
    user_hub_url: str
    market_hub_url: str

    def control(self, path: str, body: object = None) -> Any:
        """A wish (with a body) or a question (without) at the control port."""
        status, answer = call(f"http://127.0.0.1:{self.control_port}{path}", body)
        assert status == 200, answer
        return answer

    def refused(self, path: str, body: object) -> str:
        """The sentence with which the control port refuses a wish."""
        status, answer = call(f"http://127.0.0.1:{self.control_port}{path}", body)
        assert status == 400, answer
        return str(answer["error"])

    def api(self, path: str, body: object, token: str | None = None) -> tuple[int, Any]:
        """A REST call."""
        return call(f"{self.api_url}{path}", body, token)

    def token(self, user: str = "north", key: str = "north-key-0001") -> str:
        """A fresh token."""
        status, answer = self.api("/Auth/loginKey", {"userName": user, "apiKey": key})
        assert status == 200
        return str(answer["token"])

    def truth(self, account: int) -> dict[str, Any]:
        """What the exchange holds for an account."""
        accounts = self.control("/truth")["accounts"]
        return next(row for row in accounts if row["account"] == account)

    def position(self, account: int) -> int:
        """The signed position of an account that trades one contract."""
        return sum(row["q"] for row in self.truth(account)["positions"])


@contextmanager
def running(config: Path, *arguments: str) -> Iterator[Gateway]:
    """A gateway for the time of a test."""
    ready = config.with_suffix(f".{time.monotonic_ns()}.ready")
    command = [sys.executable, "-m", "risk_daemon.programs.simgate", "run"]
    command += ["--config", str(config), "--ready-file", str(ready), *arguments]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        until(lambda: ready.exists() or child.poll() is not None, READY_WITHIN_S)
        assert child.poll() is None, child.stderr.read() if child.stderr else ""
        yield Gateway(**json.loads(ready.read_text()))
    finally:
        child.terminate()
        _, noise = child.communicate(timeout=10)
    assert noise == ""
    assert child.returncode == 0
