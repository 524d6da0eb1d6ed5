"""Sessions with the gateway on project-x-py: two REST clients, two hubs.

The only file that uses the SDK, and the only one that touches private names of
it and of the SignalR client below it, checked at start (`require_sdk`):

* `ProjectX._execute_http_request`: one request, sent once. The public way
  retries reads after sleeping and has no close, partial close or cancel.
* `AsyncHubConnection._client`: invocations with a completion, which is the
  only active probe the protocol has (a quiet socket says nothing).
* `AsyncHubConnection._run_task`: the truth about a hub; its flags stay "connected"
  after a close with an error.
* `WebsocketTransport._ws`, by way of `SignalRClient._transport`: the socket. Cancelling
  the task leaves it to a goodbye of up to ten seconds, which a frozen peer never returns.
* `ProjectX._client`: the HTTP client, which tells by its trace when a request's body is written.
* `WebsocketTransport._protocol`: the decoder. The client takes each WebSocket message for whole
  records and dies of half a one; SignalR promises nothing of the kind.

A hub that closed, died or does not answer its probe is thrown away and built
anew with a fresh token: the SDK's own retries are finite and keep stale tokens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import project_x_py
from project_x_py import ProjectX, ProjectXConfig
from project_x_py.exceptions import (
    OrderSubmissionUncertainError,
    ProjectXAuthenticationError,
    ProjectXDataError,
    ProjectXError,
    ProjectXRateLimitError,
)
from project_x_py.realtime.async_hub import AsyncHubConnection, HubConnectionBuilder

from risk_daemon.errors import BrokerRefused, BrokerUnavailable, OperatorError, OutcomeUnknown
from risk_daemon.settings import Gateway

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

SDK_VERSION: Final = "4.4.1"
CONNECT_WITHIN_S: Final = 2.0
#: The SDK's own limiter would queue closes behind polls; `broker.budget` rations instead.
UNLIMITED: Final = 1_000_000

#: What the HTTP client calls the moment before it writes a request's body, in HTTP/1.1 and 2.
BODY_LEAVES: Final = ".send_request_body.started"
RECORD_END: Final = "\x1e"
RECORD_MAX: Final = 1 << 20

Handler = Callable[..., None]


def require_sdk() -> None:
    """Refuse an SDK that is not the one whose private names are used here."""
    from pysignalr.client import SignalRClient  # noqa: PLC0415 - a quarter of a second, as below

    url = "http://127.0.0.1"
    missing = [
        name
        for owner, name in (
            (ProjectX, "_execute_http_request"),
            (ProjectX("", ""), "_client"),
            (AsyncHubConnection(url), "_client"),
            (AsyncHubConnection(url), "_run_task"),
            (getattr(SignalRClient(url), "_transport", None), "_ws"),
            (getattr(SignalRClient(url), "_transport", None), "_protocol"),
        )
        if not hasattr(owner, name)
    ]
    if missing or project_x_py.__version__ != SDK_VERSION:
        raise OperatorError(
            f"project-x-py {project_x_py.__version__} is installed, {SDK_VERSION} is needed"
            + (f" (it lacks {', '.join(missing)})" if missing else "")
            + "; install the release's own locked dependencies"
        )


def sdk_config(gateway: Gateway) -> ProjectXConfig:
    """Build the SDK's configuration explicitly: its environment variables are not trusted."""
    return ProjectXConfig(
        api_url=gateway.api_url.removesuffix("/").removesuffix("/api") + "/api",
        user_hub_url=gateway.user_hub_url,
        market_hub_url=gateway.market_hub_url,
        timeout_seconds=5,
        retry_attempts=1,
        requests_per_minute=UNLIMITED,
    )


def unheard() -> None:
    """Nobody wants to know when a request leaves."""


class Throttled(BrokerUnavailable):
    """429: the gateway did not look at the request."""


class Unauthorized(BrokerUnavailable):
    """401: the token is not valid any more; the request was not looked at."""


