"""What a person or a script may ask of the journal: status, verify, tail, copy, confirm-time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from risk_daemon.errors import Malformed, Refused, UsageError
from risk_daemon.journal.sqlite import sqlite3
from risk_daemon.journal.subscriber import split
from risk_daemon.wire import control
from risk_daemon.wire.record import Record
from risk_daemon.wire.transport import Channel, tasks

if TYPE_CHECKING:
    from risk_daemon.journal.server import JournalServer

_TAIL_MAX: Final = 1_000
_KINDS_MAX: Final = 64
_LEASES_SHOWN: Final = 1_000
_NUMBER_MAX: Final = 1 << 62
_NAME: Final = re.compile(r"[0-9A-Za-z-]{1,80}")


class Admin:
    """The journal's side of the admin protocol."""

    def __init__(self, journal: JournalServer) -> None:
        self._journal = journal
        self._ops: dict[str, control.Op] = {
            "status": self._status,
            "verify": self._verify,
            "tail": self._tail,
            "copy": self._copy,
            "confirm-time": self._confirm_time,
            "tasks": tasks,
        }

    async def answer(self, channel: Channel, ask: control.Ask) -> None:
        """Answer one Ask."""
        answer = await control.answer(ask, self._ops)
        try:
            channel.send(answer)
        except (Malformed, RecursionError) as error:
            channel.send(control.Answer(ask.id, False, error=f"can't be shown: {error}", exit=1))

    async def _status(self, _: dict[str, Any]) -> dict[str, Any]:
        journal = self._journal
        leases = [lease for _, lease in sorted(journal.intake.leases.items())]
        return {
            "last_seq": journal.recent.last_seq,
            "at": journal.intake.last_at,
            "records_per_s": journal.figures.records_per_s(),
            "file_bytes": _size(journal.path),
            "log_bytes": _size(journal.path.with_name(journal.path.name + "-wal")),
            "fsync_p50_ms": journal.figures.commit_ms(0.5),
            "fsync_p95_ms": journal.figures.commit_ms(0.95),
            "subscribers": [
                {
                    "name": peer.channel.peer.name,
                    "role": peer.channel.peer.role,
                    "live": peer.subscription.is_live,
                    "buffered": peer.channel.buffered,
                }
                for peer in journal.peers
                if peer.subscription is not None
            ],
            "lease_count": len(leases),
            "leases": [msgspec.structs.asdict(lease) for lease in leases[:_LEASES_SHOWN]],
            "incarnation": journal.intake.incarnation,
            "clock_divergence_s": round(journal.clock.divergence_ns() / 1e9, 3),
            "sqlite": sqlite3.sqlite_version,
            "is_tight": journal.intake.is_tight,
            "stale_refused": journal.intake.stale,
        }

    async def _verify(self, _: dict[str, Any]) -> dict[str, Any]:
        return await self._journal.looker.verify()

    async def _tail(self, args: dict[str, Any]) -> dict[str, Any]:
        limit = _integer(args, "limit", 20)
        if not 0 < limit <= _TAIL_MAX:
            raise UsageError(f"limit must be 1 to {_TAIL_MAX}, was {limit}")
        kinds = args.get("kinds", [])
        if not isinstance(kinds, list) or not all(isinstance(kind, str) for kind in kinds):
            raise UsageError(f"kinds must be a list of names, was {kinds!r}")
        if len(kinds) > _KINDS_MAX:
            raise UsageError(f"at most {_KINDS_MAX} kinds, were {len(kinds)}")
        from_seq = _integer(args, "from_seq", -limit)
        records = await self._journal.looker.read(from_seq, kinds, limit)
        fitting = next(split(records), [])
        return {"records": [_shown(r) for r in fitting], "more": len(fitting) < len(records)}

    async def _copy(self, args: dict[str, Any]) -> dict[str, Any]:
        """Copy the state file and the lock file into a new folder among the home's backups."""
        name = args.get("name", "")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise UsageError(f"name must be 1 to 80 letters, digits and dashes, was {name!r}")
        folder = copying_folder(self._journal.path.parent.parent, name)
        try:
            folder.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise Refused(f"{folder} can't be made: {error.strerror or error}") from None
        began = self._journal.clock.steady_ns()
        copied = await self._journal.copy(folder)
        took_ms = (self._journal.clock.steady_ns() - began) / 1e6
        return {**msgspec.structs.asdict(copied), "took_ms": round(took_ms, 1)}

    async def _confirm_time(self, args: dict[str, Any]) -> dict[str, Any]:
        """A witness from outside (a broker's answer) says what time it is."""
        return {"confirmed": self._journal.clock.confirm(_integer(args, "utc_ns", 0))}


def copying_folder(home: Path, name: str) -> Path:
    """Return where a copy is made that is to become the backup of this name."""
    return home / "backups" / f".{name}.new"


def _shown(record: Record) -> dict[str, Any]:
    return {
        "seq": record.seq,
        "at": record.at,
        "kind": record.kind,
        "account": record.account,
        "fact": _payload(record.payload),
    }


def _payload(raw: bytes) -> Any:
    """The journal takes payloads as they are, so this one may be no msgpack at all."""
    try:
        return msgspec.msgpack.decode(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return raw.hex()


def _integer(args: dict[str, Any], name: str, default: int) -> int:
    value = args.get(name, default)
    if not isinstance(value, int) or abs(value) > _NUMBER_MAX:
        raise UsageError(f"{name} must be a whole number below 2**62, was {value!r}")
    return value


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
