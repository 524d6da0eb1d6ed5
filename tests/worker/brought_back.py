"""A limit that is broken and kept again, on a stream: what a goal of a worker goes through."""

from __future__ import annotations

from risk_daemon.core.events import FeedChanged
from tests.build import SECOND, Stream, intents, lease, position, reading


def brought_back(
    stream: Stream, residues: int = 0, waits: int = 0, proof: int = 0, *, cut_off: bool = False
) -> None:
    """One contract too many is closed, after a while, and read to be gone, after another one."""
    stream.fill(1, 1, 3)
    (intended,) = intents(stream.outputs)
    if cut_off:
        stream.feed(FeedChanged(login=stream.account.login, state="blind"))
        stream.pulse()
        stream.feed(FeedChanged(login=stream.account.login, state="trusted"))
    stream.at += waits
    stream.send(intended)
    for plan in stream.account.plans.values():
        plan.residues = [1] * residues
    stream.feed(lease(2))
    stream.fill(2, -1, 1)
    stream.settle(intended)
    stream.at += proof
    stream.feed(reading(position(2), began_at=stream.at))
    stream.pulse(3 * SECOND)
    stream.feed(reading(position(2), began_at=stream.at))
