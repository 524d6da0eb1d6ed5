"""Brings what a login's emergency segment holds into the journal, and empties it then."""

from __future__ import annotations

from pathlib import Path

from risk_daemon.core.events import Fact, Intended, LeaseGranted
from risk_daemon.journal.segment import Segment, once
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Grant
from risk_daemon.wire.record import new_record


async def fold(segment: Segment, journal: JournalClient, aside: Path) -> list[str]:
    """Bring a segment into the journal and empty it; return what was not taken, in words.

    Raises JournalAway with the segment as it was: each fact is stored once by its name. One with
    lines that cannot be read is copied to `aside` first.
    """
    refused: list[str] = []
    folded = 0
    # What is written meanwhile is folded in too: between the last look and the end nobody waits.
    while len(facts := segment.read()) > folded:
        for fact in facts[folded:]:
            why = await _store(fact, journal)
            refused += [f"{once(fact) or type(fact).__name__}: {why}"] if why else []
        folded = len(facts)
    damaged = segment.damaged()
    if damaged:
        refused.append(f"{damaged} damaged lines of {segment.path}, {_kept(segment, aside)}")
    segment.clear()
    return refused


def _kept(segment: Segment, aside: Path) -> str:
    try:
        segment.set_aside(aside)
    except OSError as error:
        return f"and no copy could be kept ({error})"
    return f"kept as {aside}"


async def _store(fact: Fact, journal: JournalClient) -> str:
    record = new_record(fact, once(fact))
    if isinstance(fact, Intended):
        return (await journal.intend(fact.account, fact.epoch, fact.key, record)).refused
    if isinstance(fact, LeaseGranted):
        return await _grant(fact, journal)
    return (await journal.append([record])).refused


async def _grant(fact: LeaseGranted, journal: JournalClient) -> str:
    """Have the journal grant what was granted without it; it may have done so when it started."""
    grant = Grant(fact.account, fact.epoch - 1, fact.holder, fact.release)
    refused = (await journal.grant([grant])).refused
    if not refused:
        return ""
    held = {lease.account: lease for lease in (await journal.leases()).leases}
    lease = held.get(fact.account)
    is_there = lease is not None and lease.epoch >= fact.epoch
    return "" if is_there else refused
