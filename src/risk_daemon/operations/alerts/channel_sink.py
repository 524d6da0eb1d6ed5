"""A channel as a sink of alarms: what it has, in a file of the home, and what hinders it.

    state/channel-NAME.json    places of the last ones it has, since when it is there, what fails

A message goes out before its place is written: after a death between the two it comes twice, with
the same number, and never not at all. What was raised before the channel was there, or is silenced
when its turn comes, is not sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.operations.alerts import attended_file, channels, sending
from risk_daemon.operations.alerts.channels import Channel
from risk_daemon.operations.alerts.outbox import Alarm, Place
from risk_daemon.operations.home import Home
from risk_daemon.wire.transport import write_private

PLACES_KEPT: Final = 32


class Standing(msgspec.Struct, kw_only=True):
    """What is written down of a channel. Times in ns UTC; `failed` is empty while it works."""

    places: list[Place] = []
    since: int = 0
    sent: int = 0
    failed: str = ""
    failed_at: int = 0


def path_of(at: Home, name: str) -> Path:
    """Return the file of a channel."""
    return at.state / f"channel-{name}.json"


def standing(at: Home, name: str) -> Standing:
    """Read what is written down of a channel; a new one where nothing can be read."""
    return standing_of(path_of(at, name))


def standing_of(path: Path) -> Standing:
    """Read a channel's file, as `standing` does."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Standing)
    except (OSError, msgspec.MsgspecError):
        return Standing()


class ChannelSink:
    """The sink of one channel. Used by one thread at a time."""

    def __init__(self, at: Home, channel: Channel, now: int) -> None:
        self._home, self.channel = at, channel
        self._standing = standing(at, channel.name)
        if not self._standing.since:
            self._standing.since = now
            self._write()

    @property
    def place(self) -> Place:
        """The last alarm that it has."""
        return self._standing.places[-1] if self._standing.places else Place()

    def places(self) -> Iterator[Place]:
        """Places of the latest ones, the newest first: where a changed journal may be met."""
        yield self.place
        yield from reversed(self._standing.places)

    def rewind(self, to: Place) -> None:
        """Set the place, durably."""
        self._standing.places = [to]
        self._write()

    def deliver(self, alarms: Sequence[Alarm], now: int) -> None:
        """Send those that concern it, then move its place. After an OSError they come again."""
        attended = attended_file.read(self._home)
        mine = [
            one
            for one in alarms
            if one.at >= self._standing.since
            and channels.concerns(self.channel, one)
            and attended.silence(one, now) is None
        ]
        try:
            if mine:
                sending.send(self._home, self.channel, mine)
        except OSError as error:
            self._standing.failed, self._standing.failed_at = sending.in_words(error), now
            self._write()
            raise
        kept = [one.place for one in alarms if one.place.seq]
        self._standing.places = [*self._standing.places, *kept][-PLACES_KEPT:]
        self._standing.sent += len(mine)
        self._standing.failed, self._standing.failed_at = "", 0
        self._write()

    def _write(self) -> None:
        write_private(path_of(self._home, self.channel.name), msgspec.json.encode(self._standing))
