"""Brings what a login's emergency segment holds into the journal, and empties it then."""

from __future__ import annotations

from pathlib import Path

from risk_daemon.core.events import Fact, Intended, LeaseGranted
from risk_daemon.errors import JournalAway
from risk_daemon.journal.segment import Segment, once
from risk_daemon.wire import control
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Grant
from risk_daemon.wire.record import new_record


async def fold(segment: Segment, journal: JournalClient, aside: Path) -> list[str]:
    """Bring a segment into the journal and empty it; return what was not taken, in words.

    Raises JournalAway with the segment as it was: each fact is stored once by its name. So it does
    where the journal took a part of it only, and may take the rest another time: nothing else
    keeps that durable. One with lines that cannot be read is copied to `aside` first.
    """
    refused: list[str] = []
    waits: list[str] = []
    folded = 0
    # What is written meanwhile is folded in too: between the last look and the end nobody waits.
    while len(facts := segment.read()) > folded:
        for fact in facts[folded:]:
            why, is_for_now = await _store(fact, journal)
            told = waits if is_for_now else refused
            told += [f"{once(fact) or type(fact).__name__}: {why}"] if why else []
        folded = len(facts)
    if waits:
        raise JournalAway(f"not stored yet: {waits[0]}")
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


async def _store(fact: Fact, journal: JournalClient) -> tuple[str, bool]:
    """Have a fact stored; return why it was not, and whether it may be yet."""
    record = new_record(fact, once(fact))
    if isinstance(fact, LeaseGranted):
        return await _grant(fact, journal), False
    said: control.Intended | control.Appended
    if isinstance(fact, Intended):
        said = await journal.intend(fact.account, fact.epoch, fact.key, record)
    else:
        said = await journal.append([record])
    return said.refused, may_be_stored_yet(fact, said)


def may_be_stored_yet(fact: Fact, said: control.Intended | control.Appended) -> bool:
    """Tell whether a refusal is for now: the disk is full, or too much waits for it.

    A goal of an epoch that is over is never stored, nor is what is about nobody's account.
    """
    if not said.refused:
        return False
    if isinstance(said, control.Intended):
        return isinstance(fact, Intended) and said.epoch == fact.epoch
    return not said.accounts


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
