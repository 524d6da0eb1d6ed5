"""What every transport promises, whichever sockets it stands on."""

import asyncio
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from risk_daemon.errors import Denied, Malformed, NotReachable
from risk_daemon.stage.waiting import until
from risk_daemon.wire import control
from risk_daemon.wire.address import unix_socket
from risk_daemon.wire.channel import FRAME_MAX, WAITING_MAX, decoder_of
from risk_daemon.wire.transport import (
    Channel,
    Goodbye,
    Hello,
    Server,
    address_file,
    connect,
    pack,
    read_address,
    serve,
    tasks,
)
from tests.journal.homes import on_loop

OURS = Hello("test", "asker", "v1")
THEIRS = Hello("test", "server", "v2")


@pytest.fixture(params=["unix", "tcp"])
def prefer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Side:
    """The server's side of the one connection of a test."""

    def __init__(self) -> None:
        self.channel: Channel
        self.frames: list[Any] = []
        self.deliveries: list[int] = []
        self.lost = ""
        self.changed = asyncio.Event()

    def welcome(self, channel: Channel) -> None:
        self.channel = channel
        channel.listen(self._take, self._lose)

    def _take(self, frames: list[Any]) -> None:
        self.frames += frames
        self.deliveries.append(len(frames))
        self.changed.set()

    def _lose(self, reason: str) -> None:
        self.lost = reason
        self.changed.set()

    async def until_frames(self, count: int) -> None:
        while len(self.frames) < count:
            self.changed.clear()
            await self.changed.wait()

    async def until_lost(self) -> str:
        while not self.lost:
            self.changed.clear()
            await self.changed.wait()
        return self.lost


@asynccontextmanager
async def pair(run_dir: Path, prefer: str) -> AsyncIterator[tuple[Channel, Side, Server]]:
    """A connected client and server."""
    side = Side()
    server = await serve(run_dir, "server", side.welcome, hello=THEIRS, prefer=prefer)
    channel = await connect(run_dir, "server", OURS, 5)
    try:
        yield channel, side, server
    finally:
        channel.close()
        await channel.closed()
        await server.close()


