"""The simulated gateway as a process, and its control port."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import Clock
from risk_daemon.errors import OperatorError, TimedOut
from risk_daemon.stage.waiting import until

READY_WITHIN_S: Final = 15.0
ANSWER_WITHIN_S: Final = 30.0
SCENARIOS: Final = Path(__file__).parent.parent / "sim" / "scenarios"


def _loopback() -> urllib.request.OpenerDirector:
    """Make an opener of plain HTTP: no proxy of the environment, and no certificates to load.

    Made once: the usual one reads every certificate of the host, each time anew.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.HTTPHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


LOOPBACK: Final = _loopback()


class Gateway:
    """One running simulated gateway."""

    def __init__(
        self,
        folder: Path,
        *,
        config: Path,
        seed: int | None = None,
        offset_s: float | None = None,
        port: int = 0,
    ) -> None:
        self.config = config
        self._ready_file = folder / "simgate.json"
        self._ready_file.unlink(missing_ok=True)
        words = [sys.executable, "-m", "risk_daemon.programs.simgate", "run"]
        words += ["--config", str(config), "--port", str(port), "--control-port", "0"]
        words += ["--ready-file", str(self._ready_file)]
        words += ["--seed", str(seed)] if seed is not None else []
        words += ["--offset-s", str(offset_s)] if offset_s is not None else []
        self._out = folder / "simgate.out"
        with self._out.open("ab") as out:
            self.process = subprocess.Popen(words, stdout=out, stderr=out)
        ready = self._wait()
        self.url = f"http://127.0.0.1:{ready['port']}"
        self._control = f"http://127.0.0.1:{ready['control_port']}"

    def _wait(self) -> dict[str, Any]:
        def look() -> bool:
            return self._ready_file.exists() or self.process.poll() is not None

        until(look, READY_WITHIN_S, "the simulated gateway to listen")
        if self.process.poll() is not None:
            raise OperatorError(f"the simulated gateway ended: {self._out.read_text()[-500:]}")
        found: dict[str, Any] = json.loads(self._ready_file.read_text())
        return found

    def get(self, path: str) -> Any:
        """Ask the control port."""
        return self._call(urllib.request.Request(self._control + path))

    def post(self, path: str, **body: Any) -> Any:
        """Tell the control port."""
        request = urllib.request.Request(
            self._control + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        return self._call(request)

    def _call(self, request: urllib.request.Request) -> Any:
        try:
            with LOOPBACK.open(request, timeout=ANSWER_WITHIN_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise OperatorError(f"control port: {error.read().decode()[:300]}") from None
        except TimeoutError:
            raise TimedOut(f"control port: no answer from {request.full_url}") from None

    def fault(self, kind: str, **more: Any) -> None:
        """Inject a fault."""
        self.post("/fault", kind=kind, **more)

    def stop(self) -> None:
        """End the process."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def wednesday_offset_s(clock: Clock) -> float:
    """Return the shift that makes now a Wednesday, 10:00:00 in Chicago (demo clock)."""
    wednesday_ten = 1_795_017_600  # 2026-11-18T16:00:00Z
    return round(wednesday_ten - clock.now_ns() / 1e9, 3)


def environment() -> dict[str, str]:
    """Return the environment for children, without anybody's broker credentials."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("PROJECT_X", "PROJECTX"))}
