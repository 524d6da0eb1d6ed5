"""The link process: one broker login, the only one that talks to the broker."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from risk_daemon.broker.projectx.adapter import ProjectXBroker
from risk_daemon.broker.projectx.connection import require_sdk
from risk_daemon.broker.projectx.intake import Intake
from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.errors import NotFound
from risk_daemon.journal import segment
from risk_daemon.link import send_log
from risk_daemon.link.admin import ops
from risk_daemon.link.loop import Link
from risk_daemon.operations.configuration import credentials, gateway
from risk_daemon.operations.home import Home
from risk_daemon.programs import process, service, spare
from risk_daemon.settings import Login, Settings
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.transport import Hello, serve


def main(argv: Sequence[str] | None = None) -> int:
    """Run one login's link until SIGTERM."""
    parser = service.arguments("link", "Talks to the broker for one login.")
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--login", help="the login's name in daemon.yaml")
    whose.add_argument("--spare", action="store_true", help="each login on stdin is a link")
    args = parser.parse_args(argv)
    home: Path = args.home.absolute()
    login = args.login or _told(home)
    if not login:
        return 0  # whoever kept us has ended, or needs no spare any more
    name = f"link-{login}"
    return process.run(name, home, lambda: asyncio.run(_main(home, name, login, args.release)))


def _told(home: Path) -> str:
    """Load all that a link needs, and become each link that is asked for; "" for nobody's."""
    require_sdk()
    return spare.told_each(home / "logs", lambda login: f"link-{login}")


async def _main(home: Path, name: str, login_name: str, release: str) -> int:
    stop, lost = asyncio.Event(), asyncio.Event()
    process.stop_on_signal(stop)
    hello = Hello("link", name, release, pid=os.getpid())
    journal = await service.journal_of(home, hello, lost)
    settings = await service.settings_of(journal)
    link = make(Home(home), settings, login_name, journal, name)
    link.lost = lost
    server = await serve(home / "run", name, service.attend(ops(link)), hello=hello)
    gc.collect()
    gc.freeze()
    running: asyncio.Task[Any] = asyncio.create_task(link.run())
    try:
        await service.until_stopped(stop, running)
    finally:
        running.cancel()
        await server.close()
        journal.close()
    return 0


def make(
    home: Home, settings: Settings, login_name: str, journal: JournalClient, name: str
) -> Link:
    """Put a link together; refuses a host or a login that is not this home's."""
    login = _login(settings, login_name)
    gateway.assert_gateway(settings.environment, settings.gateway)
    if gateway.kind_of(settings.gateway.api_url) == "simulated":
        # A proxy of the environment is for the world outside, never for loopback.
        os.environ["NO_PROXY"] = "127.0.0.1,localhost"
    found = credentials.resolve(home, login)
    broker = ProjectXBroker(settings.gateway, login.name, found.user, found.key.reveal())
    return Link(
        login,
        broker,
        Intake,
        journal,
        Clock(int(settings.clock_offset_s * SECOND_NS)),
        segment.path_of(home.state, login.name),
        send_log.path_of(home.run, login.name),
        f"{name}-{os.getpid()}",
    )


def _login(settings: Settings, name: str) -> Login:
    try:
        return settings.login(name)
    except KeyError:
        known = ", ".join(login.name for login in settings.logins)
        raise NotFound(f"there is no login {name!r} in this home; logins: {known}") from None


if __name__ == "__main__":
    sys.exit(main())
