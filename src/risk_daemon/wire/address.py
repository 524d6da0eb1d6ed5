"""How a server is found: an address file in the run directory, and where its socket is.

The file is JSON, readable by its owner only: `{"unix": path}`, or `{"tcp": port,
"token": secret}` where Unix sockets don't exist or weren't wanted. It is replaced as a
whole, so that a reader sees the old server or the new one.
"""

from __future__ import annotations

import contextlib
import os
import socket
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.errors import Malformed

#: Longest socket path that every system takes (macOS: 104 with its zero byte); Windows: none.
SOCKET_PATH_MAX: Final = 100 if os.name == "posix" else 0

_RUNTIME_PREFIX: Final = "rd-"

#: Python on Windows has no name for the family; nothing asks for it there: every path is too long.
_UNIX: Final[int] = getattr(socket, "AF_UNIX", 1)


def unix_socket() -> socket.socket:
    """Return an unbound socket of this machine. Raises OSError where there are none."""
    return socket.socket(_UNIX, socket.SOCK_STREAM)


class Address(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a server listens: a socket path, or a loopback port and its token."""

    unix: str = ""
    tcp: int = 0
    token: str = ""


def address_file(run_dir: Path, name: str) -> Path:
    """Where a server writes how to reach it."""
    return run_dir / f"{name}.addr"


def read_address(run_dir: Path, name: str) -> Address:
    """Read a server's address. Raises FileNotFoundError, and Malformed if it is no address."""
    raw = address_file(run_dir, name).read_bytes()
    try:
        return msgspec.json.decode(raw, type=Address)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"{address_file(run_dir, name)} is no address: {error}") from error


def write_private(path: Path, content: bytes) -> None:
    """Replace a file as a whole, readable by its owner only."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def socket_path(run_dir: Path, name: str) -> Path | None:
    """Return a path short enough to bind, in the run directory if possible; None if none is."""
    own = f"{name}-{os.getpid()}.sock"
    direct = run_dir.absolute() / own
    if len(os.fsencode(direct)) <= SOCKET_PATH_MAX:
        return direct
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108  a new private folder in it
        # The prefix, eight random characters and two separators.
        if len(os.fsencode(parent)) + len(os.fsencode(own)) + 13 <= SOCKET_PATH_MAX:
            return Path(tempfile.mkdtemp(prefix=_RUNTIME_PREFIX, dir=parent)) / own
    return None


def bind_private(path: Path) -> socket.socket:
    """Return a socket that only its owner can connect to."""
    path.unlink(missing_ok=True)
    sock = unix_socket()
    # The mask, not a later chmod: in between, anyone could have connected.
    before = os.umask(0o177)
    try:
        sock.bind(str(path))
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(before)
    return sock


def make_room(file: Path) -> None:
    """Have a private folder, without the socket that a killed predecessor left."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        left = read_address(file.parent, file.stem)
    except (FileNotFoundError, Malformed):
        return
    if left.unix and not _is_served(left.unix):
        _remove_socket(Path(left.unix), file.parent)


def _is_served(path: str) -> bool:
    probe = unix_socket()
    probe.setblocking(False)
    with probe:
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except BlockingIOError:  # a frozen process, whose queue is full
            return True
    return True


def withdraw(file: Path, address: Address) -> None:
    """Take our socket away, and our address unless a successor has written its own."""
    with contextlib.suppress(FileNotFoundError, Malformed):
        if read_address(file.parent, file.stem) == address:
            file.unlink(missing_ok=True)
    if address.unix:
        _remove_socket(Path(address.unix), file.parent)


def _remove_socket(path: Path, run_dir: Path) -> None:
    """Remove a socket, and its folder if that was made for it."""
    path.unlink(missing_ok=True)
    if path.parent != run_dir.absolute() and path.parent.name.startswith(_RUNTIME_PREFIX):
        with contextlib.suppress(OSError):
            path.parent.rmdir()
