"""What a login's links have let out: each request's goal is noted here before the request leaves.

A note is in the system's own memory when `note` returns. The death of the process does not take it
from there, so whoever comes next reads what the one before it let out, to the last request. It is
not flushed: a close would wait for that. What a power cut takes is another boot's, and nobody
relies on it: then, and wherever the log is not whole, another one is begun under a new name.

Lines of 64 bytes: text, blanks, the checksum of both. The first names format, boot and log; the
others are numbered, and the newest overwrites the oldest.
"""

from __future__ import annotations

import hashlib
import logging
import os
import secrets
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

from risk_daemon.journal.exclusive import try_lock

FORMAT: Final = "1"
#: More than the broker takes of one login in the time that a new link looks back.
ENTRIES: Final = 4_096
_LINE: Final = 64
_TEXT: Final = _LINE - 10
_SIZE: Final = _LINE * (ENTRIES + 1)
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")

_log = logging.getLogger("link")


class SendLog:
    """One login's log; its one writer is the link that runs. `name` is "" while there is none."""

    def __init__(self, path: Path, on_lost: Callable[[str], None] = lambda _: None) -> None:
        """`on_lost` hears why, when notes cannot be written any more."""
        self.name = ""
        self._on_lost = on_lost
        self._path = path
        self._file: int | None = None
        self._last = 0
        self._earlier: dict[str, int] = {}

    def begin(self) -> None:
        """Go on with the log of the link before, or begin another where there is none to trust."""
        try:
            if not self._go_on():
                self._begin_anew()
        except OSError as error:
            self._give_up(str(error))

    def left_at(self, key: str) -> int | None:
        """Return when an earlier link let a goal's request out, ns UTC; None if none did."""
        return self._earlier.get(_digest(key))

    def note(self, key: str, at: int) -> None:
        """Note that a goal's request leaves now; where that fails there is no log any more."""
        if self._file is None:
            return
        self._last += 1
        try:
            self._put(1 + (self._last - 1) % ENTRIES, f"{self._last} {at} {_digest(key)}")
        except OSError as error:
            self._give_up(str(error))
            self._on_lost(str(error))

    def close(self) -> None:
        """Let it go; the next link goes on with it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _go_on(self) -> bool:
        try:
            self._open(os.O_RDWR)
        except FileNotFoundError:
            return False
        assert self._file is not None
        found = None
        if try_lock(self._file):  # else another link lives, and notes what it lets out
            os.lseek(self._file, 0, os.SEEK_SET)
            found = _read(_all_of(self._file))
        if found is None:
            self.close()
            return False
        self.name, self._last, self._earlier = found
        return True

    def _begin_anew(self) -> None:
        self._path.unlink(missing_ok=True)
        self._open(os.O_RDWR | os.O_CREAT | os.O_EXCL)
        assert self._file is not None
        if not try_lock(self._file):
            raise OSError("another link begins this log")
        os.lseek(self._file, 0, os.SEEK_SET)
        _write(self._file, bytes(_SIZE))  # its room is taken now: a full disk keeps no note out
        name = secrets.token_hex(8)
        self._put(0, f"{FORMAT} {boot()} {name}")
        self.name = name

    def _open(self, flags: int) -> None:
        self._file = os.open(self._path, flags | getattr(os, "O_BINARY", 0), 0o600)

    def _put(self, place: int, text: str) -> None:
        assert self._file is not None
        os.lseek(self._file, place * _LINE, os.SEEK_SET)
        _write(self._file, _line(text))

    def _give_up(self, why: str) -> None:
        """Have no log: the next link takes what it finds without an end for possibly sent."""
        _log.warning("no send log", extra={"why": why})
        self.name = ""
        self.close()
        with suppress(OSError):
            self._path.unlink()


def path_of(run: Path, login: str) -> Path:
    """Name the log of a login."""
    return run / f"link-{login}.sent"


def boot(named_in: Path = _BOOT) -> str:
    """Return what tells this boot of the machine from all others; Linux names each."""
    with suppress(OSError):
        return named_in.read_text().strip().replace("-", "")[: _TEXT // 2]
    return str(int(psutil.boot_time()))


def _digest(key: str) -> str:
    return hashlib.blake2b(key.encode(), digest_size=10).hexdigest()


def _line(text: str) -> bytes:
    body = text.encode().ljust(_TEXT)
    return b"%s %08x\n" % (body, zlib.crc32(body))


def _text(line: bytes) -> str | None:
    """Return what a line says; "" if nothing was ever written there, None where it is damaged."""
    if not line.strip(b"\0"):
        return ""
    text = line[:_TEXT].decode("ascii", "replace").rstrip()
    return text if line == _line(text) else None


def _read(raw: bytes) -> tuple[str, int, dict[str, int]] | None:
    """Return name, last number and goals of a log of this boot; None where any of it is missing."""
    lines = [_text(raw[place : place + _LINE]) for place in range(0, len(raw), _LINE)]
    if len(raw) != _SIZE or None in lines:
        return None
    words = [line.split() for line in lines if line]
    if not lines[0] or words[0][:2] != [FORMAT, boot()]:
        return None
    notes = {int(number): (digest, int(at)) for number, at, digest in words[1:]}
    last = max(notes, default=0)
    if sorted(notes) != list(range(max(last - ENTRIES, 0) + 1, last + 1)):
        return None
    return words[0][2], last, {digest: at for _, (digest, at) in sorted(notes.items())}


def _all_of(file: int) -> bytes:
    parts = []
    while part := os.read(file, _SIZE):
        parts.append(part)
    return b"".join(parts)


def _write(file: int, content: bytes) -> None:
    if os.write(file, content) != len(content):
        raise OSError("no room")
