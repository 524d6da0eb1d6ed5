"""A long batch is folded in pieces: in order, whole, and with turns for others between."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable

from risk_daemon.wire.record import Record
from risk_daemon.worker.pieces import LEFT_MAX, PIECE_NS, Pieces


def steps() -> Callable[[], int]:
    """A steady time that goes on by a third of a piece with every look."""
    times = itertools.count(step=PIECE_NS // 3 + 1)
    return lambda: next(times)


def records(count: int) -> list[Record]:
    return [Record(n, n, 1, "pulse", 0, b"", 0) for n in range(1, count + 1)]


def pieces(folded: list[object], *, error_at: int = 0) -> tuple[Pieces, list[Exception]]:
    errors: list[Exception] = []

    def fold(record: Record) -> None:
        if record.seq == error_at:
            raise ValueError("a record that cannot be folded")
        folded.append(record.seq)

    made = Pieces(
        steps(),
        fold,
        lambda count: folded.append(f"piece of {count}"),
        errors.append,
        on_full=lambda: folded.append("full"),
        on_room=lambda: folded.append("room"),
    )
    return made, errors


def test_a_long_batch_lets_others_have_their_turn_between_its_pieces() -> None:
    seen: list[object] = []

    async def play() -> None:
        made, _ = pieces(seen)
        asyncio.get_running_loop().call_soon(seen.append, "another")
        made.take(records(7))
        made.take(records(1))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(play())

    assert seen[:5] == [1, 2, 3, "piece of 3", "another"]
    assert [one for one in seen if isinstance(one, int)] == [1, 2, 3, 4, 5, 6, 7, 1]


def test_what_waits_for_the_end_of_the_stream_comes_after_all_of_it() -> None:
    seen: list[object] = []

    async def play() -> None:
        made, _ = pieces(seen)
        made.take(records(4))
        made.afterwards(lambda: seen.append("caught up"))
        await asyncio.sleep(0)
        made.afterwards(lambda: seen.append("at once"))

    asyncio.run(play())

    assert seen == [1, 2, 3, "piece of 3", 4, "piece of 1", "caught up", "at once"]


def test_who_is_given_more_than_it_folds_says_so_and_when_there_is_room() -> None:
    seen: list[object] = []

    async def play() -> None:
        made, _ = pieces(seen)
        made.take(records(LEFT_MAX))
        made.take(records(4))
        made.take(records(1))
        folded = asyncio.Event()
        made.afterwards(folded.set)
        await folded.wait()

    asyncio.run(play())

    told = [one for one in seen if one in ("full", "room")]
    assert told == ["full", "full", "room"]
    folded = [one for one in seen[: seen.index("room")] if isinstance(one, int)]
    assert LEFT_MAX // 2 <= len(folded) < LEFT_MAX


def test_nothing_is_folded_after_a_record_that_cannot_be() -> None:
    seen: list[object] = []

    async def play() -> list[Exception]:
        made, errors = pieces(seen, error_at=2)
        made.take(records(3))
        made.take(records(3))
        made.afterwards(lambda: seen.append("caught up"))
        await asyncio.sleep(0)
        return errors

    assert [str(error) for error in asyncio.run(play())] == ["a record that cannot be folded"]
    assert seen == [1]
