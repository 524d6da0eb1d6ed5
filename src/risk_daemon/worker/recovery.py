"""Where a worker begins: the newest complete set of snapshots of its own release, else seq 1."""

from __future__ import annotations

import msgspec

from risk_daemon.core.engine import (
    STATE_SCHEMA,
    World,
    decode_account,
    decode_surroundings,
    encode_account,
    encode_surroundings,
    state_hash,
)
from risk_daemon.wire.control import Snapshot

#: The snapshot of what belongs to no account carries this number.
SURROUNDINGS = 0


def take(world: World, release: str) -> list[Snapshot]:
    """Make snapshots of everything, all at the same seq: they are only good together."""
    made = [
        Snapshot(SURROUNDINGS, release, STATE_SCHEMA, world.seq, "", encode_surroundings(world))
    ]
    for number in sorted(world.accounts):
        account = world.accounts[number]
        made.append(
            Snapshot(
                number,
                release,
                STATE_SCHEMA,
                world.seq,
                state_hash(account),
                encode_account(account),
            )
        )
    return made


def restore(snapshots: list[Snapshot]) -> World | None:
    """Rebuild the world from one complete set; None when there is none to be trusted.

    A snapshot whose hash is not that of its content was damaged: the stream is
    folded from the beginning instead.
    """
    by_account = {snapshot.account: snapshot for snapshot in snapshots}
    surroundings = by_account.pop(SURROUNDINGS, None)
    if surroundings is None:
        return None
    try:
        world = decode_surroundings(surroundings.body)
        for number, snapshot in by_account.items():
            if snapshot.seq != surroundings.seq:
                return None
            account = decode_account(snapshot.body)
            if state_hash(account) != snapshot.digest:
                return None
            world.accounts[number] = account
    except msgspec.DecodeError:
        return None
    return world