async def raw(run_dir: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
    """A connection to the server without any of our code; and its token."""
    address = read_address(run_dir, "server")
    if address.unix and sys.platform != "win32":
        return *await asyncio.open_unix_connection(address.unix), ""
    return *await asyncio.open_connection("127.0.0.1", address.tcp), address.token


async def goodbye(reader: asyncio.StreamReader) -> str:
    """Read to the end and return the reason given there."""
    rest = await reader.read()
    frames = []
    while rest:
        (size,) = struct.unpack(">I", rest[:4])
        frames.append(msgspec.msgpack.decode(rest[4 : 4 + size]))
        rest = rest[4 + size :]
    assert frames[-1][0] == "goodbye"
    return str(frames[-1][1])


@on_loop
async def test_each_side_learns_who_the_other_is(tmp_path: Path, prefer: str) -> None:
    async with pair(tmp_path, prefer) as (channel, side, _):
        assert (channel.peer.name, channel.peer.release) == ("server", "v2")
        assert (side.channel.peer.name, side.channel.peer.release) == ("asker", "v1")
        assert side.channel.peer.pid > 0


@on_loop
async def test_frames_arrive_whole_and_in_order(tmp_path: Path, prefer: str) -> None:
    sizes = [0, 1, 60_000, 5, 70_000, 400_000, 3, FRAME_MAX - 100, 17, 65_530, 65_536] * 3
    async with pair(tmp_path, prefer) as (channel, side, _):
        for number, size in enumerate(sizes):
            channel.send(control.Publish("t", number, b"x" * size))
        await side.until_frames(len(sizes))

        assert [frame.account for frame in side.frames] == list(range(len(sizes)))
        assert [len(frame.payload) for frame in side.frames] == sizes


@on_loop
async def test_a_frame_that_is_cut_anywhere_arrives_whole(tmp_path: Path, prefer: str) -> None:
    side = Side()
    server = await serve(tmp_path, "server", side.welcome, hello=THEIRS, prefer=prefer)
    _, writer, token = await raw(tmp_path)
    writer.write(pack(Hello("test", "cutter", token=token)))
    packed = pack(control.WakeAt(7))
    for count, cut in enumerate(range(1, len(packed)), 1):
        writer.write(pack(control.WakeAt(cut)) + packed[:cut])
        await side.until_frames(2 * count - 1)
        writer.write(packed[cut:])
        await side.until_frames(2 * count)

        assert side.frames[-2:] == [control.WakeAt(cut), control.WakeAt(7)]
    writer.close()
    await server.close()


@on_loop
async def test_what_is_sent_in_one_turn_arrives_in_few(tmp_path: Path, prefer: str) -> None:
    async with pair(tmp_path, prefer) as (channel, side, _):
        for number in range(500):
            channel.send(control.WakeAt(number))
        await side.until_frames(500)

        assert len(side.deliveries) < 50


@on_loop
async def test_patient_frames_wake_their_reader_together(tmp_path: Path, prefer: str) -> None:
    async with pair(tmp_path, prefer) as (channel, side, _):
        for number in range(100):
            channel.send(control.WakeAt(number), patient=True)
            await asyncio.sleep(0)
        await side.until_frames(100)

        assert [frame.at for frame in side.frames] == list(range(100))
        assert len(side.deliveries) < 50


@on_loop
async def test_an_urgent_frame_takes_the_patient_ones_before_it_along(
    tmp_path: Path, prefer: str
) -> None:
    async with pair(tmp_path, prefer) as (channel, side, _):
        channel.send(control.WakeAt(1), patient=True)
        channel.send_packed(pack(control.WakeAt(2)), patient=True)
        channel.send(control.WakeAt(3))
        channel.send(control.WakeAt(4), patient=True)
        await side.until_frames(4)

        assert [frame.at for frame in side.frames] == [1, 2, 3, 4]


@on_loop
async def test_a_process_tells_how_many_tasks_it_has(tmp_path: Path, prefer: str) -> None:
    del tmp_path, prefer
    before = (await tasks({}))["tasks"]
    more = asyncio.create_task(asyncio.Event().wait())

    assert await tasks({}) == {"tasks": before + 1}

    more.cancel()


@on_loop
async def test_a_channel_that_never_came_to_be_can_be_dropped(tmp_path: Path, prefer: str) -> None:
    del tmp_path, prefer
    unmade = Channel(OURS, decoder_of(control.WakeAt), "", print, print, speaks_first=True)

    unmade.abort("nobody is there")

    assert not unmade.is_open


@on_loop
async def test_a_packed_frame_is_the_frame(tmp_path: Path, prefer: str) -> None:
    async with pair(tmp_path, prefer) as (channel, side, _):
        channel.send_packed(pack(control.WakeAt(7)) * 3)
        await side.until_frames(3)

        assert side.frames == [control.WakeAt(7)] * 3


@on_loop
async def test_a_frame_over_the_limit_is_refused_where_it_is_sent(
    tmp_path: Path, prefer: str
) -> None:
    too_large = control.Publish("t", 1, b"x" * FRAME_MAX)
    async with pair(tmp_path, prefer) as (channel, side, _):
        channel.send(control.WakeAt(1))
        with pytest.raises(Malformed, match=r"Publish of 104.* bytes, at most 1048576"):
            channel.send(too_large)
        with pytest.raises(Malformed, match="at most 1048576"):
            pack(too_large)
        channel.send(control.WakeAt(2))
        await side.until_frames(2)

        assert side.frames == [control.WakeAt(1), control.WakeAt(2)]


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        pytest.param(b"\x7f\xff\xff\xff", "a frame of 2147483647 bytes", id="endless"),
        pytest.param(b"\x00\x00\x00\x01\xc1", "can't be read", id="no msgpack"),
        pytest.param(b"\x00\x00\x00\x04\x92\xa3ne", "can't be read", id="cut short"),
        pytest.param(b"\x00\x00\x00\x06\x92\xa3new\x01", "Invalid value 'new'", id="unknown tag"),
        pytest.param(b"\x00\x00\x00\x04\x92\xa2\xff\xff", "invalid start byte", id="no text"),
        pytest.param(
            struct.pack(">I", 100_007) + b"\x94\xa3ask\x01\xa0" + b"\x91" * 100_000,
            "can't be read",
            id="bottomless",
        ),
    ],
)
@on_loop
async def test_what_cannot_be_read_is_refused_with_a_reason(
    tmp_path: Path, prefer: str, sent: bytes, reason: str
) -> None:
    side = Side()
    server = await serve(tmp_path, "server", side.welcome, hello=THEIRS, prefer=prefer)
    reader, writer, token = await raw(tmp_path)
    writer.write(pack(Hello("test", "fuzzer", token=token)) + pack(control.WakeAt(1)) + sent)

    assert reason in await goodbye(reader)
    assert "fuzzer sent what can't be read" in await side.until_lost()
    assert side.frames == [control.WakeAt(1)]
    writer.close()
    await server.close()


