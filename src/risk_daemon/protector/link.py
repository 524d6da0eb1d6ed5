"""Asks a link to flatten an account, without anything but the standard library.

The frames are those of docs/formats/control.md: a length, and msgpack. Written by hand here: what
guards when nothing else works must not need what may be what does not work.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

WITHIN_S: Final = 12.0
ALIVE_WITHIN_S: Final = 1.5


class NoLink(Exception):
    """No link answers: its way to the broker is free."""


@dataclass(frozen=True, slots=True)
class Said:
    """What was answered."""

    ok: bool
    data: Any
    error: str


def ask(
    run_dir: Path, name: str, op: str, args: dict[str, Any], within_s: float = WITHIN_S
) -> Said:
    """Ask a process once; return what it says. Raises NoLink where nobody answers."""
    try:
        with _connected(run_dir / f"{name}.addr", within_s) as (stream, token):
            _send(stream, ["hello", "admin", "protector", "", token, 0, 1, ""])
            _receive(stream)
            _send(stream, ["ask", 1, op, args])
            answer = _receive(stream)
    except (OSError, ValueError, KeyError, TypeError, IndexError, struct.error) as error:
        raise NoLink(f"{name}: {error}") from None
    if not isinstance(answer, list) or answer[0] != "answer":
        raise NoLink(f"{name} says something else: {answer}")
    return Said(bool(answer[2]), answer[3], str(answer[4]))


@contextmanager
def _connected(file: Path, within_s: float) -> Iterator[tuple[socket.socket, str]]:
    told: dict[str, Any] = json.loads(file.read_bytes())
    is_unix = "unix" in told
    family = getattr(socket, "AF_UNIX", 1) if is_unix else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as stream:
        stream.settimeout(within_s)
        stream.connect(told["unix"] if is_unix else ("127.0.0.1", int(told["tcp"])))
        yield stream, str(told.get("token", ""))


def _send(stream: socket.socket, frame: list[Any]) -> None:
    body = pack(frame)
    stream.sendall(struct.pack(">I", len(body)) + body)


def _receive(stream: socket.socket) -> Any:
    (length,) = struct.unpack(">I", _exactly(stream, 4))
    return unpack(_exactly(stream, length))


def _exactly(stream: socket.socket, size: int) -> bytes:
    raw = b""
    while len(raw) < size:
        piece = stream.recv(size - len(raw))
        if not piece:
            raise OSError("the connection ended")
        raw += piece
    return raw


# --- msgpack, as far as it is needed ---------------------------------------------------


def pack(value: Any) -> bytes:
    """Write None, truth, 64-bit integers, text, lists and maps."""
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return struct.pack(">Bq", 0xD3, value)
        case str():
            raw = value.encode()
            return struct.pack(">BI", 0xDB, len(raw)) + raw
        case list():
            return struct.pack(">BI", 0xDD, len(value)) + b"".join(map(pack, value))
        case dict():
            pairs = b"".join(pack(key) + pack(one) for key, one in value.items())
            return struct.pack(">BI", 0xDF, len(value)) + pairs
        case _:
            raise TypeError(f"a {type(value).__name__} is not sent")


def unpack(raw: bytes) -> Any:
    """Read one value. Raises ValueError, IndexError or struct.error for what is none."""
    value, rest = _value(raw)
    if rest:
        raise ValueError(f"{len(rest)} bytes too many")
    return value


_PLAIN: Final = {0xC0: None, 0xC2: False, 0xC3: True}
_NUMBERS: Final = {
    0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q",
    0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q",
}  # fmt: skip
_SIZED: Final = {
    0xC4: (">B", "bytes"), 0xC5: (">H", "bytes"), 0xC6: (">I", "bytes"),
    0xD9: (">B", "text"), 0xDA: (">H", "text"), 0xDB: (">I", "text"),
    0xDC: (">H", "list"), 0xDD: (">I", "list"), 0xDE: (">H", "map"), 0xDF: (">I", "map"),
}  # fmt: skip


def _value(raw: bytes) -> tuple[Any, bytes]:
    tag, rest = raw[0], raw[1:]
    if tag in _PLAIN:
        return _PLAIN[tag], rest
    if tag < 0x80 or tag >= 0xE0:
        return (tag if tag < 0x80 else tag - 0x100), rest
    if tag in _NUMBERS:
        size = struct.calcsize(_NUMBERS[tag])
        return struct.unpack(_NUMBERS[tag], rest[:size])[0], rest[size:]
    if tag in _SIZED:
        form, kind = _SIZED[tag]
        size = struct.calcsize(form)
        (count,) = struct.unpack(form, rest[:size])
        return _many(kind, count, rest[size:])
    if tag < 0x90:
        return _many("map", tag & 0x0F, rest)
    if tag < 0xA0:
        return _many("list", tag & 0x0F, rest)
    if tag < 0xC0:
        return _many("text", tag & 0x1F, rest)
    raise ValueError(f"tag {tag:#x} is not known")


def _many(kind: str, count: int, rest: bytes) -> tuple[Any, bytes]:
    if kind in ("bytes", "text"):
        body = rest[:count]
        return (body if kind == "bytes" else body.decode()), rest[count:]
    values = []
    for _ in range(count if kind == "list" else 2 * count):
        value, rest = _value(rest)
        values.append(value)
    if kind == "list":
        return values, rest
    return dict(zip(values[::2], values[1::2], strict=True)), rest
