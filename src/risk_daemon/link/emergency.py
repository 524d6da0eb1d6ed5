"""The append-and-flush file for the time the journal is away.

What must be durable before it is acted on (a goal that closes, a person's act)
is written here line by line, flushed to the disk, and folded into the journal
when that is back; only then is the file emptied. A torn last line is what a
crash leaves: it was not acted on, for the flush had not returned.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.core.events import Fact, Intended, OperatorActed
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import KINDS, NAMES, encode, new_record

FORMAT: Final = 1


class EmergencyFile:
    """One login's file. Lines: {"format", "kind", "payload", "crc"}."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, fact: Fact) -> None:
        """Make a fact durable; returns when it is on the disk. OSError when it is not."""
        line = json.dumps(
            {
                "format": FORMAT,
                "kind": NAMES[type(fact)],
                "payload": base64.b64encode(encode(fact)).decode(),
            }
        )
        with self._path.open("ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def read(self) -> list[Fact]:
        """Return what was written; a torn last line is left out."""
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        facts: list[Fact] = []
        for line in lines:
            if not line:
                continue
            try:
                row = json.loads(line)
                payload = base64.b64decode(row["payload"])
                facts.append(msgspec.msgpack.decode(payload, type=KINDS[row["kind"]]))
            except (ValueError, KeyError, msgspec.DecodeError):
                if line is lines[-1]:
                    break
                raise
        return facts

    def clear(self) -> None:
        """Empty the file: the journal has it all."""
        self._path.unlink(missing_ok=True)


async def fold(file: EmergencyFile, journal: JournalClient) -> list[str]:
    """Bring a file into the journal and empty it; return what was refused, in words.

    Raises JournalAway with the file as it was: each fact is stored once by its name.
    """
    refused: list[str] = []
    folded = 0
    # What is written meanwhile is folded in too: between the last look and the end nobody waits.
    while len(facts := file.read()) > folded:
        for fact in facts[folded:]:
            why = await _store(fact, journal)
            refused += [f"{once(fact)}: {why}"] if why else []
        folded = len(facts)
    file.clear()
    return refused


async def _store(fact: Fact, journal: JournalClient) -> str:
    record = new_record(fact, once(fact))
    if isinstance(fact, Intended):
        return (await journal.intend(fact.account, fact.epoch, fact.key, record)).refused
    return (await journal.append([record])).refused


def once(fact: Fact) -> str:
    """Return the name under which a fact is stored once, however often it is folded in."""
    if isinstance(fact, Intended):
        return fact.key
    if isinstance(fact, OperatorActed):
        return fact.act_id
    return ""