@on_loop
async def test_a_reason_never_outgrows_its_frame(tmp_path: Path, prefer: str) -> None:
    server = await serve(tmp_path, "server", Side().welcome, hello=THEIRS, prefer=prefer)
    reader, writer, token = await raw(tmp_path)
    body = msgspec.msgpack.encode(["\x00" * 1_000_000])
    writer.write(pack(Hello("test", "fuzzer", token=token)))
    writer.write(struct.pack(">I", len(body)) + body)

    assert len(await goodbye(reader)) == 500
    writer.close()
    await server.close()


@on_loop
async def test_a_hello_that_cannot_be_read_is_refused(tmp_path: Path, prefer: str) -> None:
    server = await serve(tmp_path, "server", Side().welcome, hello=THEIRS, prefer=prefer)
    reader, writer, _ = await raw(tmp_path)
    writer.write(pack(control.WakeAt(1)))

    assert "the other side sent what can't be read" in await goodbye(reader)
    assert server.channels == set()
    writer.close()
    await server.close()


@on_loop
async def test_whoever_says_nothing_is_refused(tmp_path: Path, prefer: str) -> None:
    server = await serve(tmp_path, "server", Side().welcome, hello=THEIRS, prefer=prefer)
    reader, writer, _ = await raw(tmp_path)

    assert await goodbye(reader) == "no hello within 2 s"
    writer.close()
    await server.close()


@on_loop
async def test_another_protocol_is_refused_with_both_numbers(tmp_path: Path, prefer: str) -> None:
    server = await serve(tmp_path, "server", Side().welcome, hello=THEIRS, prefer=prefer)

    with pytest.raises(Denied, match="server refused: asker speaks protocol 2, server 1"):
        await connect(tmp_path, "server", msgspec.structs.replace(OURS, protocol=2), 5)
    await server.close()


@on_loop
async def test_a_wrong_token_is_refused(tmp_path: Path, prefer: str) -> None:
    server = await serve(tmp_path, "server", Side().welcome, hello=THEIRS, prefer=prefer)
    reader, writer, _ = await raw(tmp_path)
    writer.write(pack(msgspec.structs.replace(OURS, token="guessed")) + pack(control.WakeAt(1)))

    assert await goodbye(reader) == "asker showed a wrong token"
    assert server.channels == set()
    writer.close()
    await server.close()


@on_loop
async def test_a_client_refuses_a_server_of_another_protocol(tmp_path: Path, prefer: str) -> None:
    newer = msgspec.structs.replace(THEIRS, protocol=2)
    side = Side()
    server = await serve(tmp_path, "server", side.welcome, hello=newer, prefer=prefer)

    with pytest.raises(Denied, match="server speaks protocol 2, asker 1"):
        await connect(tmp_path, "server", OURS, 5)
    assert await side.until_lost() == "server speaks protocol 2, asker 1"
    await server.close()


