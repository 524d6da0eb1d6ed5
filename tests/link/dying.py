"""The link as a program that is killed at its first request: just before it leaves, or just after.

Before: it is noted, and no byte of it has left. After: it was answered, and nobody was told.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from risk_daemon.broker.port import Outcome, Request
from risk_daemon.broker.projectx.adapter import ProjectXBroker
from risk_daemon.broker.projectx.connection import unheard
from risk_daemon.broker.projectx.intake import Intake
from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.journal import segment
from risk_daemon.link import send_log
from risk_daemon.link.loop import Link
from risk_daemon.programs import service
from risk_daemon.wire.transport import Hello


class Dying(ProjectXBroker):
    """Lets one request out, or not even that."""

    is_sent_first = False

    async def send(self, request: Request, leaving: Callable[[], None] = unheard) -> Outcome:
        def dies() -> None:
            leaving()
            psutil.Process().kill()

        if self.is_sent_first:
            await super().send(request, leaving)
            psutil.Process().kill()
        return await super().send(request, dies)


async def run(home: Path, login_name: str, key: str, when: str) -> None:
    name = f"link-{login_name}"
    journal = await service.journal_of(home, Hello("link", name), asyncio.Event())
    settings = await service.settings_of(journal)
    login = settings.login(login_name)
    broker = Dying(settings.gateway, login.name, login.user, key)
    broker.is_sent_first = when == "after"
    link = Link(
        login,
        broker,
        Intake,
        journal,
        Clock(int(settings.clock_offset_s * SECOND_NS)),
        segment.path_of(home / "state", login.name),
        send_log.path_of(home / "run", login.name),
        f"{name}-{os.getpid()}",
    )
    await link.run()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), *sys.argv[2:]))
