"""Opening and closing the gateway: two listening ports, the ready file, the signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from risk_daemon.sim.control import Control
from risk_daemon.sim.gate import Gate, open_gate
from risk_daemon.sim.rest import RestDoors
from risk_daemon.sim.scenario import SimConfig
from risk_daemon.sim.timeline import Scenario

HOST = "127.0.0.1"  # never anything else: it is a toy without a lock on the door
_SHUTDOWN_S = 0.5


class PortInUse(OSError):
    """Somebody else listens on a wanted port."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Where to listen (0 is any free port), where to write that it is ready, what to play."""

    port: int = 0
    control_port: int = 0
    ready_file: Path | None = None
    log: Path | None = None
    scenario: Scenario | None = None


def _api(gate: Gate) -> web.Application:
    app = web.Application()
    app.add_routes(RestDoors(gate).routes())
    app.add_routes(gate.hubs.routes())

    async def date(_request: web.Request, response: web.StreamResponse) -> None:
        response.headers["Date"] = gate.date_header()

    app.on_response_prepare.append(date)
    return app


async def _listen(app: web.Application, port: int) -> tuple[web.AppRunner, int]:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port).start()
    except OSError as error:
        await runner.cleanup()
        raise PortInUse(f"port {port} on {HOST} can't be used: {error.strerror}") from error
    return runner, runner.addresses[0][1]


def _write_ready(path: Path, port: int, control_port: int) -> None:
    origin = f"http://{HOST}:{port}"
    body = {
        "pid": os.getpid(),
        "port": port,
        "control_port": control_port,
        "api_url": f"{origin}/api",
        "user_hub_url": f"{origin}/hubs/user",
        "market_hub_url": f"{origin}/hubs/market",
    }
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(body) + "\n", encoding="utf-8")
    beside.replace(path)


async def serve(config: SimConfig, doors: Doors) -> None:
    """Run until told to stop (SIGTERM, SIGINT)."""
    gate = open_gate(config, doors.log)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows has none; there it is simply ended
            loop.add_signal_handler(name, stop.set)
    api, port = await _listen(_api(gate), doors.port)
    runners, port_of_control = [api], Control(gate)
    try:
        control, control_port = await _listen(port_of_control.app(), doors.control_port)
        runners.append(control)
        if doors.scenario is not None:
            port_of_control.play(doors.scenario)
        if doors.ready_file is not None:
            _write_ready(doors.ready_file, port, control_port)
        await _pump_until(gate, stop)
    finally:
        port_of_control.end()
        for runner in runners:
            await runner.cleanup()


async def _pump_until(gate: Gate, stop: asyncio.Event) -> None:
    pump = asyncio.create_task(gate.pump())
    stopped = asyncio.create_task(stop.wait())
    done, _ = await asyncio.wait({pump, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (pump, stopped):
        task.cancel()
    for me in list(gate.hubs.connections):
        me.abort()
    if pump in done:
        pump.result()  # a broken world must not go on serving: raise what broke it