@on_loop
async def test_a_side_that_does_not_read_is_not_sent_more_than_it_takes(
    tmp_path: Path, prefer: str
) -> None:
    waiting: list[Channel] = []
    server = await serve(tmp_path, "server", waiting.append, hello=THEIRS, prefer=prefer)
    channel = await connect(tmp_path, "server", OURS, 5)
    frame = control.Publish("t", 1, b"x" * 10_000)
    sent = 0
    while channel.buffered < 2 << 20:
        channel.send(frame)
        channel.flush()
        sent += 1
        await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(channel.drained(), 0.05)
    assert sent > WAITING_MAX

    for _ in range(sent):
        assert await waiting[0].receive() == frame
    await channel.drained()

    assert channel.buffered < 1 << 20
    channel.close()
    await server.close()


@on_loop
async def test_frames_that_waited_go_to_whoever_listens_at_last(
    tmp_path: Path, prefer: str
) -> None:
    waiting: list[Channel] = []
    server = await serve(tmp_path, "server", waiting.append, hello=THEIRS, prefer=prefer)
    channel = await connect(tmp_path, "server", OURS, 5)
    for number in range(3 * WAITING_MAX):
        channel.send(control.WakeAt(number))
    assert await waiting[0].receive() == control.WakeAt(0)
    side = Side()
    side.welcome(waiting[0])
    await side.until_frames(3 * WAITING_MAX - 1)

    assert side.frames[-1] == control.WakeAt(3 * WAITING_MAX - 1)
    channel.close()
    await server.close()


@on_loop
async def test_the_end_is_none_and_stays_none(tmp_path: Path, prefer: str) -> None:
    async with pair(tmp_path, prefer) as (channel, side, _):
        side.channel.send(control.WakeAt(1))
        side.channel.close()

        assert await channel.receive() == control.WakeAt(1)
        assert await channel.receive() is None
        assert await channel.receive() is None
        assert not channel.is_open
        channel.send(control.WakeAt(2))
        channel.abort("again")
        assert channel.reason == "closed by the other side"


@on_loop
async def test_receiving_what_cannot_be_read_says_so(tmp_path: Path, prefer: str) -> None:
    async with pair(tmp_path, prefer) as (channel, side, _):
        side.channel.send(control.WakeAt(1))
        side.channel.send(Hello("test", "again"))

        assert await channel.receive() == control.WakeAt(1)
        with pytest.raises(Malformed, match="server sent what can't be read"):
            await channel.receive()
        assert "asker" not in await side.until_lost()


@on_loop
async def test_a_server_that_closes_says_why(tmp_path: Path, prefer: str) -> None:
    async with pair(tmp_path, prefer) as (channel, _, server):
        side = Side()
        side.welcome(channel)
        await server.close("the server stops")

        assert await side.until_lost() == "the server stops"
        assert not address_file(tmp_path, "server").exists()


@on_loop
async def test_whoever_listens_too_late_is_told_of_the_loss(tmp_path: Path, prefer: str) -> None:
    async with pair(tmp_path, prefer) as (channel, side, _):
        side.channel.abort("no more")
        await channel.closed()
        late = Side()
        late.welcome(channel)

        assert await late.until_lost()
        assert await side.until_lost() == "no more"


@on_loop
async def test_a_handler_may_be_a_coroutine_and_its_end_closes_the_channel(
    tmp_path: Path, prefer: str
) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def echo_once(channel: Channel) -> None:
        channel.send(await channel.receive())

    server = await serve(tmp_path, "server", echo_once, hello=THEIRS, prefer=prefer)
    channel = await connect(tmp_path, "server", OURS, 5)
    channel.send(control.WakeAt(9))

    assert await channel.receive() == control.WakeAt(9)
    assert await channel.receive() is None
    await server.close()
    assert told == [], "an end is no death"


