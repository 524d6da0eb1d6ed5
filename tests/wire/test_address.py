"""How a server is found, however deep its home lies and however its predecessor died."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from risk_daemon.errors import Malformed
from risk_daemon.wire.address import (
    SOCKET_PATH_MAX,
    Address,
    address_file,
    bind_private,
    make_room,
    read_address,
    socket_path,
    unix_socket,
    withdraw,
    write_private,
)
from risk_daemon.wire.channel import Channel
from risk_daemon.wire.control import WakeAt
from risk_daemon.wire.transport import Hello, connect, serve
from tests.journal.homes import on_loop

HELLO = Hello("test", "server")


def nothing(_: Channel) -> None:
    """Welcome a connection and do nothing with it."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@on_loop
async def test_a_home_too_deep_for_a_socket_has_it_in_a_private_folder_elsewhere(
    tmp_path: Path,
) -> None:
    deep = tmp_path / ("deep-" * 10) / ("deeper-" * 10) / "run"
    server = await serve(deep, "server", nothing, hello=HELLO)
    bound = Path(server.address.unix)
    channel = await connect(deep, "server", HELLO, 5)

    assert channel.peer.name == "server"
    assert len(str(bound)) <= SOCKET_PATH_MAX
    assert not bound.is_relative_to(tmp_path)
    assert stat.S_IMODE(bound.parent.stat().st_mode) == 0o700
    channel.close()
    await channel.closed()
    await server.close()
    assert not bound.parent.exists()
    assert names(deep) == []


@on_loop
async def test_where_no_path_is_short_enough_loopback_serves(tmp_path: Path) -> None:
    endless = "n" * (SOCKET_PATH_MAX + 1)
    server = await serve(tmp_path, endless, nothing, hello=HELLO)

    assert server.address.tcp > 0
    await server.close()


def test_the_path_of_a_socket_is_never_too_long() -> None:
    for length in range(1, 2 * SOCKET_PATH_MAX):
        path = socket_path(Path("/", "x" * length), "server")
        assert path is not None
        assert len(str(path)) <= SOCKET_PATH_MAX
        if path.parent.name.startswith("rd-"):
            path.parent.rmdir()


@pytest.mark.skipif(os.name != "posix", reason="elsewhere every path is too long")
def test_a_path_may_have_a_hundred_bytes_in_the_run_directory_or_elsewhere() -> None:
    assert SOCKET_PATH_MAX == 100
    own = len(f"-{os.getpid()}.sock")

    fits = Path("/", "x" * (98 - own - len("server")))
    assert socket_path(fits, "server") == fits / f"server-{os.getpid()}.sock"
    assert len(str(fits / f"server-{os.getpid()}.sock")) == 100

    # A private folder in the nearest place there is: a name of its own eats up the rest.
    name = "s" * (100 - own - 13 - len("/tmp"))
    found = socket_path(Path("/", "x" * 100), name)
    assert found is not None
    assert len(str(found)) == 100
    found.parent.rmdir()
    assert socket_path(Path("/", "x" * 100), name + "s") is None


def test_a_socket_that_cannot_be_bound_is_closed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bind_private(tmp_path / "nowhere" / "server.sock")


def test_a_killed_predecessors_socket_is_removed_and_a_living_ones_is_not(tmp_path: Path) -> None:
    dead, alive = tmp_path / "dead-1.sock", tmp_path / "alive-1.sock"
    bind_private(dead).close()
    write_private(address_file(tmp_path, "dead"), b'{"unix": "%s"}' % bytes(dead))
    write_private(address_file(tmp_path, "alive"), b'{"unix": "%s"}' % bytes(alive))
    with bind_private(alive) as listening:
        listening.listen()
        make_room(address_file(tmp_path, "dead"))
        make_room(address_file(tmp_path, "alive"))

    assert names(tmp_path) == ["alive-1.sock", "alive.addr", "dead.addr"]


def test_a_frozen_predecessors_socket_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "frozen-1.sock"
    write_private(address_file(tmp_path, "frozen"), b'{"unix": "%s"}' % bytes(path))
    waiting = [unix_socket() for _ in range(8)]
    with bind_private(path) as listening:
        listening.listen(0)
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(str(path))
        make_room(address_file(tmp_path, "frozen"))
        assert path.exists()
    for one in waiting:
        one.close()


@pytest.mark.parametrize("damaged", [b"{", b'{"unix": "\xa5\xa5"}'])
def test_room_is_made_where_no_or_no_readable_address_is(tmp_path: Path, damaged: bytes) -> None:
    make_room(address_file(tmp_path / "new" / "run", "server"))
    address_file(tmp_path, "server").write_bytes(damaged)
    make_room(address_file(tmp_path, "server"))

    assert stat.S_IMODE((tmp_path / "new" / "run").stat().st_mode) == 0o700
    with pytest.raises(Malformed, match=r"server\.addr is no address"):
        read_address(tmp_path, "server")


def test_only_our_own_address_is_taken_away(tmp_path: Path) -> None:
    file = address_file(tmp_path, "server")
    write_private(file, b'{"tcp": 5, "token": "theirs"}')
    withdraw(file, Address(tcp=5, token="ours"))
    assert file.exists()
    withdraw(file, Address(tcp=5, token="theirs"))
    withdraw(file, Address(tcp=5, token="theirs"))
    assert not file.exists()


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        write_private(tmp_path / "folder", b"content")

    assert names(tmp_path) == ["folder"]


@on_loop
async def test_a_run_directory_that_looks_like_ours_is_left_alone() -> None:
    with tempfile.TemporaryDirectory(prefix="rd-") as shared:
        run_dir = Path(shared)
        server = await serve(run_dir, "server", nothing, hello=HELLO)
        channel = await connect(run_dir, "server", HELLO, 5)
        channel.send(WakeAt(1))
        channel.close()
        await channel.closed()
        await server.close()

        assert names(run_dir) == []
