"""One connection: frames in both directions, and the Hello that opens it.

A frame is a 4-byte big-endian length and that many bytes of msgpack, at most
1 MiB. The first frame each way is a Hello; whoever cannot read the other says
why in a Goodbye and closes.

Nothing here awaits between a socket and its reader: frames go to a callback
(`listen`) in the same turn in which they arrive, hundreds at a time when they
come so; `receive` is the unhurried way. `send` never blocks: whoever sends much
looks at `buffered`, or awaits `drained`.
"""

from __future__ import annotations

import asyncio
import hmac
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec

from risk_daemon.errors import Malformed
from risk_daemon.wire.control import Int, Name

PROTOCOL: Final = 1
FRAME_MAX: Final = 1 << 20
HELLO_WITHIN_S: Final = 2.0
#: A reason may quote what was sent, and that may be long.
REASON_MAX: Final = 500
#: Frames that wait in a channel nobody reads before its socket is left alone.
WAITING_MAX: Final = 1_000

#: How long what nobody acts upon may wait for what is next, so that it wakes its reader once.
#: Whoever is woken takes a core from whoever acts: on two cores that was 3 to 6 ms a time.
PATIENCE_S: Final = 0.004

_LENGTH: Final = struct.Struct(">I")
_READ_SIZE: Final = 1 << 16
_WRITE_HIGH: Final = 1 << 20

OnFrames = Callable[[list[Any]], None]
OnLost = Callable[[str], None]


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """Who speaks. `token` is needed over TCP only and is filled in by `connect`.

    `code` is the digest of the program it runs, stated by workers.
    """

    role: Name
    name: Name
    release: Name = ""
    token: Name = ""
    pid: Int = 0
    protocol: Int = PROTOCOL
    code: Name = ""


class Goodbye(msgspec.Struct, frozen=True, array_like=True, tag="goodbye"):
    """Why the sender closes."""

    reason: str


_encoder = msgspec.msgpack.Encoder()
_greetings = msgspec.msgpack.Decoder(Hello | Goodbye)
_decoders: dict[object, msgspec.msgpack.Decoder[Any]] = {}


def pack(frame: msgspec.Struct) -> bytes:
    """Write a frame with its length, to be sent to many. Raises Malformed over 1 MiB."""
    body = _encoder.encode(frame)
    if len(body) > FRAME_MAX:
        raise Malformed(f"{type(frame).__name__} of {len(body)} bytes, at most {FRAME_MAX}")
    return _LENGTH.pack(len(body)) + body


def decoder_of(reads: object) -> msgspec.msgpack.Decoder[Any]:
    """Return the decoder of a union of frames, which is what one side of a channel reads."""
    if reads not in _decoders:
        union = getattr(reads, "__value__", reads)
        _decoders[reads] = msgspec.msgpack.Decoder(union | Goodbye)
    return _decoders[reads]


