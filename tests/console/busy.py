"""A console of fifty accounts, ten of which change each second: `python -m tests.console.busy`.

Nothing but the accounts is made up: the stream, the routes and the page are those of the console.
Prints its port, and serves until it is ended.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import tempfile
from pathlib import Path

import uvicorn

from risk_daemon.clock import Clock
from risk_daemon.console.app import make_app
from risk_daemon.console.desk import Desk
from risk_daemon.console.feeding import Feed
from risk_daemon.console.figures import Decided
from risk_daemon.console.history import Store
from risk_daemon.console.sampling import Sampler
from risk_daemon.console.seen import Seen
from risk_daemon.operations.home import Home
from risk_daemon.wire.view import DistanceView, PositionView
from tests.console.build import row, view

ACCOUNTS = 50
UPDATE_EVERY_S = 0.1


def account(number: int, turn: int) -> object:
    """An account whose position's worth is another one at each turn."""
    open_pnl = f"{turn % 97 - 40}.25"
    position = PositionView(
        contract="CON.F.US.MNQ.Z26",
        root="MNQ",
        quantity=2,
        average="28433.25",
        unrealized=open_pnl,
        agreed=True,
    )
    distance = DistanceView(
        rule="daily-loss",
        mode="enforce",
        observed=open_pnl,
        limit="-500",
        state="clear",
        used="0.1",
    )
    return view(
        number, unrealized=open_pnl, day_pnl=open_pnl, positions=(position,), distances=(distance,)
    )


async def change(seen: Seen, clock: Clock) -> None:
    """Have one account after another change, and everything be told of once a second."""
    rows = [row(number) for number in range(1, ACCOUNTS + 1)]
    for turn in itertools.count():
        now = clock.steady_ns()
        seen.last_seq, seen.record_at = turn, now
        number = turn % ACCOUNTS + 1
        seen.take_view(account(number, turn), now)  # type: ignore[arg-type]
        seen.decided.append(Decided(now, number, 900 + turn % 300, False))
        if turn % 10 == 0:
            names = ("console", "journal", "link-alpha", "worker-1@v1", "worker-2@v1")
            processes = [
                {"name": name, "role": "link", "state": "running", "release": "v1"}
                | {"since_s": turn / 10, "memory_mb": 40.0 + turn % 7, "cpu_percent": turn % 5.0}
                for name in names
            ]
            seen.take_status({"accounts": rows, "processes": processes}, now)
        await asyncio.sleep(UPDATE_EVERY_S)


async def serve(folder: Path) -> None:
    clock, seen = Clock(), Seen(release="v1", journal_connected=True)
    for number in range(1, ACCOUNTS + 1):
        seen.take_view(account(number, 0), clock.steady_ns())  # type: ignore[arg-type]
    feed, store = Feed(seen, clock, "busy"), Store(folder / "history")
    app = make_app(seen, clock, feed, store, Desk(Home(folder), seen, clock))
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, access_log=False, log_config=None, lifespan="off", http="h11")
    print(listener.getsockname()[1], flush=True)
    async with asyncio.TaskGroup() as group:
        group.create_task(change(seen, clock))
        group.create_task(feed.run())
        group.create_task(Sampler(seen, clock, store).run())
        await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="busy-console-") as place:
        asyncio.run(serve(Path(place)))
