"""A bare SignalR client for the hubs of the real process: it hides nothing and repairs nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.sim.gateway_process import Gateway

END = "\x1e"


class HubClient:
    """One socket; `heard` is everything that came, in order; `frames` is it as it came."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.heard: list[dict[str, Any]] = []
        self.frames: list[str] = []
        self.is_over = False
        self._rest = ""
        self._number = 0

    async def read(self) -> None:
        """Read until the socket is over."""
        async for frame in self.socket:
            if frame.type is aiohttp.WSMsgType.TEXT:
                self.frames.append(frame.data)
                *records, self._rest = (self._rest + frame.data).split(END)
                self.heard += [json.loads(record) for record in records]
        self.is_over = True

    async def send(self, record: dict[str, Any]) -> None:
        """Send one record."""
        await self.socket.send_str(json.dumps(record) + END)

    async def ask(self, target: str, *arguments: object) -> dict[str, Any]:
        """Invoke a method and wait for its completion."""
        self._number += 1
        number = f"q{self._number}"
        record = {"type": 1, "target": target, "arguments": arguments, "invocationId": number}
        await self.send(record | {"headers": {}})
        await self.until(lambda: self._done(number))
        return self._done(number)[0]

    def _done(self, number: str) -> list[dict[str, Any]]:
        return [r for r in self.heard if r.get("invocationId") == number]

    def events(self, target: str) -> list[list[Any]]:
        """The arguments of every event of that name."""
        return [record["arguments"] for record in self.heard if record.get("target") == target]

    def data(self, target: str) -> list[dict[str, Any]]:
        """The unwrapped rows of a user event."""
        return [arguments[0]["data"] for arguments in self.events(target)]

    async def until(self, look: Callable[[], object], within_s: float = 5.0) -> None:
        """Wait for a condition, with a deadline."""
        deadline = time.monotonic() + within_s
        while not look():
            assert time.monotonic() < deadline, f"not within {within_s} s; heard {self.heard[-3:]}"
            await asyncio.sleep(0.005)


@asynccontextmanager
async def hub(
    gateway: Gateway, token: str, kind: str = "user", *, ticket: str | None = None
) -> AsyncIterator[HubClient]:
    """A connected hub client, past the handshake."""
    url = f"http://127.0.0.1:{gateway.port}/hubs/{kind}?access_token={token}"
    if ticket is not None:
        url += f"&id={ticket}"
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        client = HubClient(socket)
        reader = asyncio.create_task(client.read())
        await client.send({"protocol": "json", "version": 1})
        await client.until(lambda: client.heard == [{}])
        try:
            yield client
        finally:
            reader.cancel()


async def wish(gateway: Gateway, path: str, body: object = None) -> Any:
    """A wish at the control port, without holding up the loop."""
    return await asyncio.to_thread(gateway.control, path, body)
