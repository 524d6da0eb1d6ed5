"""Replay: the same records must give the same decisions and hashes, bit for bit.

Intents and snapshots may be missing from what is replayed; what was recorded
of decisions is compared with what is decided now. One altered fact fails it.

A stream may have been decided by several releases in turn. What another release decided while
it held an account, and is not decided here, is no fault: it is told apart (`elsewhere`). State
hashes are only compared with those of the same release.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from risk_daemon.core.engine import Engine
from risk_daemon.core.events import (
    BreachFound,
    Entry,
    Fact,
    HashTaken,
    Intended,
    LockEnded,
    LockPlaced,
    Pulse,
)
from risk_daemon.core.world import Parser, state_hash
from risk_daemon.wire.record import Record, decode, encode, holds

#: So many pulses that moved an account may lie between a hash and its record.
BEFORE_MAX: Final = 16

Decision = Intended | LockPlaced | LockEnded | BreachFound
DECISIONS: Final = (Intended, LockPlaced, LockEnded, BreachFound)


class Replayed(msgspec.Struct, kw_only=True):
    """What a replay showed. `differences` is empty when all is as it was.

    `elsewhere`: what another release decided while it held the account, and this one does not.
    `digest` names all decisions in their order: two replays that decided the same have the same.
    """

    records: int = 0
    hashes: int = 0
    decisions: int = 0
    recorded: int = 0
    last_seq: int = 0
    digest: str = ""
    differences: list[str] = msgspec.field(default_factory=list)
    elsewhere: list[str] = msgspec.field(default_factory=list)


class Replay:
    """Folds records one by one and compares on the way; as `release`, or as any if it is empty."""

    def __init__(self, catalog: Mapping[str, Parser], release: str = "") -> None:
        self.engine = Engine(catalog, release=release)
        self.found = Replayed()
        self._release = release
        self._decided: set[tuple[str, bytes]] = set()
        self._recorded: list[tuple[int, str, bytes, str]] = []
        self._crc: int | None = None
        self._digest = hashlib.blake2b(digest_size=16)
        self._before: dict[int, list[tuple[int, int, str]]] = {}

    def take(self, record: Record) -> None:
        """Fold one record; its place in the chain is checked if the one before is known."""
        follows = self._crc is not None and record.seq == self.found.last_seq + 1
        if follows and not holds(self._crc or 0, record):
            self._differ(record.seq, "the chain is broken: a record was altered")
        self._crc, self.found.last_seq = record.crc, record.seq
        entry = decode(record)
        fact = entry.fact
        if isinstance(fact, DECISIONS):
            self._recorded.append((record.seq, *_name(fact), self._other(fact)))
        elif isinstance(fact, HashTaken):
            self._compare(record.seq, fact)
        elif isinstance(fact, Pulse):
            self._remember(entry)
        for output in self.engine.step(entry):
            self._note(output)
        self.found.records += 1

    def _other(self, fact: Decision) -> str:
        """Say what another release decided, in words; empty if it was this one, or nobody knows."""
        holder = self.engine.world.accounts.get(fact.account)
        by = holder.release if holder else ""
        if not self._release or by in ("", self._release):
            return ""
        said = f": {fact.rule}, {fact.text}" if isinstance(fact, BreachFound) else ""
        return f"account {fact.account}, decided by {by} and not by {self._release}{said}"

    def _note(self, output: Fact) -> None:
        if isinstance(output, DECISIONS):
            self.found.decisions += 1
            name, payload = _name(output)
            self._decided.add((name, payload))
            self._digest.update(name.encode() + payload)

    def _compare(self, seq: int, fact: HashTaken) -> None:
        """Compare a recorded hash; it belongs to the state after `fact.seq`."""
        if self._release and fact.release != self._release:
            return  # another release's state has another shape
        mine = self._hash_at(fact)
        if mine is None:
            return  # taken beside later records of the account: the next one tells
        self.found.hashes += 1
        if mine != fact.digest:
            self._differ(seq, f"state of account {fact.account} is {mine}, was {fact.digest}")

    def _hash_at(self, fact: HashTaken) -> str | None:
        for seq, count, digest in self._before.get(fact.account, ()):
            if seq > fact.seq and count == fact.count:
                return digest
        account = self.engine.world.accounts.get(fact.account)
        if account is None or account.records != fact.count:
            return None
        return state_hash(account)

    def _remember(self, entry: Entry) -> None:
        """Keep the hashes from before a pulse.

        It changes state and is not counted, and it may come between the taking of a hash
        and its place in the stream.
        """
        for number, account in self.engine.world.accounts.items():
            if account.wake_at and account.wake_at <= entry.at:
                kept = self._before.setdefault(number, [])
                kept.append((entry.seq, account.records, state_hash(account)))
                del kept[:-BEFORE_MAX]

    def finish(self) -> Replayed:
        """Compare what was recorded with what was decided; return what came of it all."""
        self.found.recorded = len(self._recorded)
        self.found.digest = self._digest.hexdigest()
        for seq, name, payload, other in self._recorded:
            if (name, payload) in self._decided:
                continue
            if other:
                self.found.elsewhere.append(f"seq {seq}: {name} of {other}")
            else:
                self._differ(seq, f"{name} was recorded and is not decided now")
        return self.found

    def _differ(self, seq: int, text: str) -> None:
        self.found.differences.append(f"seq {seq}: {text}")


def _name(fact: Decision) -> tuple[str, bytes]:
    if isinstance(fact, Intended):
        return f"intent {fact.key}", encode(fact)
    return type(fact).__name__, encode(fact)


def replay(records: Iterable[Record], catalog: Mapping[str, Parser], release: str = "") -> Replayed:
    """Replay a whole stream, as a release, or as any if it is empty."""
    one = Replay(catalog, release)
    for record in records:
        one.take(record)
    return one.finish()
