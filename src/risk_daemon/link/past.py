"""What a link asks the journal before it begins: all that an earlier run left."""

from __future__ import annotations

from typing import Final

from risk_daemon.core.events import PolicyAdopted
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import Record, decode

PAGE: Final = 10_000


async def leases(journal: JournalClient, accounts: tuple[int, ...]) -> list[tuple[int, int, str]]:
    """Return the highest epoch of each of these accounts that was ever leased, and its release.

    Of no other: what a link says of the epochs it lets through is compared with the leases, and
    those of another login it would not follow.
    """
    held = await journal.leases()
    return [
        (lease.account, lease.epoch, lease.release)
        for lease in held.leases
        if lease.account in accounts
    ]


async def last_seq(journal: JournalClient) -> int:
    """Return the place in the stream that everything before is the past of."""
    status = await journal.ask("status")
    return int(status.data["last_seq"])


async def policies(journal: JournalClient) -> dict[int, PolicyAdopted]:
    """Return the last policy of every account."""
    facts = [decode(record).fact for record in await tail(journal, ("policy-adopted",), 1, 0)]
    return {fact.account: fact for fact in facts if isinstance(fact, PolicyAdopted)}


async def tail(
    journal: JournalClient, kinds: tuple[str, ...], from_seq: int, since: int
) -> list[Record]:
    """Read all records of some kinds, page by page."""
    found: list[Record] = []
    while True:
        page = await journal.tail(from_seq, since_at=since, kinds=kinds, limit=PAGE)
        found += page
        if len(page) < PAGE:
            return found
        from_seq, since = page[-1].seq + 1, 0


async def last(journal: JournalClient, kinds: tuple[str, ...], number: int) -> list[Record]:
    """Read the last records of some kinds."""
    return await journal.tail(-number, kinds=kinds, limit=number)
