"""Keeps a carrier for each channel that `config/alerts.yaml` names, as the file is now.

A file that can't be used changes nothing: the channels that were there go on, and `alert list`
says what is wrong with it.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from risk_daemon.clock import Timekeeper
from risk_daemon.console.carrying import Carrier
from risk_daemon.console.seen import Seen
from risk_daemon.errors import OperatorError
from risk_daemon.operations.alerts.channel_file import read
from risk_daemon.operations.alerts.channel_sink import ChannelSink
from risk_daemon.operations.alerts.channels import Channel
from risk_daemon.operations.home import Home

LOOK_EVERY_S: Final = 2.0

_log = logging.getLogger("alarms")


class Channels:
    """The carriers of all channels of a home."""

    def __init__(self, home: Home, seen: Seen, clock: Timekeeper) -> None:
        self._home, self._seen, self._clock = home, seen, clock
        self._running: dict[Channel, asyncio.Task[None]] = {}
        self._said = ""

    async def run(self) -> None:
        """Follow the file until cancelled; the carriers end with it."""
        try:
            while True:
                self._adopt()
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            for task in self._running.values():
                task.cancel()

    def _adopt(self) -> None:
        try:
            wanted = set(read(self._home))
        except OperatorError as error:
            if error.sentence != self._said:
                _log.warning("channels are left as they were", extra={"why": error.sentence})
            self._said = error.sentence
            return
        self._said = ""
        for gone in self._running.keys() - wanted:
            self._running.pop(gone).cancel()
        for new in wanted - self._running.keys():
            self._running[new] = asyncio.create_task(self._carrier(new).run())

    def _carrier(self, channel: Channel) -> Carrier:
        def make() -> ChannelSink:
            return ChannelSink(self._home, channel, self._clock.now_ns())

        return Carrier(self._home, self._seen, self._clock, make, f"channel-{channel.name}")
