"""The two SignalR hubs: negotiate, sockets, subscriptions, and what goes out on them.

Each connection has a queue and a task that writes it, so that one client that stopped reading
never holds up another. A message counts as delivered when that task hands it to the socket of a
subscribed, unfrozen connection; that is the moment latencies are counted from.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from aiohttp import WSMsgType, web

from risk_daemon.sim import rows
from risk_daemon.sim.contracts import CATALOGUE
from risk_daemon.sim.contracts import find as find_contract
from risk_daemon.sim.market import Tick
from risk_daemon.sim.model import Message
from risk_daemon.sim.moment import NS_PER_S, Moment
from risk_daemon.sim.world import World

PING_S = 15.0
SILENT_S_MAX = 30.0
QUEUE_MAX = 20_000
PING = rows.record({"type": 6})
_USER_TOPICS = {"Orders": "order", "Positions": "position", "Trades": "trade"}
_MARKET_TOPICS = {
    "ContractQuotes": "quote",
    "ContractTrades": "print",
    "ContractMarketDepth": "depth",
}
_ERROR = "Connection closed with an error."


@dataclass(frozen=True, slots=True)
class Parcel:
    """A text for a socket, with the user message, the quote or the print in it, if any."""

    text: str
    message: Message | None = None
    tick: Tick | None = None
    is_print: bool = False


@dataclass(eq=False, slots=True)
class Connection:
    """One open socket of one login on one hub."""

    id: int
    login: str
    hub: str
    request: web.Request
    socket: web.WebSocketResponse
    heard_ns: int
    topics: set[tuple[str, object]] = field(default_factory=set)
    queue: asyncio.Queue[Parcel] = field(default_factory=lambda: asyncio.Queue(QUEUE_MAX))
    quotes_sent: int = 0
    is_deaf: bool = False

    def abort(self) -> None:
        """A TCP reset: no goodbye of any kind."""
        transport = self.request.transport
        if transport is not None:
            reset(transport)


def reset(transport: asyncio.BaseTransport) -> None:
    """Cut a connection with RST instead of FIN."""
    raw = transport.get_extra_info("socket")
    if raw is not None:
        with suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if isinstance(transport, asyncio.Transport):
        transport.abort()


class Hubs:
    """All hub connections of all logins."""

    def __init__(self, world: World, clock: Callable[[], Moment]) -> None:
        self.connections: list[Connection] = []
        self.token_owner: Callable[[str | None], str | None] = lambda _token: None
        self._world = world
        self._clock = clock
        self._ids: dict[str, str] = {}
        # Asked fifty times a second: what each login must have subscribed to never changes.
        self._wanted: dict[str, set[tuple[str, object]]] = {login: set() for login in world.whole}
        for account, login in world.logins.items():
            self._wanted[login] |= {(kind, account) for kind in _USER_TOPICS.values()}
        self._count = 0

    # Doors.

    def routes(self) -> list[web.RouteDef]:
        """The hub doors of the web application."""
        return [
            web.post("/hubs/{hub:user|market}/negotiate", self._negotiate),
            web.get("/hubs/{hub:user|market}", self._open),
        ]

    def _login(self, request: web.Request) -> str | None:
        token = request.query.get("access_token")
        header = request.headers.get("Authorization", "")
        if not token and header.startswith("Bearer "):
            token = header.removeprefix("Bearer ")
        return self.token_owner(token)

    def _turned_away(self, request: web.Request, login: str | None) -> web.Response | None:
        if login is None:
            return web.Response(status=401)
        fault = self._world.faults.find("hub_refuse", self._clock().ns, login)
        if fault is not None and _meant(fault.options, request.match_info["hub"]):
            return web.Response(status=503)
        return None

    async def _negotiate(self, request: web.Request) -> web.Response:
        login = self._login(request)
        refused = self._turned_away(request, login)
        if refused is not None or login is None:
            return refused or web.Response(status=401)
        ticket = secrets.token_urlsafe(16)
        self._ids[ticket] = login
        body = {
            "negotiateVersion": 0,
            "connectionId": ticket,
            "availableTransports": [
                {"transport": "WebSockets", "transferFormats": ["Text", "Binary"]}
            ],
        }
        return web.json_response(body)

    async def _open(self, request: web.Request) -> web.StreamResponse:
        login = self._login(request)
        refused = self._turned_away(request, login)
        if refused is not None or login is None:
            return refused or web.Response(status=401)
        ticket = request.query.get("id")
        if ticket is not None and self._ids.pop(ticket, None) != login:
            return web.Response(status=404)
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        self._count += 1
        hub = request.match_info["hub"]
        me = Connection(self._count, login, hub, request, ws, self._clock().ns)
        writer = asyncio.create_task(self._write(me))
        try:
            await self._serve(me)
        finally:
            if me in self.connections:
                self.connections.remove(me)
            writer.cancel()
        return ws

    # One connection.

    async def _serve(self, me: Connection) -> None:
        if not await self._shake_hands(me):
            return
        self.connections.append(me)
        if self._world.faults.find("session_conflict", self._clock().ns, me.login):
            await self._log_out(me)
            return
        held = ""
        async for frame in me.socket:
            if frame.type is not WSMsgType.TEXT:
                break
            me.heard_ns = self._clock().ns
            *records, held = (held + frame.data).split(rows.RECORD_END)
            for text in records:
                self._take(me, text)

    async def _shake_hands(self, me: Connection) -> bool:
        frame = await me.socket.receive()
        if frame.type is not WSMsgType.TEXT:
            return False
        first, _, rest = str(frame.data).partition(rows.RECORD_END)
        try:
            wish = json.loads(first)
        except json.JSONDecodeError:
            wish = {}
        if wish.get("protocol") != "json":
            text = rows.record(
                {"error": f"The protocol '{wish.get('protocol')}' is not supported."}
            )
            await me.socket.send_str(text)
            return False
        await me.socket.send_str(rows.record({}))
        for text in rest.split(rows.RECORD_END):
            self._take(me, text)
        return True

    def _take(self, me: Connection, text: str) -> None:
        try:
            record = json.loads(text) if text else None
        except json.JSONDecodeError:
            record = None
        if not isinstance(record, dict) or record.get("type") != 1:
            return
        if me.is_deaf:
            return
        error = self._invoke(me, str(record.get("target", "")), record.get("arguments") or [])
        number = record.get("invocationId")
        if number is not None:
            done: dict[str, object] = {"type": 3, "invocationId": str(number)}
            done |= {"error": error} if error else {"result": None}
            self._push(me, Parcel(rows.record(done)))

    def _invoke(self, me: Connection, target: str, arguments: list[object]) -> str | None:
        wanted = target.lower()
        for verb, change in (("unsubscribe", me.topics.discard), ("subscribe", me.topics.add)):
            if not wanted.startswith(verb):
                continue
            topic = self._topic(me, wanted.removeprefix(verb), arguments)
            if topic is not None:
                change(topic)
                if verb == "unsubscribe" and topic[0] == "quote":
                    self._forget_quote(me.login, str(topic[1]))
                return None
            return "Failed to invoke due to an error on the server."
        return f"Method does not exist: {target}"

    def _forget_quote(self, login: str, contract: str) -> None:
        """Who let go of a contract must not be judged by the last quote he had of it."""
        topic = ("quote", contract)
        if not any(topic in one.topics for one in self.connections if one.login == login):
            self._world.referee.unfollowed(login, contract)

    def _topic(
        self, me: Connection, name: str, arguments: list[object]
    ) -> tuple[str, object] | None:
        if me.hub == "user" and name == "accounts":
            return ("account", None)
        table = _USER_TOPICS if me.hub == "user" else _MARKET_TOPICS
        kind = {key.lower(): value for key, value in table.items()}.get(name)
        if kind is None or not arguments:
            return None
        about = arguments[0]
        if me.hub == "user":
            is_own = isinstance(about, int) and self._world.logins.get(about) == me.login
            return (kind, about) if is_own else None
        return (kind, about) if about in self._world.venue.quotes else None

    async def _write(self, me: Connection) -> None:
        next_ping = self._clock().ns + int(PING_S * NS_PER_S)
        with suppress(ConnectionError, RuntimeError):
            while True:
                parcel = await self._next_parcel(me, next_ping)
                now = self._clock()
                if parcel is None:
                    next_ping = now.ns + int(PING_S * NS_PER_S)
                    if now.ns - me.heard_ns > SILENT_S_MAX * NS_PER_S:
                        await self._close(me, "Client timed out.")
                        return
                    parcel = Parcel(PING)
                if self._is_frozen(me, now.ns):
                    continue
                await self._put(me, parcel, now)

    async def _next_parcel(self, me: Connection, until_ns: int) -> Parcel | None:
        try:
            async with asyncio.timeout(max(0.0, (until_ns - self._clock().ns) / NS_PER_S)):
                return await me.queue.get()
        except TimeoutError:
            return None

    async def _put(self, me: Connection, parcel: Parcel, now: Moment) -> None:
        text = parcel.text
        if self._world.faults.find("merged_records", now.ns, me.login):
            while not me.queue.empty():
                more = me.queue.get_nowait()
                text += more.text
                self._tell(me, more, now)
        # Told before the write: when the loop is busy, the client may already have answered by
        # the time the write returns, and its request must not look earlier than its cause.
        self._tell(me, parcel, now)
        if self._world.faults.find("split_records", now.ns, me.login) and len(text) > 1:
            await me.socket.send_str(text[: len(text) // 2])
            text = text[len(text) // 2 :]
        await me.socket.send_str(text)

    def _tell(self, me: Connection, parcel: Parcel, now: Moment) -> None:
        referee, tick = self._world.referee, parcel.tick
        if parcel.message is not None:
            referee.delivered(parcel.message, now)
        elif tick is not None and parcel.is_print:
            referee.printed(me.login, tick.contract.id, tick.quote, now)
        elif tick is not None:
            referee.quoted(me.login, tick.contract.id, tick.quote, now)

    def _is_frozen(self, me: Connection, now_ns: int) -> bool:
        fault = self._world.faults.find("freeze", now_ns, me.login)
        return me.is_deaf or (fault is not None and _meant(fault.options, me.hub))

    def _push(self, me: Connection, parcel: Parcel) -> None:
        try:
            me.queue.put_nowait(parcel)
        except asyncio.QueueFull:
            me.abort()  # it stopped reading long ago; the live gateway cuts such clients too

    # What goes out.

    def send_user(self, login: str, message: Message, now_ns: int) -> None:
        """Give a user event to every connection of the login that subscribed to it."""
        topic = (message.kind, None if message.kind == "account" else message.account)
        bare = self._world.faults.find("bare_payloads", now_ns, login) is not None
        text = ""
        for me in self.connections:
            if me.hub == "user" and me.login == login and topic in me.topics:
                text = text or rows.user_record(message, bare=bare)
                self._push(me, Parcel(text, message))

    def send_market(self, tick: Tick, now: Moment) -> None:
        """Give a market update to every connection that subscribed to it."""
        contract = tick.contract.id
        for me in self.connections:
            if me.hub != "market" or not me.topics:
                continue
            if self._strikes(contract, "market_silence", me, now.ns):
                continue
            if ("quote", contract) in me.topics:
                me.quotes_sent += 1
                is_partial = me.quotes_sent % 5 == 0
                text = rows.quote_record(tick, now.at, is_partial=is_partial)
                self._push(me, Parcel(text, tick=tick))
            if ("print", contract) in me.topics and tick.volume:
                printed = self._printed(tick, me, now.ns)
                text = rows.print_record(printed, now.at)
                self._push(me, Parcel(text, tick=printed, is_print=True))
            if ("depth", contract) in me.topics:
                self._push(me, Parcel(rows.depth_record(tick, now.at)))

    def _strikes(self, contract: str, kind: str, me: Connection, now_ns: int) -> bool:
        fault = self._world.faults.find(kind, now_ns, me.login)
        wanted = fault.options.get("contract") if fault else None
        return fault is not None and (
            wanted is None or find_contract(str(wanted)) is CATALOGUE[contract]
        )

    def _printed(self, tick: Tick, me: Connection, now_ns: int) -> Tick:
        """A print as it leaves: at twice the price or at one tick while `bad_prints` is on."""
        if not self._strikes(tick.contract.id, "bad_prints", me, now_ns):
            return tick
        last = tick.quote.last * 2 if tick.is_sell else tick.contract.tick_size
        return replace(tick, quote=replace(tick.quote, last=last))

    def whole(self) -> dict[str, bool]:
        """Per login, whether both hubs are connected and every account is subscribed."""
        found = dict.fromkeys(self._world.whole, False)
        for login in {me.login for me in self.connections}:
            found[login] = self._is_whole(login)
        return found

    def _is_whole(self, login: str) -> bool:
        mine = [me for me in self.connections if me.login == login and not me.is_deaf]
        topics = {topic for me in mine if me.hub == "user" for topic in me.topics}
        return self._wanted[login] <= topics and any(me.hub == "market" for me in mine)

    # Faults that happen to sockets.

    async def strike(self, kind: str, login: str | None, options: dict[str, object]) -> None:
        """Cut or close the connections of a login in the way the fault says."""
        # Side by side: a client that stopped reading takes its full second to say goodbye to.
        async with asyncio.TaskGroup() as group:
            for me in list(self.connections):
                if login in (None, me.login) and _meant(options, me.hub):
                    group.create_task(self._strike_one(kind, me))

    async def _strike_one(self, kind: str, me: Connection) -> None:
        if kind == "half_open":
            me.is_deaf = True
        elif kind == "hub_reset":
            me.abort()
        elif kind == "hub_close":
            await self._goodbye(me)
        elif kind == "hub_close_error":
            await self._close(me, _ERROR)
        else:
            await self._log_out(me)

    async def _log_out(self, me: Connection) -> None:
        await self._say_last(me, rows.invocation("GatewayLogout"))
        await self._goodbye(me)

    async def _close(self, me: Connection, error: str) -> None:
        await self._say_last(me, rows.record({"type": 7, "error": error, "allowReconnect": True}))
        await self._goodbye(me)

    async def _say_last(self, me: Connection, text: str) -> None:
        with suppress(ConnectionError, RuntimeError):
            async with asyncio.timeout(1):
                await me.socket.send_str(text)

    async def _goodbye(self, me: Connection) -> None:
        if me in self.connections:
            self.connections.remove(me)
        with suppress(ConnectionError, RuntimeError, TimeoutError):
            async with asyncio.timeout(1):
                await me.socket.close()


def _meant(options: dict[str, object], hub: str) -> bool:
    return options.get("hub", "both") in ("both", hub)
