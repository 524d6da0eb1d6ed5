"""The heartbeat: a worker telling the supervisor that it lives, and what it enforces.

The supervisor compares this with the leases; it never takes a role for granted.
"""

from __future__ import annotations

from typing import Final

from risk_daemon.wire.control import Answer, Ask, Frame, Int

#: Why a login is blind, said by the supervisor once its link is dead and reaped: goals decided
#: after this, and before the next link speaks, have certainly not left.
LINK_IS_DOWN: Final = "its link is not running"


class Heartbeat(Frame, frozen=True, tag="heartbeat"):
    """`enforcing` are (account, epoch) pairs; `seq` is the last record folded.

    `poisoned` are (account, seq): a record of the account could not be folded, so the worker
    neither holds nor may be given it.
    """

    name: str
    release: str
    pid: Int
    seq: Int
    is_ready: bool
    enforcing: tuple[tuple[Int, Int], ...] = ()
    poisoned: tuple[tuple[Int, Int], ...] = ()


type Heard = Heartbeat | Ask | Answer
