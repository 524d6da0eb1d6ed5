"""`risk-daemon console --home H`: health, metrics, API and status page on 127.0.0.1.

Writes `run/console.json` (port, pid) once it listens. It holds nothing that
protects: when it dies, people are blind and nothing else happens.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import uvicorn

from risk_daemon.clock import SECOND_NS, Clock, Timekeeper
from risk_daemon.console import view
from risk_daemon.console.alerting import Alerting
from risk_daemon.console.app import make_app
from risk_daemon.console.auditing import Audit, Watched, protocol
from risk_daemon.console.beating import Heartbeats
from risk_daemon.console.carrying import Carrier
from risk_daemon.console.channelling import Channels
from risk_daemon.console.desk import Desk
from risk_daemon.console.feeding import Feed
from risk_daemon.console.following import Follower
from risk_daemon.console.history import Store
from risk_daemon.console.sampling import Sampler
from risk_daemon.console.seen import Seen
from risk_daemon.errors import NotFound, OperatorError
from risk_daemon.operations.alerts.alarm_log import AlarmLog
from risk_daemon.operations.home import Home
from risk_daemon.operations.state_file import standing
from risk_daemon.operations.which_release import release
from risk_daemon.programs import process, service
from risk_daemon.settings import Settings, decode_settings
from risk_daemon.wire.control import Op
from risk_daemon.wire.transport import Hello, serve, write_private

NAME: Final = "console"
HOST: Final = "127.0.0.1"
READY: Final = "console.json"
#: Below `state/`: what the graphs show.
HISTORY: Final = "history"
SAY_EVERY_S: Final = 1.0
#: Without settings (nothing was ever adopted) the console still shows that.
UNSETTLED: Final = Settings(environment="demo")


def _settings(home: Home) -> Settings:
    """The settings adopted last; the file is read once, before anything is served."""
    try:
        last = standing(home).settings
    except NotFound:
        last = None
    return decode_settings(last.text) if last is not None else UNSETTLED


def _bind(port: int) -> socket.socket:
    """Take the port, or say who may have it; 0 is any free one."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":
        # A restart must not wait for the connections of the one before to fade.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise OperatorError(
            f"port {port} of {HOST} can't be taken ({error.strerror}): another program has it. "
            "Set console.port in config/daemon.yaml, 0 takes any free one."
        ) from None
    listener.listen(128)
    return listener


class _Server(uvicorn.Server):
    """Says that it is ready only when it really listens."""

    def __init__(self, config: uvicorn.Config, ready: Path, port: int) -> None:
        super().__init__(config)
        self._ready = ready
        self._port = port

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End in order on SIGTERM, with exit 0: the library would raise the signal once more."""
        ours = (signal.SIGINT, signal.SIGTERM)
        before = {one: signal.signal(one, self.handle_exit) for one in ours}
        try:
            yield
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then write where."""
        await super().startup(sockets)
        # What is loaded stays: counted among what may go, it lets a quarter of its own size of
        # garbage lie about before all of it is looked through.
        gc.collect()
        gc.freeze()
        self._say_where()

    def _say_where(self) -> None:
        line = json.dumps({"port": self._port, "pid": os.getpid()}).encode()
        if not (self._ready.is_file() and self._ready.read_bytes() == line):
            write_private(self._ready, line)

    async def keep_saying(self) -> None:
        """Write it again where somebody damaged or deleted it: without it nobody finds us."""
        while True:
            await asyncio.sleep(SAY_EVERY_S)
            if self.started:
                self._say_where()


async def _serve(home: Home, listener: socket.socket, version: str, clock: Timekeeper) -> None:
    seen = Seen(release=version)
    follower = Follower(seen, home.run, clock)
    store, feed = Store(home.state / HISTORY), Feed(seen, clock, secrets.token_hex(4))
    audit = Audit(home, clock)
    app = make_app(seen, clock, feed, store, Desk(home, seen, clock))
    app.add_middleware(Watched, audit=audit)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,
        loop="asyncio",
        http=protocol(audit),
        ws="none",
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = _Server(config, home.run / READY, listener.getsockname()[1])
    hello = Hello("console", NAME, seen.release, pid=os.getpid())
    admin = await serve(
        home.run, NAME, service.attend({"status": _status_of(seen, clock)}), hello=hello
    )
    async with asyncio.TaskGroup() as group:
        following = [
            group.create_task(follower.follow_journal()),
            group.create_task(follower.ask_supervisor()),
            group.create_task(follower.ask_rollout()),
            group.create_task(follower.ask_workers()),
            group.create_task(Sampler(seen, clock, store).run()),
            group.create_task(feed.run()),
            group.create_task(Carrier(home, seen, clock, lambda: AlarmLog(home), "outbox").run()),
            group.create_task(Channels(home, seen, clock).run()),
            group.create_task(Alerting(home, seen, clock).run()),
            group.create_task(Heartbeats(home, seen, clock).run()),
            group.create_task(server.keep_saying()),
            group.create_task(audit.run()),
        ]
        await server.serve(sockets=[listener])
        for task in following:
            task.cancel()
        await audit.finish()
        await admin.close()


def _status_of(seen: Seen, clock: Timekeeper) -> Op:
    """The admin protocol's `status`, the same answer as `/health`."""

    async def status(args: dict[str, Any]) -> dict[str, Any]:
        del args
        return view.health(seen, clock.steady_ns())[1]

    return status


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM."""
    parser = service.arguments(NAME, "Health, metrics, API and status page on 127.0.0.1.")
    parser.add_argument("--port", type=int, help="instead of console.port; 0 is any free one")
    args = parser.parse_args(argv)
    home = Home(args.home.absolute())
    version = args.release or release()
    return process.run(NAME, home.path, lambda: run(home, args.port, version, _clock))


def _clock(settings: Settings) -> Timekeeper:
    return Clock(int(settings.clock_offset_s * SECOND_NS))


def run(home: Home, port: int | None, version: str, clock: Callable[[Settings], Timekeeper]) -> int:
    """Serve until SIGTERM, at this clock; the program has the machine's, whatever it is told."""
    home.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings = _settings(home)
    listener = _bind(settings.console_port if port is None else port)
    try:
        asyncio.run(_serve(home, listener, version, clock(settings)))
    finally:
        (home.run / READY).unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
