"""What a link asks the journal before it begins: all that an earlier run left."""

from __future__ import annotations

from typing import Final

from risk_daemon.core.events import PolicyAdopted
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import Record, decode

PAGE: Final = 10_000


async def leases(journal: JournalClient) -> list[tuple[int, int, str]]:
    """Return the highest epoch of every account that was ever leased, and the release it is of."""
    held = await journal.leases()
    return [(lease.account, lease.epoch, lease.release) for lease in held.leases]


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
