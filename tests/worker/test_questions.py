"""Questions about copies: answered a piece at a time, whoever else asks, and beside all else."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from risk_daemon.errors import NotFound
from risk_daemon.worker.questions import Questions
from tests.build import ACCOUNT, Stream, lease, policy, reading, rule

ASKED = 20


def guarded() -> Stream:
    stream = Stream()
    stream.open(rule("max-contracts", limit=2), roots=("MNQ",))
    return stream


async def counted(*asked: Any) -> tuple[list[Any], int]:
    """Ask all at once; return the answers, and how often everything else had its turn."""
    turns = 0

    async def beat() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beating = asyncio.create_task(beat())
    answers = await asyncio.gather(*asked)
    beating.cancel()
    return list(answers), turns


def test_between_two_accounts_everything_else_has_its_turn_however_many_ask() -> None:
    stream = guarded()
    questions = Questions(stream.engine, "v1")
    rules = len(stream.engine.catalog)

    answers, turns = asyncio.run(
        counted(*(questions.op_test_rule({"rule": "all"}) for _ in range(ASKED)))
    )

    assert [len(one["accounts"]) for one in answers] == [rules] * ASKED
    assert turns >= ASKED


def test_who_asks_for_one_account_does_not_wait_for_who_asks_for_all() -> None:
    stream = guarded()
    for number in range(ACCOUNT + 1, ACCOUNT + ASKED):
        facts = policy(rule("max-contracts", limit=2)), lease(1), reading()
        stream.feed(*(msgspec.structs.replace(one, account=number) for one in facts))
    questions = Questions(stream.engine, "v1")
    ended: list[str] = []

    async def ask(name: str, **more: int) -> None:
        await questions.op_test_rule({"rule": "all", **more})
        ended.append(name)

    async def both() -> None:
        await asyncio.gather(ask("all"), ask("one", account=ACCOUNT))

    asyncio.run(both())

    assert ended == ["one", "all"]


def test_cases_that_are_decided_leave_room_too() -> None:
    questions = Questions(guarded().engine, "v1")

    async def decided() -> tuple[int, int]:
        made = (await questions.op_boundary({"account": ACCOUNT}))["cases"]
        (answer,), turns = await counted(questions.op_decide({"cases": made}))
        assert len(answer["decided"]) == len(made) > 0
        return len(made), turns

    cases, turns = asyncio.run(decided())

    assert turns >= cases


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (
            {"rule": "max-contracts", "account": 99},
            f"account 99 is not guarded here; guarded: {ACCOUNT}",
        ),
        ({"rule": "none"}, "there is no rule 'none'; rules: "),
    ],
)
def test_what_is_not_there_is_named(asked: dict[str, Any], why: str) -> None:
    with pytest.raises(NotFound) as said:
        asyncio.run(Questions(guarded().engine, "v1").op_test_rule(asked))

    assert why in said.value.sentence