@on_loop
async def test_a_handler_that_dies_is_told_to_the_loop(tmp_path: Path, prefer: str) -> None:
    told: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(str(context["exception"])))

    async def die(_: Channel) -> None:
        raise ValueError("a mistake")

    server = await serve(tmp_path, "server", die, hello=THEIRS, prefer=prefer)
    channel = await connect(tmp_path, "server", OURS, 5)

    assert await channel.receive() is None
    assert told == ["a mistake"]
    await server.close()


@on_loop
async def test_closing_the_server_ends_its_handlers_and_cuts_those_who_do_not_read(
    tmp_path: Path, prefer: str
) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def flood(channel: Channel) -> None:
        begun.set()
        try:
            while True:
                channel.send(control.Publish("t", 1, b"x" * 100_000))
                await channel.drained()
        finally:
            ended.set()

    server = await serve(tmp_path, "server", flood, hello=THEIRS, prefer=prefer)
    reader, writer, token = await raw(tmp_path)
    writer.write(pack(Hello("test", "deaf", token=token)))
    await begun.wait()
    await server.close("enough")

    await asyncio.wait_for(ended.wait(), 5)
    writer.transport.abort()
    assert not reader.at_eof()


@on_loop
async def test_the_address_and_the_socket_are_their_owners_alone(
    tmp_path: Path, prefer: str
) -> None:
    async with pair(tmp_path / "run", prefer) as (_, __, server):
        address = read_address(tmp_path / "run", "server")
        file = address_file(tmp_path / "run", "server")

        assert address == server.address
        assert _mode(file) == 0o600
        assert _mode(file.parent) == 0o700
        if prefer == "unix":
            assert _mode(Path(address.unix)) == 0o600
        else:
            assert len(address.token) == 32
    assert _names(tmp_path / "run") == []


@on_loop
async def test_a_client_waits_for_a_server_that_is_not_there_yet(
    tmp_path: Path, prefer: str
) -> None:
    async with asyncio.TaskGroup() as tasks:
        connecting = tasks.create_task(connect(tmp_path, "server", OURS, 5))
        await asyncio.sleep(0)
        server = await serve(tmp_path, "server", Side().welcome, hello=THEIRS, prefer=prefer)
        channel = await connecting

    assert channel.peer.name == "server"
    channel.close()
    await server.close()


@on_loop
async def test_nobody_there_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(NotReachable, match=r"server is not reachable in .*: nobody listens there"):
        await connect(tmp_path, "server", OURS, 0.02)
    with pytest.raises(NotReachable, match="nobody listens there"):
        await connect(tmp_path, "server", OURS, 60, patient=False)


@on_loop
async def test_a_dead_servers_address_leads_nowhere_at_once(tmp_path: Path, prefer: str) -> None:
    async with pair(tmp_path, prefer):
        left = address_file(tmp_path, "server").read_bytes()
    address_file(tmp_path, "server").write_bytes(left)

    with pytest.raises(NotReachable):
        await connect(tmp_path, "server", OURS, 60, patient=False)


@on_loop
async def test_a_server_that_never_answers_is_not_reachable(tmp_path: Path, prefer: str) -> None:
    with frozen(tmp_path, prefer), pytest.raises(NotReachable, match=r"no answer within 0\.2 s"):
        await connect(tmp_path, "server", OURS, 0.2)


@on_loop
async def test_a_server_that_hangs_up_is_not_reachable(tmp_path: Path, prefer: str) -> None:
    with frozen(tmp_path, prefer) as listening:
        loop = asyncio.get_running_loop()
        listening.setblocking(False)
        async with asyncio.TaskGroup() as tasks:
            connecting = tasks.create_task(_attempt(tmp_path))
            accepted, _ = await loop.sock_accept(listening)
            accepted.close()
            why = await connecting

    assert "closed before its hello" in why


