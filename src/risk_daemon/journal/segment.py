"""A login's emergency segment: what must be durable while the journal does not store it.

A link writes it: a goal that closes, a lock, a raised epoch, a person's act, line by line, flushed
to the disk before anybody acts on it. Its room is taken beforehand, so that a full disk does not
keep it out. The journal takes locks and epochs in when it starts, before it serves anybody; the
link brings everything into it, and then empties it. A torn last line is what a crash leaves: it
was not acted on, for the flush had not returned.
"""

from __future__ import annotations

import base64
import json
import os
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.core.events import Fact, Intended, LeaseGranted, LockPlaced, OperatorActed
from risk_daemon.journal import durable
from risk_daemon.wire.record import KINDS, NAMES, encode

FORMAT: Final = 1
#: Room for some thousand goals; beyond it the file grows as any other.
BYTES: Final = 1 << 20
PATTERN: Final = "emergency-*.jsonl"


def path_of(state: Path, login: str) -> Path:
    """Name the segment of a login."""
    return state / PATTERN.replace("*", login)


class Segment:
    """One login's segment. Lines: {"format", "kind", "payload", "crc", "at"}, then zeros."""

    def __init__(self, path: Path) -> None:
        self.path = path
        #: Where the next line goes, once it is known.
        self._end: int | None = None

    def take_room(self) -> None:
        """Take the room while there is some. Raises OSError where there is none."""
        durable.allocate(self.path, BYTES)

    def write(self, fact: Fact, at: int = 0) -> None:
        """Make a fact durable; returns when it is on the disk. OSError when it is not.

        `at`: the instant, ns UTC; a goal leaves after it.
        """
        line = _line(fact, at)
        raw = self._raw() if self._end is None else b""
        end = raw.rfind(b"\n") + 1 if self._end is None else self._end
        # What a torn line left behind must not be taken for a part of this one.
        torn = len(raw) - end - len(line) if raw else 0
        self._put(end, line + bytes(max(torn, 0)))
        self._end = end + len(line)

    def read(self) -> list[Fact]:
        """Return what was written, as far as it can be read; a torn last line is left out."""
        return [fact for line in self._lines() if (fact := _fact(line)) is not None]

    def goals(self) -> list[tuple[int, Intended]]:
        """Return the goals with the instants they were written at, 0 where that is not known."""
        found = [(_at(line), _fact(line)) for line in self._lines()]
        return [(at, fact) for at, fact in found if isinstance(fact, Intended)]

    def damaged(self) -> int:
        """Return how many lines cannot be read."""
        return sum(_fact(line) is None for line in self._lines())

    def clear(self) -> None:
        """Empty it, its room kept: the journal has it all."""
        raw = self._raw()
        if raw:
            self._put(0, bytes(len(raw)))
        self._end = 0

    def set_aside(self, aside: Path) -> None:
        """Keep a copy of what cannot be read. Raises OSError."""
        aside.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.write(aside, self._raw())

    def _lines(self) -> list[bytes]:
        lines = self._raw().split(b"\n")
        return [line for one in lines[:-1] if (line := one.strip(b"\0"))]

    def _raw(self) -> bytes:
        try:
            return self.path.read_bytes().rstrip(b"\0")
        except FileNotFoundError:
            return b""

    def _put(self, place: int, content: bytes) -> None:
        """Write in place and flush."""
        is_new = not self.path.exists()
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(self.path, flags, 0o600), "r+b") as file:
            file.seek(place)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            durable.flush_folder(self.path.parent)


def _line(fact: Fact, at: int) -> bytes:
    kind, payload = NAMES[type(fact)], base64.b64encode(encode(fact)).decode()
    crc = _crc(kind, payload)
    row = {"format": FORMAT, "kind": kind, "payload": payload, "crc": crc, "at": at}
    return json.dumps(row).encode() + b"\n"


def _crc(kind: str, payload: str) -> int:
    return zlib.crc32(f"{kind} {payload}".encode())


def _fact(line: bytes) -> Fact | None:
    """Read a line; None where it is damaged. Lines of older releases have no checksum."""
    try:
        row: dict[str, Any] = json.loads(line)
        kind, payload = str(row["kind"]), str(row["payload"])
        crc = _crc(kind, payload)
        if row.get("crc", crc) != crc:
            return None
        return msgspec.msgpack.decode(base64.b64decode(payload), type=KINDS[kind])
    except (ValueError, KeyError, TypeError, AttributeError, msgspec.DecodeError):
        return None


def _at(line: bytes) -> int:
    """Return when a line was written, 0 where it does not say so: an older release wrote it."""
    try:
        return int(json.loads(line)["at"])
    except (ValueError, KeyError, TypeError):
        return 0


def once(fact: Fact) -> str:
    """Return the name under which a fact is stored once, however often it is folded in."""
    match fact:
        case Intended(key=key):
            return key
        case OperatorActed(act_id=act_id):
            return act_id
        case LockPlaced():
            return f"{fact.account}:{fact.lock}:{fact.began_at}"
        case _:
            return ""


def kept(state: Path) -> Iterable[LockPlaced | LeaseGranted]:
    """Return the locks and epochs of all segments: locks first, each account's epochs rising."""
    facts = [fact for path in sorted(state.glob(PATTERN)) for fact in Segment(path).read()]
    yield from (fact for fact in facts if isinstance(fact, LockPlaced))
    epochs = [fact for fact in facts if isinstance(fact, LeaseGranted)]
    yield from sorted(epochs, key=lambda fact: (fact.account, fact.epoch))