class Channel(asyncio.BufferedProtocol):
    """One open connection. Made by `serve` and `connect` only."""

    def __init__(
        self,
        hello: Hello,
        decoder: msgspec.msgpack.Decoder[Any],
        token: str,
        on_greeted: Callable[[Channel], None],
        on_gone: Callable[[Channel], None],
        speaks_first: bool,
    ) -> None:
        self.peer = Hello(role="", name="")
        self.reason = ""
        self._hello = hello
        self._decode: Callable[[Any], Any] = decoder.decode
        self._token = token
        self._on_greeted = on_greeted
        self._on_gone = on_gone
        self._speaks_first = speaks_first
        self._deadline: asyncio.TimerHandle
        self._greeted = False
        self._refused = False
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._made = False
        self._buffer = bytearray(_READ_SIZE)
        self._filled = 0
        self._out = bytearray()
        self._flush_due = False
        self._flush_later: asyncio.TimerHandle | None = None
        self._on_frames: OnFrames | None = None
        self._on_lost: OnLost | None = None
        self._waiting: deque[Any] = deque()
        self._paused = False
        self._arrived = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self._closed = asyncio.Event()
        self._malformed = ""

    # --- for its user ---------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether what is sent may still arrive."""
        return self._made and not self._transport.is_closing()

    @property
    def has_greeted(self) -> bool:
        """Whether the other side's Hello was taken."""
        return self._greeted

    @property
    def was_refused(self) -> bool:
        """Whether one of the two sides said goodbye instead of hello."""
        return self._refused

    @property
    def buffered(self) -> int:
        """Bytes that were sent and that the kernel has not taken."""
        return len(self._out) + self._transport.get_write_buffer_size()

    def send(self, frame: msgspec.Struct, *, patient: bool = False) -> None:
        """Send in this turn of the loop, or within `PATIENCE_S`; nothing once closed.

        What is sent stays in order, however patient. Raises Malformed over 1 MiB.
        """
        out = self._out
        start = len(out)
        _encoder.encode_into(frame, out, start + 4)
        size = len(out) - start - 4
        if size > FRAME_MAX:
            del out[start:]
            raise Malformed(f"{type(frame).__name__} of {size} bytes, at most {FRAME_MAX}")
        _LENGTH.pack_into(out, start, size)
        self._flush_soon(patient=patient)

    def send_packed(self, packed: bytes, *, patient: bool = False) -> None:
        """Send what `pack` wrote."""
        self._out += packed
        self._flush_soon(patient=patient)

    def flush(self) -> None:
        """Hand what was sent to the kernel now."""
        self._flush_due = False
        if self._flush_later is not None:
            self._flush_later.cancel()
            self._flush_later = None
        out, self._out = self._out, bytearray()
        if out and self.is_open:
            self._transport.write(out)

    def listen(self, on_frames: OnFrames, on_lost: OnLost) -> None:
        """Have frames delivered as they arrive, and be told once when the channel is lost."""
        self._on_frames, self._on_lost = on_frames, on_lost
        if self._waiting:
            frames = list(self._waiting)
            self._waiting.clear()
            on_frames(frames)
        self.resume()
        if self._closed.is_set():
            self._loop.call_soon(on_lost, self.reason)

    async def receive(self) -> Any:
        """Return the next frame, or None at the end. Raises Malformed at what can't be read."""
        while not self._waiting:
            if self._malformed:
                raise Malformed(self._malformed)
            if self._closed.is_set():
                return None
            self._arrived.clear()
            await self._arrived.wait()
        frame = self._waiting.popleft()
        if len(self._waiting) < WAITING_MAX // 2:
            self.resume()
        return frame

    def pause(self) -> None:
        """Take no more from the other side, but what has arrived, until `resume`."""
        if not self._paused and self.is_open:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Take again what the other side sends."""
        if self._paused and self.is_open:
            self._paused = False
            self._transport.resume_reading()

    async def drained(self) -> None:
        """Wait until most of what was sent has left, or the channel is lost."""
        self.flush()
        await self._writable.wait()

    def close(self, reason: str = "") -> None:
        """Send what is buffered, say why if there is a reason, and close."""
        if self.is_open:
            if reason:
                self.send(Goodbye(reason[:REASON_MAX]))
            self.flush()
            self._transport.close()

    def abort(self, reason: str) -> None:
        """Close now and drop what is buffered."""
        if self._made:
            self.reason = self.reason or reason
            self._transport.abort()

    async def closed(self) -> None:
        """Wait until the connection is gone."""
        await self._closed.wait()

    # --- for the loop ---------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The client greets at once, the server once it knows whom."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._made = True
        transport.set_write_buffer_limits(high=_WRITE_HIGH)
        _hurry(transport.get_extra_info("socket"))
        self._deadline = self._loop.call_later(HELLO_WITHIN_S, self._expect_hello)
        if self._speaks_first:
            self.send(self._hello)
            self.flush()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio names it
        """Where the next bytes go."""
        return memoryview(self._buffer)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        """Deliver every frame that is complete."""
        self._filled += nbytes
        frames: list[Any] = []
        wrong = ""
        try:
            self._take(frames)
        except (Malformed, msgspec.MsgspecError, ValueError, RecursionError) as error:
            # msgspec lets two of Python's own through: text that is no UTF-8, and depth.
            wrong = str(error)
        if frames:
            self._deliver(frames)
        if wrong:
            self._malformed = f"{self.peer.name or 'the other side'} sent what can't be read: "
            self._malformed += wrong
            self._refuse(self._malformed)

    def pause_writing(self) -> None:
        """More is buffered than the other side takes."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """The other side has caught up."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self.reason = self.reason or (str(exc) if exc else "closed by the other side")
        self._closed.set()
        self._writable.set()
        self._arrived.set()
        self._deadline.cancel()
        self._on_gone(self)
        if self._on_lost is not None:
            self._on_lost(self.reason)

    # --- inside ---------------------------------------------------------

    def _take(self, frames: list[Any]) -> None:
        """Decode the complete frames of the buffer and keep the rest of it."""
        view = memoryview(self._buffer)
        filled, start = self._filled, 0
        try:
            while filled - start >= 4 and not self._refused:
                (size,) = _LENGTH.unpack_from(view, start)
                if size > FRAME_MAX:
                    raise Malformed(f"a frame of {size} bytes, at most {FRAME_MAX}")
                end = start + 4 + size
                if end > filled:
                    break
                self._take_one(view[start + 4 : end], frames)
                start = end
        finally:
            self._keep(start)

    def _take_one(self, body: memoryview, frames: list[Any]) -> None:
        if not self._greeted:
            self._greet(_greetings.decode(body))
            return
        frame = self._decode(body)
        if type(frame) is Goodbye:
            self.reason = self.reason or frame.reason
        else:
            frames.append(frame)

    def _keep(self, start: int) -> None:
        """Move an incomplete frame to the front of a buffer that can hold all of it."""
        rest = self._buffer[start : self._filled]
        need = _READ_SIZE
        if len(rest) >= 4:
            need = max(need, min(_LENGTH.unpack_from(rest)[0], FRAME_MAX) + 4)
        if need != len(self._buffer):
            self._buffer = bytearray(need)
        self._buffer[: len(rest)] = rest
        self._filled = len(rest)

    def _deliver(self, frames: list[Any]) -> None:
        if self._on_frames is not None:
            self._on_frames(frames)
            return
        self._waiting.extend(frames)
        self._arrived.set()
        if len(self._waiting) > WAITING_MAX:
            self.pause()

    def _greet(self, hello: Hello | Goodbye) -> None:
        if isinstance(hello, Goodbye):
            self._refused = True
            self.reason = self.reason or hello.reason
            return
        if hello.protocol != PROTOCOL:
            self._refuse(
                f"{hello.name} speaks protocol {hello.protocol}, {self._hello.name} {PROTOCOL}"
            )
            return
        if not hmac.compare_digest(hello.token.encode(), self._token.encode()):
            self._refuse(f"{hello.name} showed a wrong token")
            return
        self.peer = hello
        self._greeted = True
        if not self._speaks_first:
            self.send(self._hello)
        self._on_greeted(self)

    def _expect_hello(self) -> None:
        if not self._greeted:
            self._refuse(f"no hello within {HELLO_WITHIN_S:g} s")

    def _refuse(self, reason: str) -> None:
        self._refused = True
        self.reason = self.reason or reason
        self.close(reason)

    def _flush_soon(self, *, patient: bool) -> None:
        if self._flush_due:
            return
        if not patient:
            self._flush_due = True
            self._loop.call_soon(self.flush)
        elif self._flush_later is None:
            self._flush_later = self._loop.call_later(PATIENCE_S, self.flush)


def _hurry(sock: Any) -> None:
    """Small frames must not wait for an acknowledgement of earlier ones."""
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
