"""What this release's link makes of recorded messages: facts, message by message.

Asked of two releases before one's link gives way to the other's: the same messages must become
the same facts. Messages come on standard input, as a link tells them (`frames`); a line of JSON
for each goes to standard output: a list of [kind, fields].
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import msgspec

from risk_daemon.broker.projectx.intake import Intake
from risk_daemon.core.events import Fact
from risk_daemon.wire.record import new_record


def main(argv: Sequence[str] | None = None) -> int:
    """Translate the messages on standard input."""
    parser = argparse.ArgumentParser(prog="risk-daemon intake", description=__doc__)
    parser.add_argument("--login", required=True, help="the login's name")
    parser.add_argument("--accounts", required=True, help="its accounts, with commas between them")
    args = parser.parse_args(argv)
    accounts = tuple(int(one) for one in args.accounts.split(","))
    frames = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=list[bytes])
    for told in translated(args.login, accounts, frames):
        sys.stdout.write(json.dumps(told) + "\n")
    return 0


def translated(
    login: str, accounts: tuple[int, ...], frames: Iterable[bytes]
) -> Iterator[list[list[Any]]]:
    """Yield the facts of each message: [kind, fields]; an error is a kind of its own."""
    found: list[Fact] = []
    intake = Intake(
        login,
        accounts,
        on_fact=found.append,
        on_contract=lambda _: None,
        on_quarantine=lambda _: None,
        on_market=lambda _: None,
    )
    handlers: dict[str, Callable[..., None]] = intake.handlers() | intake.market_handlers()
    for frame in frames:
        event, arguments = msgspec.msgpack.decode(frame)
        found.clear()
        try:
            if event in handlers:
                handlers[event](*arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other release has to show it too
            yield [["error", {"type": type(error).__name__}]]
            continue
        yield [_told(fact) for fact in found]


def _told(fact: Fact) -> list[Any]:
    record = new_record(fact)
    return [record.kind, msgspec.msgpack.decode(record.payload)]


if __name__ == "__main__":
    sys.exit(main())
