"""The same code under another name, beside the holder, while traders trade and something breaks."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.rollouts import differences
from risk_daemon.operations.stored import entries
from risk_daemon.rollout import difference
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.play import Play
from risk_daemon.stage.second_release import install
from tests.untraced import untraced_children

SAME = "v8.8.8"
#: Long enough for a connection reset, a frozen feed and a kill -9 of the holder.
SECONDS = 40.0


class Shadowed(Daemon):
    """A daemon with a second release warm before anyone trades."""

    def found(self, gateway: Gateway, offset_s: float = 0.0) -> None:
        super().found(gateway, offset_s)
        install(self.home, SAME)

    def start(self) -> None:
        super().start()
        asked.ask(Home(self.home), asked.SUPERVISOR, "warm", {"release": SAME}, 60.0)


class Beside(Play):
    """A demo with that daemon."""

    def _daemon(self, folder: Path) -> Daemon:
        return Shadowed(folder / "home")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("beside")
    with untraced_children():
        verdict = Beside(SECONDS, 7, _nobody, quiet=True, keep=folder).run()
    return Home(folder / "home"), verdict


def test_it_agrees_on_every_finding_that_can_be_compared(
    played: tuple[Home, dict[str, Any]],
) -> None:
    home, verdict = played

    found = differences.read(home)

    differing = [difference.told(one) for one in found if difference.differs(one)]
    assert differing == []
    verdicts = Counter(one.verdict for one in found)
    assert verdicts["agrees"] > 5, f"of {verdict['breaches']} breaches"
    assert verdicts["agrees"] > 4 * verdicts["unseen"]


def test_and_its_accounts_need_no_putting_right(played: tuple[Home, dict[str, Any]]) -> None:
    home, _ = played

    assert list(entries(home.state / "journal.db", ("shadow-reseeded",))) == []


def _nobody(kind: str, text: str) -> None:
    """Whom all is told."""