class Rest:
    """One REST client of a login: its own connections, so that reads never delay closes."""

    def __init__(self, gateway: Gateway, user: str, key: str) -> None:
        for noisy in ("project_x_py", "httpx", "httpcore", "pysignalr", "websockets"):
            logging.getLogger(noisy).setLevel(logging.ERROR)
        self._client = ProjectX(username=user, api_key=key, config=sdk_config(gateway))
        self._execute: Any = getattr(self._client, "_execute_http_request")  # noqa: B009
        #: By the task that sends: who is told when the body leaves.
        self._leaving: ContextVar[Callable[[], None]] = ContextVar("leaving", default=unheard)
        #: The present HTTP client has shown that its trace tells.
        self._tells = False

    @property
    def token(self) -> str:
        """The session token, empty before a login."""
        return str(self._client.session_token or "")

    async def login(self) -> str:
        """Log in with the key and return the token. Selects no account: we guard all."""
        body = {"userName": self._client.username, "apiKey": self._client.api_key}
        answer = await self.post("/Auth/loginKey", body)
        token = answer.get("token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token:
            code = answer.get("errorCode") if isinstance(answer, dict) else answer
            raise Unauthorized(f"the gateway refused the login (code {code!r:.80})")
        self.use(token)
        return token

    def use(self, token: str) -> None:
        """Share a token that another client of the same login got."""
        self._client.session_token = token
        self._client.headers = {"Authorization": f"Bearer {token}"}

    def take(self, key: str, token: str) -> None:
        """Log in with another key from now on, and use the token that it has got."""
        self._client.api_key = key
        self.use(token)

    async def ping(self) -> None:
        """Ask for a sign of life; raises BrokerUnavailable."""
        try:
            await self._call("GET", "/Status/ping", None)
        except BrokerUnavailable as error:
            # The gateway answers the text "pong"; the SDK wants JSON, and has read all of it.
            if not isinstance(error.__cause__, ProjectXDataError):
                raise

    async def post(self, path: str, body: Mapping[str, object]) -> Any:
        """Send a read, once; BrokerUnavailable when nothing can be said."""
        return await self._call("POST", path, body)

    async def mutate(
        self, path: str, body: Mapping[str, object], leaving: Callable[[], None]
    ) -> Any:
        """Send a mutation, once; OutcomeUnknown when it may have happened.

        `leaving` is called before the body is written, which nobody can act without: right before,
        once the client has shown that it tells.
        """
        self._watch()
        if not self._tells:
            leaving()
        told = self._leaving.set(leaving)
        try:
            return await self._call("POST", path, body)
        except (Throttled, Unauthorized):
            raise
        except BrokerUnavailable as error:
            raise OutcomeUnknown(str(error)) from error
        finally:
            self._leaving.reset(told)

    def _watch(self) -> None:
        """Have the present HTTP client tell what it writes, and when."""
        http = self._client._client  # noqa: SLF001
        if http is not None and self._trace not in http.event_hooks["request"]:
            self._tells = False
            http.event_hooks["request"].append(self._trace)

    async def _trace(self, request: Any) -> None:
        request.extensions["trace"] = self._traced

    async def _traced(self, event: str, info: object) -> None:
        del info
        if event.endswith(BODY_LEAVES):
            self._tells = True
            self._leaving.get()()

    async def _call(self, method: str, path: str, body: Mapping[str, object] | None) -> Any:
        self._watch()
        try:
            # One attempt; retry_count 1 also switches off the SDK's own re-login.
            return await self._execute(method, path, data=body, retry_count=1)
        except ProjectXRateLimitError as error:
            raise Throttled(str(error)) from error
        except ProjectXAuthenticationError as error:
            raise Unauthorized(str(error)) from error
        except OrderSubmissionUncertainError as error:
            raise _uncertain(error) from error
        # A ValueError is a Retry-After that is no number of seconds: the SDK stumbles over it.
        except (ProjectXError, OSError, TimeoutError, ValueError) as error:
            raise BrokerUnavailable(f"{path}: {type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        client = self._client._client  # noqa: SLF001
        if client is not None:
            await client.aclose()


def _uncertain(error: OrderSubmissionUncertainError) -> BrokerUnavailable:
    """Tell apart what the SDK calls uncertain: 429 and 401 were never looked at."""
    text = str(error)
    if "rate-limited" in text:
        return Throttled(text)
    if "received 401" in text:
        return Unauthorized(text)
    return BrokerUnavailable(text)


class Joined:
    """A decoder of hub messages that keeps the end of one until the next completes it."""

    def __init__(self, decode: Callable[[str], list[Any]]) -> None:
        self._decode = decode
        self._rest = ""

    def __call__(self, message: str | bytes) -> list[Any]:
        """Decode the records that are whole now."""
        text = message.decode() if isinstance(message, bytes) else message
        *whole, self._rest = (self._rest + text).split(RECORD_END)
        if len(self._rest) > RECORD_MAX:
            raise ValueError("a hub sends a record without an end")
        return self._decode(RECORD_END.join(whole))


class Hub:
    """One hub connection, used once: opened, subscribed, probed, thrown away."""

    def __init__(self, url: str, token: str, name: str) -> None:
        self.name = name
        self._hub: AsyncHubConnection = (
            HubConnectionBuilder().with_url(f"{url}?access_token={token}", hub_name=name).build()
        )
        self._opened = asyncio.Event()
        self._closed = asyncio.Event()
        self._hub.on_open(self._opened.set)
        self._hub.on_close(self._end)
        self._hub.on_error(self._refused)
        self._pending: list[asyncio.Future[None]] = []

    def on(self, event: str, handler: Handler) -> None:
        """Bind a handler; it must not block, and it gets the hub's arguments."""
        self._hub.on(event, handler)

    async def open(self) -> None:
        """Connect; BrokerUnavailable when the hub is not open in time."""
        await self._hub.start()
        self._join_records()
        opened = asyncio.ensure_future(self._opened.wait())
        task = self._hub._run_task  # noqa: SLF001
        waiting = {opened} if task is None else {opened, task}
        try:
            await asyncio.wait(
                waiting, timeout=CONNECT_WITHIN_S, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            opened.cancel()
        if not self._opened.is_set() or self.is_dead:
            await self.drop()
            raise BrokerUnavailable(f"the {self.name} hub did not open")

    def _join_records(self) -> None:
        """Give the decoder whole records, however they were cut into messages."""
        transport: Any = self._hub._client._transport  # type: ignore[union-attr]  # noqa: SLF001
        transport._protocol.decode = Joined(transport._protocol.decode)  # noqa: SLF001

    @property
    def is_dead(self) -> bool:
        """The connection was closed, or the task that runs it has ended."""
        task = self._hub._run_task  # noqa: SLF001
        return self._closed.is_set() or task is None or task.done()

    async def wait_dead(self) -> None:
        """Return when the hub is dead."""
        task = self._hub._run_task  # noqa: SLF001
        closed = asyncio.ensure_future(self._closed.wait())
        waiting: set[asyncio.Future[Any]] = {closed} if task is None else {closed, task}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closed.cancel()

    async def invoke(self, method: str, arguments: list[object], timeout_s: float) -> None:
        """Invoke a method and wait for its completion: a subscription, or the active probe."""
        client = self._hub._client  # noqa: SLF001
        if client is None or self.is_dead:
            raise BrokerUnavailable(f"the {self.name} hub is closed")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pending.append(done)

        async def completed(message: Any) -> None:
            del message
            if not done.done():
                done.set_result(None)

        try:
            async with asyncio.timeout(timeout_s):
                await client.send(method, arguments, completed)
                await done
        except (TimeoutError, OSError, RuntimeError) as error:
            raise BrokerUnavailable(f"{method} on the {self.name} hub: no answer") from error
        except hub_closed() as error:
            raise BrokerUnavailable(f"the {self.name} hub is closed") from error
        finally:
            self._pending.remove(done)

    def _refused(self, message: object) -> None:
        """An error completion names no method: the oldest invocation waiting is taken for it."""
        for done in self._pending:
            if not done.done():
                text = str(getattr(message, "error", message))
                done.set_exception(BrokerRefused(0, text))
                return

    def _end(self) -> None:
        """Be dead from the first close on: the client would connect again by itself."""
        self._closed.set()
        task = self._hub._run_task  # noqa: SLF001
        if task is not None:
            task.cancel()

    async def drop(self) -> None:
        """Throw the connection away, whatever state it is in, without a goodbye."""
        socket = self._socket()
        if socket is not None:
            socket.transport.abort()
        task = self._hub._run_task  # noqa: SLF001
        if task is not None:
            task.cancel()
            await asyncio.wait({task}, timeout=1.0)
            if task.done() and not task.cancelled():
                task.exception()  # seen: the supervision already knows that it died

    def _socket(self) -> ClientConnection | None:
        client = self._hub._client  # noqa: SLF001
        return None if client is None else client._transport._ws  # noqa: SLF001


def hub_closed() -> type[Exception]:
    """Return the WebSocket library's "closed" error, which the SDK lets through.

    Imported late: `emergency flatten-all` uses REST alone and must not wait for it.
    """
    from websockets.exceptions import ConnectionClosed  # noqa: PLC0415

    return ConnectionClosed
