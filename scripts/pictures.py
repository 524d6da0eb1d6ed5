"""Takes the pictures of README from a running system: the page, and commands in a terminal.

    .dev/venv/bin/python scripts/pictures.py

Twenty accounts at the simulated gateway, a release in its canary, traders trading. The page needs
Chromium and ChromeDriver, as the tests of the page do.
"""

from __future__ import annotations

import base64
import contextlib
import io
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from risk_daemon.clock import SECOND_NS  # noqa: E402
from risk_daemon.stage.rolled import Rolled  # noqa: E402
from risk_daemon.stage.rollouts_shown import CROWD, GOOD, PLAN  # noqa: E402
from tests.console.browser import browser  # noqa: E402

TARGET = ROOT / "docs" / "pictures"
TRADED_S = 60
#: Slower than the rehearsal: the canary is in the middle of its day, and not long past it.
UNHURRIED = (
    ("minute: 5ms", "minute: 75ms"),
    ("wall: 7200ms", "wall: 108s"),
    ("wall: 14400ms", "wall: 216s"),
    ("wall: 50400ms", "wall: 756s"),
)
COMMANDS = (("status",), ("rollout", "status"))
COLUMNS = 120


class Stage(Rolled):
    """Twenty accounts, one of them on the release that is rolled out."""

    crowd = CROWD

    def played(self) -> None:
        """Show it at work, and take the pictures."""
        with contextlib.ExitStack() as stack:
            self.open(stack, "pictures", _plan(), {GOOD: ()})
            self.forward(GOOD, "canary")
            port = json.loads((self._daemon.home / "run" / "console.json").read_text())["port"]
            with browser() as window:
                window.size(1280, 960)
                window.go(f"http://127.0.0.1:{port}/")
                self._traded()
                shot = window.ask("GET", "/screenshot")  # of what a person sees without scrolling
                (TARGET / "page.png").write_bytes(base64.b64decode(shot))
            _terminal([(words, self._daemon.run(*words).out) for words in COMMANDS])

    def _traded(self) -> None:
        over = self._clock.steady_ns() + TRADED_S * SECOND_NS
        self.stir(
            CROWD.accounts(), lambda: self._clock.steady_ns() > over, 2 * TRADED_S, "the trading"
        )


def _plan() -> str:
    plan = PLAN
    for quick, slow in UNHURRIED:
        assert quick in plan, f"the plan of the rehearsal has no {quick!r} any more"
        plan = plan.replace(quick, slow)
    return plan


def _terminal(told: list[tuple[tuple[str, ...], str]]) -> None:
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for words, text in told:
        console.print(Text(f"$ risk-daemon-admin {' '.join(words)}", style="bold"))
        console.print(Text(text))
    console.save_svg(str(TARGET / "terminal.svg"), title="risk-daemon-admin")


if __name__ == "__main__":
    TARGET.mkdir(exist_ok=True)
    Stage(lambda _kind, _text: None).played()
