"""`verify-db`: is the state file whole. Looks only, whether the daemon runs or not."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any, Final

import msgspec

from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.errors import NotFound, OperatorError, TimedOut
from risk_daemon.journal.inspection import Inspection
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.sqlite import UNREADABLE
from risk_daemon.operations import home
from risk_daemon.operations.backup.backup_list import age_of_backup
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import DONE, FAILED, Outcome
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.words import count, duration
from risk_daemon.wire.record import FORMAT_VERSION

WITHIN_S: Final = 55.0
_PIECE: Final = 5_000

#: Each line of something wrong has one of these in it.
WRONG: Final = ("DAMAGED", "BROKEN", "DISAGREE", "READS ONLY")

type Row = dict[str, Any]


class Chain(msgspec.Struct, frozen=True, kw_only=True):
    """What was found along the records. `broken_at` 0: no gap, and each follows the one before."""

    first_seq: int = 0
    last_seq: int = 0
    records: int = 0
    broken_at: int = 0

    def line(self) -> str:
        """Say it."""
        if self.broken_at:
            return f"chain: BROKEN at record {self.broken_at}: lost, altered, or out of order"
        if not self.last_seq:
            return "chain: no record yet"
        told = f"seq {self.first_seq} to {self.last_seq}"
        return f"chain: holds over {count(self.records, 'record')}, {told}, no gap"


def verify(at: Home, clock: Timekeeper) -> Outcome:
    """Look at every page, every record and every table of the state file; changes nothing."""
    home.read(at)
    path = at.state / FILE
    if not path.is_file():
        raise NotFound(
            f"there is no state file {path}: this home has never run, or the file was moved. "
            "`risk-daemon-admin start` makes one; a backup's belongs in its place first."
        )
    size = sum(one.stat().st_size for one in (path, path.with_name(FILE + "-wal")) if one.exists())
    lines = [f"file: {path}, {size / 1e6:.1f} MB"]
    data: Row = {"file": str(path), "bytes": size, "backup_age_s": None}
    wrong = _each(
        lines,
        data,
        [
            lambda: _version(at),
            lambda: _structure(at),
            lambda: _chain(at, clock),
            lambda: _tables(at),
        ],
    )
    age_s = data["backup_age_s"] = age_of_backup(at, clock.now_ns())
    lines.append(_backup_line(age_s))
    if wrong:
        return Outcome(
            tuple(lines),
            FAILED,
            {"ok": False, **data},
            (
                "the journal refuses a damaged file at its next start; keep a copy before all; "
                "`restore --rebuild` keeps what can be read, and the damaged file",
            ),
            "risk-daemon-admin doctor",
        )
    return Outcome(
        tuple(lines), DONE, {"ok": True, **data}, next_command="risk-daemon-admin verify-state"
    )


def _backup_line(age_s: float | None) -> str:
    if age_s is None:
        return "backup: none was verified yet; `risk-daemon-admin backup create` makes one"
    return f"backup: the newest verified one is {duration(age_s * 1e3)} old"


type _Part = tuple[bool, str, Row]


def _each(lines: list[str], data: Row, parts: list[Callable[[], _Part]]) -> bool:
    """Do every part, the later ones also after a failure; returns whether any is wrong."""
    wrong = False
    for part in parts:
        try:
            ok, line, row = part()
        except OperatorError as error:
            if isinstance(error, TimedOut):
                raise
            ok, line, row = False, f"DAMAGED: {error.sentence}", {}
        if line not in lines:
            lines.append(line)
        data.update(row)
        wrong = wrong or not ok
    return wrong


def _version(at: Home) -> _Part:
    with closing(Inspection(at.state / FILE)) as file:
        schema, formats, unknown = file.schema(), file.formats(), file.unknown_formats()
    row: Row = {"schema": schema, "formats": formats}
    told = f"version: schema {schema}, records of format {', '.join(map(str, formats)) or 'none'}"
    if unknown:
        return False, f"{told}: THIS RELEASE READS ONLY up to {FORMAT_VERSION}", row
    return True, told, row


def _structure(at: Home) -> _Part:
    with closing(Inspection(at.state / FILE)) as file:
        found = file.structure()
    row: Row = {"structure": found}
    if found:
        return False, f"structure: DAMAGED: {'; '.join(found)}", row
    return True, "structure: every page and index is sound", row


def _tables(at: Home) -> _Part:
    with closing(Inspection(at.state / FILE)) as file:
        found = file.disagreements()
    row: Row = {"tables": found}
    if found:
        return False, f"tables: DISAGREE: {'; '.join(found)}", row
    return True, "tables: leases and policies are what their records say", row


def _chain(at: Home, clock: Timekeeper) -> _Part:
    try:
        chain = _followed(at, clock)
    except UNREADABLE as error:
        raise OperatorError(f"{at.state / FILE} can't be read: {error}.") from None
    return not chain.broken_at, chain.line(), msgspec.to_builtins(chain)


def _followed(at: Home, clock: Timekeeper) -> Chain:
    """Follow the chain from the oldest record to the newest, a piece at a time."""
    until = clock.steady_ns() + int(WITHIN_S * SECOND_NS)
    with closing(Reader(at.state / FILE)) as reader:
        first, anchor = reader.first_seq(), reader.beginning(1)
        if not first:
            return Chain()
        # The oldest record of a file whose beginning was archived is the anchor itself.
        seq, crc, records = anchor.seq, anchor.crc, int(anchor.seq == first)
        while True:
            check = reader.check(seq + 1, _PIECE, crc)
            seq, crc, records = check.last_seq, check.crc, records + check.checked
            if check.broken_at or check.checked < _PIECE:
                return Chain(
                    first_seq=first, last_seq=seq, records=records, broken_at=check.broken_at
                )
            if clock.steady_ns() > until:
                raise TimedOut(
                    f"the chain holds up to record {seq}; the rest was not reached within "
                    f"{WITHIN_S:g} s. Nothing was changed, it is safe to repeat."
                )
