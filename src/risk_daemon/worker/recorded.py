"""A recorded stream decided again by a release that did not hold its accounts, and compared.

For a throw-away process: it reads a state file, or a copy of one, and writes nothing. A re-seed
takes effect at the record that asks for it; those that were recorded are another worker's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.core.engine import Engine
from risk_daemon.core.events import DecisionCompared, Entry, ShadowReseeded
from risk_daemon.core.shadow import KINDS
from risk_daemon.core.world import Parser
from risk_daemon.journal.reader import Reader
from risk_daemon.rules.declared import Declared
from risk_daemon.wire.record import Record, decode
from risk_daemon.worker.differing import RECORDED, Comparer

PAGE: Final = 2_000


class Recorded:
    """Folds records one by one as `release`; `found` is what came of it, in their order."""

    def __init__(
        self, catalog: Mapping[str, Parser], release: str, declared: Iterable[Declared] = ()
    ) -> None:
        self.engine = Engine(catalog, release=release)
        self.found: list[DecisionCompared] = []
        self.reseeds = 0
        self.records = 0
        self._comparer = Comparer(release, declared, source=RECORDED)

    def take(self, record: Record) -> None:
        """Fold one record, and compare."""
        entry = decode(record)
        self.records += 1
        if not isinstance(entry.fact, KINDS):
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        for said in self._comparer.take(entry, self.engine.step(entry), self.engine):
            if isinstance(said, DecisionCompared):
                self.found.append(said)
            elif isinstance(said, ShadowReseeded):
                self.reseeds += 1
                self._take(Entry(entry.seq, entry.at, said.account, said))


def compare(
    file: Path, catalog: Mapping[str, Parser], release: str, declared: Iterable[Declared]
) -> dict[str, Any]:
    """Decide a whole state file again; return the findings as plain data."""
    one = Recorded(catalog, release, declared)
    reader = Reader(file)
    try:
        last, from_seq = reader.last(), max(reader.first_seq(), 1)
        first = from_seq
        while last is not None and from_seq <= last.seq:
            page = reader.records(from_seq, last.seq, (), PAGE)
            for record in page.records:
                one.take(record)
            from_seq = page.next_seq
    finally:
        reader.close()
    return {
        "release": release,
        "records": one.records,
        "first_seq": first,
        "last_seq": last.seq if last is not None else 0,
        "reseeds": one.reseeds,
        "poisoned": sorted(one.engine.poisoned),
        "findings": [msgspec.to_builtins(found) for found in one.found],
    }
