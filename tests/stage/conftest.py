"""One short demo, played once for all tests here: its verdict, and the home it left behind."""

from pathlib import Path
from typing import Any

import pytest

from risk_daemon.stage.play import Play
from tests.untraced import leave_children_untraced

leave_children_untraced()

#: Long enough for the operator's button at 7 s and the dropped connection at 10 s.
SECONDS = 18
SEED = 7


class Played:
    """What a demo left."""

    def __init__(self, verdict: dict[str, Any], home: Path, said: list[tuple[str, str]]) -> None:
        self.verdict, self.home, self.said = verdict, home, said

    @property
    def journal(self) -> Path:
        return self.home / "state" / "journal.db"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Played:
    folder = tmp_path_factory.mktemp("demo")
    said: list[tuple[str, str]] = []
    play = Play(SECONDS, SEED, lambda kind, text: said.append((kind, text)), keep=folder)
    return Played(play.run(), folder / "home", said)
