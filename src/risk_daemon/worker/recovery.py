"""Where a worker begins: the newest complete set of snapshots of its own release, else seq 1."""

from __future__ import annotations

import hashlib

import msgspec

from risk_daemon.core.world import (
    STATE_SCHEMA,
    World,
    decode_account,
    decode_surroundings,
    encode_account,
    encode_surroundings,
)
from risk_daemon.wire.control import Snapshot

#: The snapshot of what belongs to no account carries this number.
SURROUNDINGS = 0


def take(world: World, release: str) -> list[Snapshot]:
    """Make snapshots of everything, all at the same seq: they are only good together."""
    bodies = {SURROUNDINGS: encode_surroundings(world)}
    bodies |= {number: encode_account(account) for number, account in world.accounts.items()}
    made = [
        Snapshot(number, release, STATE_SCHEMA, world.seq, "", bodies[number])
        for number in sorted(bodies)
    ]
    return [msgspec.structs.replace(one, digest=digest_of(one)) for one in made]


def restore(snapshots: list[Snapshot]) -> World | None:
    """Rebuild the world from one complete set; None when there is none to be trusted.

    A snapshot whose hash is not that of its content was damaged: the stream is
    folded from the beginning instead.
    """
    by_account = {snapshot.account: snapshot for snapshot in snapshots}
    surroundings = by_account.pop(SURROUNDINGS, None)
    if surroundings is None:
        return None
    if any(digest_of(one) != one.digest for one in snapshots):
        return None
    if any(one.seq != surroundings.seq for one in snapshots):
        return None
    world = decode_surroundings(surroundings.body)
    for number, snapshot in by_account.items():
        world.accounts[number] = decode_account(snapshot.body)
    return world


def digest_of(snapshot: Snapshot) -> str:
    """Name a snapshot's content, before anything of it is believed."""
    return hashlib.blake2b(snapshot.body, digest_size=16).hexdigest()
