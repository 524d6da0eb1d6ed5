"""What was made durable without the journal comes into it, whole and once; then the file goes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.core.events import Fact, Goal, Intended, OperatorActed
from risk_daemon.errors import JournalAway
from risk_daemon.link.emergency import EmergencyFile, fold
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Grant
from risk_daemon.wire.record import decode
from tests.journal.homes import Home, on_loop, policy

ACCOUNT = 7
ACT = OperatorActed(account=ACCOUNT, act="flatten-lock", by="anna", reason="r", act_id="a1")
KINDS = ("intended", "operator-acted")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    home.start()
    yield home
    home.kill()


def intended(epoch: int) -> Intended:
    goal = Goal(act="close", account=ACCOUNT, contract="MNQ", locked=True)
    return Intended(account=ACCOUNT, epoch=epoch, cause_seq=0, key=f"close-{epoch}", goal=goal)


async def leased(home: Home) -> JournalClient:
    """A journal that knows the account, held at epoch 1."""
    journal = await home.client()
    await journal.append([policy(ACCOUNT)])
    await journal.grant([Grant(ACCOUNT, 0, "worker-1", "v1")])
    return journal


async def stored(journal: JournalClient) -> list[Fact]:
    return [decode(record).fact for record in await journal.tail(1, kinds=KINDS, limit=100)]


def written(home: Home, *facts: Fact) -> EmergencyFile:
    file = EmergencyFile(home.path / "emergency.jsonl")
    for fact in facts:
        file.write(fact)
    return file


@on_loop
async def test_goals_and_acts_come_in_and_the_file_goes(home: Home) -> None:
    journal = await leased(home)
    file = written(home, intended(1), ACT)

    refused = await fold(file, journal)

    assert refused == []
    assert await stored(journal) == [intended(1), ACT]
    assert file.read() == []


@on_loop
async def test_folded_in_twice_they_are_stored_once(home: Home) -> None:
    journal = await leased(home)
    await fold(written(home, intended(1), ACT), journal)

    await fold(written(home, intended(1), ACT), journal)

    assert await stored(journal) == [intended(1), ACT]


@on_loop
async def test_a_goal_the_journal_refuses_keeps_nothing_else_out_and_is_told(home: Home) -> None:
    journal = await leased(home)

    refused = await fold(written(home, intended(9), ACT), journal)

    assert await stored(journal) == [ACT]
    assert refused == ["close-9: account 7: its epoch is 1, not 9"]


@on_loop
async def test_while_the_journal_is_away_the_file_stays(home: Home) -> None:
    journal = await leased(home)
    file = written(home, ACT)
    journal.close()

    with pytest.raises(JournalAway):
        await fold(file, journal)

    assert file.read() == [ACT]
