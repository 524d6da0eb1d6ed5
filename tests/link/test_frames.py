"""The last messages of the hubs are kept as they came, and translated the same by the same code."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import msgspec

from risk_daemon.link.frames import BYTES_MAX, KEPT, Frames
from risk_daemon.operations.rollouts.handing_over import differences
from risk_daemon.programs.intake import translated

ORDER = {
    "id": 7,
    "accountId": 101,
    "contractId": "CON.F.US.MNQ.Z26",
    "creationTimestamp": "2026-11-27T10:00:00+00:00",
    "updateTimestamp": "2026-11-27T10:00:00+00:00",
    "status": 1,
    "type": 2,
    "side": 0,
    "size": 2,
}


def kept(*messages: tuple[object, ...], event: str = "GatewayUserOrder") -> list[bytes]:
    frames = Frames()
    handler = frames.noting({event: lambda *_: None})[event]
    for arguments in messages:
        handler(*arguments)
    return frames.told()


def test_a_message_is_kept_before_it_is_handled_and_reaches_its_handler() -> None:
    frames = Frames()
    seen: list[Any] = []

    def handler(*arguments: Any) -> None:
        seen.append((arguments, len(frames.told())))
        arguments[0].clear()

    frames.noting({"GatewayUserOrder": handler})["GatewayUserOrder"]({"id": 7})

    assert seen == [(({},), 1)]
    assert [msgspec.msgpack.decode(one) for one in frames.told()] == [
        ["GatewayUserOrder", [{"id": 7}]]
    ]


def test_the_oldest_messages_give_way() -> None:
    many = kept(*((number,) for number in range(KEPT + 2)))
    large = kept(*((bytes(BYTES_MAX // 2),) for _ in range(3)))

    assert [msgspec.msgpack.decode(one)[1] for one in (many[0], many[-1])] == [[2], [KEPT + 1]]
    assert len(many) == KEPT
    assert len(large) == 1


def test_what_cannot_be_written_down_is_handled_all_the_same() -> None:
    frames = Frames()
    seen: list[Any] = []

    frames.noting({"GatewayQuote": seen.append})["GatewayQuote"](object)

    assert (seen, frames.told()) == ([object], [])


def test_a_program_of_the_release_tells_the_facts_of_each_message() -> None:
    frames = kept((ORDER,), ({"id": "x", "accountId": 101},), (ORDER, {**ORDER, "id": 8}))
    words = [sys.executable, "-m", "risk_daemon.programs.intake", "--login", "north"]

    done = subprocess.run(
        [*words, "--accounts", "101,102"],
        input=msgspec.msgpack.encode(frames),
        capture_output=True,
        check=True,
    )

    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [[kind for kind, _ in facts] for facts in told] == [
        ["order-changed"],
        ["record-quarantined"],
        ["order-changed", "order-changed"],
    ]
    assert [facts[-1][1].get("order") for facts in told] == [7, None, 8]


def test_an_error_is_what_a_release_makes_of_a_message_too() -> None:
    (frame,) = kept(("a", "b", "c"), event="GatewayUserOrder")
    odd = msgspec.msgpack.encode(("GatewayQuote", 5))

    told = list(translated("north", (101,), [frame, odd]))

    assert told[1] == [["error", {"type": "TypeError"}]]


def test_facts_that_differ_are_named_by_their_first_field() -> None:
    ours: list[list[list[Any]]] = [
        [["order-changed", {"side": 1, "size": 2}]],
        [["order-changed", {"side": 1}]],
        [],
        [["mark-changed", {"bid": 5}]],
    ]
    theirs: list[list[list[Any]]] = [
        [["order-changed", {"side": 1, "size": 2, "news": 1}]],
        [["order-changed", {"side": -1}]],
        [["mark-changed", {}]],
        [["mark-changed", {"bid": 5}]],
    ]

    assert list(differences(ours, ours)) == []
    assert list(differences(ours, theirs)) == [
        "message 2: order-changed side 1 becomes -1",
        "message 3: no fact becomes mark-changed",
    ]