@on_loop
async def test_a_server_may_refuse_without_a_hello(tmp_path: Path, prefer: str) -> None:
    with frozen(tmp_path, prefer) as listening:
        loop = asyncio.get_running_loop()
        listening.setblocking(False)
        async with asyncio.TaskGroup() as tasks:
            connecting = tasks.create_task(_attempt(tmp_path))
            accepted, _ = await loop.sock_accept(listening)
            await loop.sock_sendall(accepted, pack(Goodbye("not today")) + pack(THEIRS))
            why = await connecting
            accepted.close()

    assert why == "server refused: not today"


async def _attempt(run_dir: Path) -> str:
    try:
        await connect(run_dir, "server", OURS, 5, patient=False)
    except (NotReachable, Denied) as error:
        return error.sentence
    return "connected"


def frozen(run_dir: Path, prefer: str) -> socket.socket:
    """A socket that listens under the server's name and does nothing else."""
    file = address_file(run_dir, "server")
    if prefer == "unix":
        listening = unix_socket()
        listening.bind(str(run_dir / "frozen.sock"))
        listening.listen()
        file.write_text(f'{{"unix": "{run_dir}/frozen.sock"}}')
    else:
        listening = socket.create_server(("127.0.0.1", 0))
        file.write_text(f'{{"tcp": {listening.getsockname()[1]}, "token": "t"}}')
    return listening


@on_loop
async def test_a_successor_takes_the_name_over(tmp_path: Path, prefer: str) -> None:
    first = await serve(tmp_path, "server", Side().welcome, hello=THEIRS, prefer=prefer)
    old = await connect(tmp_path, "server", OURS, 5)
    newer = msgspec.structs.replace(THEIRS, release="v3")
    successor = _serve_elsewhere(tmp_path, prefer)
    assert successor.stdout is not None
    try:
        await asyncio.to_thread(successor.stdout.readline)
        new = await connect(tmp_path, "server", OURS, 5)
        assert new.peer.release == newer.release
        assert old.is_open
        await first.close()

        again = await connect(tmp_path, "server", OURS, 5, patient=False)
        assert again.peer.release == newer.release
        for channel in (new, again):
            channel.close()
            await channel.closed()
    finally:
        successor.kill()
        successor.communicate()

    side = Side()
    third = await serve(tmp_path, "server", side.welcome, hello=THEIRS, prefer=prefer)
    assert [name for name in _names(tmp_path) if name.endswith(".sock")] in ([], [_socket(third)])
    await third.close()


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _socket(server: Server) -> str:
    return Path(server.address.unix).name


def _serve_elsewhere(run_dir: Path, prefer: str) -> subprocess.Popen[bytes]:
    program = f"""
import asyncio, pathlib
from risk_daemon.wire.transport import Hello, serve
async def main():
    await serve(pathlib.Path({str(run_dir)!r}), "server", lambda channel: None,
                hello=Hello("test", "server", "v3"), prefer={prefer!r})
    print("serving", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)


@pytest.mark.parametrize("damaged", [None, b"", b'{"unix": "\xa5'])
@on_loop
async def test_an_address_that_is_lost_is_written_again(
    tmp_path: Path, prefer: str, damaged: bytes | None
) -> None:
    side = Side()
    server = await serve(tmp_path, "server", side.welcome, hello=THEIRS, prefer=prefer)
    file = address_file(tmp_path, "server")
    if damaged is None:
        file.unlink()
    else:
        file.write_bytes(damaged)

    there = await asyncio.to_thread(until, lambda: _is_there(tmp_path, server), 10, "the address")

    assert there > 0
    channel = await connect(tmp_path, "server", OURS, 5)
    channel.close()
    await server.close()
    assert not file.exists()


def _is_there(run_dir: Path, server: Server) -> bool:
    try:
        return read_address(run_dir, "server") == server.address
    except (FileNotFoundError, Malformed):
        return False
