"""What it costs between processes: the journal, the SDK, and a whole daemon with one account."""

from __future__ import annotations

import asyncio
import gc
import http.client
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from risk_daemon.broker.port import Request
from risk_daemon.broker.projectx.adapter import ProjectXBroker
from risk_daemon.clock import Clock
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway, wednesday_offset_s
from risk_daemon.stage.waiting import until
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Grant
from risk_daemon.wire.record import Record
from tests.bench.figures import Sample, sample
from tests.journal.homes import DEADLINE_S, Home, intent, mark
from tests.link.at_work import (
    CLOSING,
    MNQ,
    accounts_of,
    addresses_of,
    floor_config,
    key_of,
    user_of,
)

FACTS: Final = 600
INTENTS: Final = 200
WARM: Final = 50
PAUSE_S: Final = 0.002
FLUSHES: Final = 100
#: Of 200 in a minute, for each login.
REQUESTS: Final = 120
BREACHES: Final = 15
VERSIONS: Final = 7
HEALTHS: Final = 30
LIMIT: Final = 5

SCENARIO: Final = """
seed: 3
profile: calm
traders: false
logins:
  - {user: quiet, api_key: quiet-key-0001, accounts: [{id: 9400000001, name: QUIET}]}
limits:
  default: {max_contracts: 5, daily_realized_loss: "20000.00"}
"""
QUIET: Final = 9_400_000_001


def version() -> Sample:
    """The quickest command there is, as a person types it: a process from its start to its end."""
    clock, found = Clock(), []
    words = [sys.executable, "-m", "risk_daemon.programs.admin", "--version"]
    for _ in range(VERSIONS):
        began = clock.steady_ns()
        subprocess.run(words, capture_output=True, check=True)
        found.append((clock.steady_ns() - began) / 1e6)
    return sample("ms", found)


def measure(say: Callable[[str], None]) -> dict[str, Sample]:
    """Return every figure between processes."""
    gc.collect()
    say("journal")
    found = asyncio.run(journal())
    say("requests over the SDK")
    found |= asyncio.run(requests())
    say("a whole daemon")
    found |= whole_daemon()
    say("the command line")
    return found | {"admin --version": version()}


# --- the journal -----------------------------------------------------------------


async def journal() -> dict[str, Sample]:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        home.start()
        try:
            client, follower = await home.client("link"), await home.client("worker")
            await client.grant([Grant(7, 0, "worker-1", "v1")])
            flush, seen = flushed(Path(folder)), await appended(client, follower)
            intended = await intents(client)
            client.close()
            follower.close()
        finally:
            home.stop()
    return {
        "flush": flush,
        "append to subscriber": seen,
        "intend, durable": intended,
        "intend / flush": Sample("x", [intended.median / flush.median]),
    }


def flushed(folder: Path) -> Sample:
    clock, found = Clock(), []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(FLUSHES):
            began = clock.steady_ns()
            file.write(b"x" * 4_096)
            file.flush()
            os.fsync(file.fileno())
            found.append((clock.steady_ns() - began) / 1e6)
    return sample("ms", found)


async def appended(client: JournalClient, follower: JournalClient) -> Sample:
    clock, found = Clock(), []
    arrived = asyncio.Event()

    def take(records: list[Record]) -> None:
        if any(record.kind == "mark-changed" for record in records):
            arrived.set()

    follower.subscribe(0, on_records=take)
    for number in range(WARM + FACTS):
        arrived.clear()
        began = clock.steady_ns()
        client.append([mark(number)])
        await arrived.wait()
        found.append((clock.steady_ns() - began) / 1e6)
        await asyncio.sleep(PAUSE_S)
    return sample("ms", found[WARM:])


async def intents(client: JournalClient) -> Sample:
    clock, found = Clock(), []
    for number in range(WARM + INTENTS):
        key = f"bench/{number}"
        began = clock.steady_ns()
        client.append([mark(1), mark(2)])
        answer = await client.intend(7, 1, key, intent(7, 1, key))
        assert answer.refused == ""
        found.append((clock.steady_ns() - began) / 1e6)
        await asyncio.sleep(PAUSE_S)
    return sample("ms", found[WARM:])


# --- the SDK ---------------------------------------------------------------------


