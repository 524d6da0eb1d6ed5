"""Who listens under which name, and how to reach them: Unix sockets or loopback TCP.

A server writes `<run_dir>/<name>.addr` (0600) when it listens, and clients find
it by that file alone, so a successor takes the name over by writing the file
anew. Over TCP the file also holds a token that the client's Hello must show.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.errors import Denied, Malformed, NotReachable
from risk_daemon.wire.address import (
    Address,
    address_file,
    bind_private,
    make_room,
    read_address,
    socket_path,
    withdraw,
    write_private,
)
from risk_daemon.wire.channel import Channel, Goodbye, Hello, decoder_of, pack
from risk_daemon.wire.control import AnyFrame

__all__ = [
    "Address",
    "Channel",
    "Goodbye",
    "Hello",
    "Server",
    "address_file",
    "connect",
    "pack",
    "read_address",
    "serve",
    "write_private",
]

_RETRY_FIRST_S: Final = 0.002
_RETRY_LONGEST_S: Final = 0.05
_FAREWELL_S: Final = 1.0
#: How often a server looks whether its address can still be read.
KEEP_EVERY_S: Final = 1.0

OnConnection = Callable[[Channel], Awaitable[None] | None]


class Server:
    """A listening server. `channels` are those that have greeted and are open."""

    def __init__(
        self, file: Path, hello: Hello, reads: object, on_connection: OnConnection
    ) -> None:
        self.address = Address()
        self.channels: set[Channel] = set()
        self._file = file
        self._hello = msgspec.structs.replace(hello, pid=os.getpid())
        self._decoder = decoder_of(reads)
        self._on_connection = on_connection
        self._listener: asyncio.Server | None = None
        self._keeper: asyncio.TimerHandle | None = None
        self._arriving: set[Channel] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, path: Path | None) -> None:
        """Listen at a socket path, or on loopback if there is none; write the address."""
        loop = asyncio.get_running_loop()
        if path is not None:
            sock = bind_private(path)
            self.address = Address(unix=str(path))
            self._listener = await loop.create_unix_server(self._accept, sock=sock)
        else:
            sock = socket.create_server(("127.0.0.1", 0))
            token = os.urandom(16).hex()
            self.address = Address(tcp=sock.getsockname()[1], token=token)
            self._listener = await loop.create_server(self._accept, sock=sock)
        write_private(self._file, msgspec.json.encode(self.address))
        self._keep_address()

    def _keep_address(self) -> None:
        """Write the address again where somebody damaged or deleted it; a successor's stays."""
        try:
            read_address(self._file.parent, self._file.stem)
        except (FileNotFoundError, Malformed):
            with contextlib.suppress(OSError):
                write_private(self._file, msgspec.json.encode(self.address))
        loop = asyncio.get_running_loop()
        self._keeper = loop.call_later(KEEP_EVERY_S, self._keep_address)

    def stop_listening(self) -> None:
        """Let nobody in any more, and take the address away."""
        if self._listener is not None:
            assert self._keeper is not None
            self._keeper.cancel()
            self._listener.close()
            self._listener = None
            withdraw(self._file, self.address)

    async def close(self, reason: str = "") -> None:
        """Stop listening, say goodbye to all, and wait a second at most for them to read it."""
        self.stop_listening()
        channels = self.channels | self._arriving
        for channel in channels:
            channel.close(reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                for channel in channels:
                    await channel.closed()
        for channel in channels:
            channel.abort(reason)
        for task in tuple(self._tasks):
            task.cancel()

    def _accept(self) -> Channel:
        channel = Channel(
            self._hello, self._decoder, self.address.token, self._greeted, self._gone, False
        )
        self._arriving.add(channel)
        return channel

    def _greeted(self, channel: Channel) -> None:
        self._arriving.discard(channel)
        self.channels.add(channel)
        result = self._on_connection(channel)
        if inspect.iscoroutine(result):
            task = asyncio.get_running_loop().create_task(_attend(channel, result))
            self._tasks.add(task)
            task.add_done_callback(self._attended)

    def _attended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            message = "a connection's handler died"
            task.get_loop().call_exception_handler(
                {"message": message, "exception": task.exception(), "task": task}
            )

    def _gone(self, channel: Channel) -> None:
        self._arriving.discard(channel)
        self.channels.discard(channel)


async def _attend(channel: Channel, attending: Awaitable[None]) -> None:
    try:
        await attending
    finally:
        channel.close()


async def tasks(args: dict[str, Any]) -> dict[str, Any]:
    """Answer how many tasks the process's loop has, so that one that leaks them is seen."""
    del args
    return {"tasks": len(asyncio.all_tasks())}


async def serve(
    run_dir: Path,
    name: str,
    on_connection: OnConnection,
    *,
    hello: Hello,
    prefer: str = "unix",
    reads: object = AnyFrame,
) -> Server:
    """Listen under `name`, and write its address file.

    `on_connection` gets each channel after both Hellos: it calls `listen` at once,
    or is a coroutine that `receive`s; when that returns the channel is closed.
    `prefer` "tcp" listens on loopback even where Unix sockets exist. `reads` is
    the union of frames that this server understands.
    """
    make_room(address_file(run_dir, name))
    server = Server(address_file(run_dir, name), hello, reads, on_connection)
    await server.listen(socket_path(run_dir, name) if prefer != "tcp" else None)
    return server


async def connect(
    run_dir: Path,
    name: str,
    hello: Hello,
    timeout_s: float,
    *,
    reads: object = AnyFrame,
    patient: bool = True,
) -> Channel:
    """Connect to the server called `name`.

    `patient`: try again until `timeout_s`, as a process does while its peers start;
    else fail at once where nobody listens. Raises NotReachable, or Denied if the
    server refused us.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    pause = _RETRY_FIRST_S
    while True:
        try:
            async with asyncio.timeout_at(max(deadline, loop.time() + 0.001)):
                return await _connect_once(run_dir, name, hello, decoder_of(reads))
        except FileNotFoundError:
            why = "nobody listens there"
        except TimeoutError:
            why = f"no answer within {timeout_s:g} s"
        except OSError as error:
            why = error.strerror or str(error)
        if not patient or deadline - loop.time() <= pause:
            raise NotReachable(f"{name} is not reachable in {run_dir}: {why}")
        await asyncio.sleep(pause)
        pause = min(pause * 2, _RETRY_LONGEST_S)


async def _connect_once(
    run_dir: Path, name: str, hello: Hello, decoder: msgspec.msgpack.Decoder[Any]
) -> Channel:
    address = read_address(run_dir, name)
    loop = asyncio.get_running_loop()
    greeted: asyncio.Future[None] = loop.create_future()

    def settle(_: Channel) -> None:
        if not greeted.done():
            greeted.set_result(None)

    ours = msgspec.structs.replace(hello, token=address.token, pid=os.getpid())

    def make() -> Channel:
        return Channel(ours, decoder, "", settle, settle, True)

    if address.unix:
        _, channel = await loop.create_unix_connection(make, address.unix)
    else:
        _, channel = await loop.create_connection(make, "127.0.0.1", address.tcp)
    try:
        await greeted
    except BaseException:
        channel.abort("gave up")
        raise
    if channel.has_greeted:
        return channel
    if channel.was_refused:
        raise Denied(f"{name} refused: {channel.reason}")
    raise ConnectionResetError(None, f"closed before its hello: {channel.reason}")