async def requests() -> dict[str, Sample]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "floor.yaml"
        config.write_text(floor_config(2))
        gateway = Gateway(Path(folder), config=config, seed=3)
        try:
            ours, bare = await sent(gateway), await asyncio.to_thread(sent_bare, gateway)
        finally:
            gateway.stop()
    return {
        "close over the SDK": ours,
        "close, bare": bare,
        "close, SDK / bare": Sample("x", [ours.median / bare.median]),
    }


async def sent(gateway: Gateway) -> Sample:
    broker = ProjectXBroker(addresses_of(gateway), user_of(1), user_of(1), key_of(1))
    clock, found = Clock(), []
    await broker.login()
    await broker.warm()
    for number in range(REQUESTS):
        request = Request(
            request=str(number), key="k", account=accounts_of(1)[0], act="close", contract=MNQ
        )
        began = clock.steady_ns()
        outcome = await broker.send(request)
        found.append((clock.steady_ns() - began) / 1e6)
        assert outcome.meaning == "flat"
        await asyncio.sleep(PAUSE_S)
    await broker.close()
    return sample("ms", found)


def sent_bare(gateway: Gateway) -> Sample:
    address = urlsplit(gateway.url)
    assert address.hostname
    connection = http.client.HTTPConnection(address.hostname, address.port)
    clock, found = Clock(), []

    def post(path: str, body: object, token: str = "") -> dict[str, object]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        connection.request("POST", path, json.dumps(body), headers)
        answer: dict[str, object] = json.loads(connection.getresponse().read())
        return answer

    login = post("/api/Auth/loginKey", {"userName": user_of(2), "apiKey": key_of(2)})
    body = {"accountId": accounts_of(2)[0], "contractId": MNQ}
    for _ in range(REQUESTS):
        began = clock.steady_ns()
        assert not post("/api/Position/closeContract", body, str(login["token"]))["success"]
        found.append((clock.steady_ns() - began) / 1e6)
    connection.close()
    return sample("ms", found)


# --- the daemon --------------------------------------------------------------------


def whole_daemon() -> dict[str, Sample]:
    """Break a limit again and again, timed by the gateway's clock; then ask for the health."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        config = place / "quiet.yaml"
        config.write_text(SCENARIO)
        offset_s = wednesday_offset_s(Clock())
        gateway = Gateway(place, config=config, seed=3, offset_s=offset_s)
        daemon = Daemon(place / "home")
        try:
            daemon.found(gateway, offset_s)
            daemon.start()
            for _ in range(BREACHES):
                break_a_limit(gateway)
            verdict, found = gateway.post("/finish", settle_s=DEADLINE_S), latencies(gateway)
            answers = healths(daemon)
        finally:
            daemon.stop()
            gateway.stop()
    assert verdict["ok"], verdict
    assert len(found) == BREACHES, verdict
    return {"breach to close": sample("ms", found), "health over HTTP": sample("ms", answers)}


def healths(daemon: Daemon) -> list[float]:
    """Time the health page's answers, each on a connection of its own, as `curl` would."""
    clock, found = Clock(), []
    for _ in range(HEALTHS):
        began = clock.steady_ns()
        assert daemon.api("/health")["ok"]
        found.append((clock.steady_ns() - began) / 1e6)
    return found


def latencies(gateway: Gateway) -> list[float]:
    """Return, for each breach, the time from its showing to the first request that arrived."""
    lines = gateway.get("/happenings")["happenings"]
    shown = [line["ns"] / 1e6 for line in lines if line["kind"] == "visible"]
    rows = gateway.get("/requests")["requests"]
    closes = [row["mono_ms"] for row in rows if row["path"] in CLOSING]
    return [min(at for at in closes if at >= began) - began for began in shown]


def break_a_limit(gateway: Gateway) -> None:
    trade(gateway, "buy", LIMIT + 3)
    until(lambda: held(gateway) == LIMIT and is_settled(gateway), DEADLINE_S, "the excess to go")
    trade(gateway, "sell", LIMIT)
    until(lambda: held(gateway) == 0, DEADLINE_S, "the account to be flat")


def trade(gateway: Gateway, side: str, size: int) -> None:
    order = {"account": QUIET, "contract": "MNQ", "side": side, "size": size, "type": "market"}
    gateway.post("/order", **order)


def held(gateway: Gateway) -> int:
    rows = gateway.get("/truth")["accounts"][0]["positions"]
    return sum(int(row["q"]) for row in rows)


def is_settled(gateway: Gateway) -> bool:
    return bool(gateway.get("/unsettled")["n"] == 0)
