"""How the dead man's heartbeat is: `state/heartbeat.json`, written by the console."""

from __future__ import annotations

from typing import Final

import msgspec

from risk_daemon.operations.alerts import sending
from risk_daemon.operations.home import Home
from risk_daemon.wire.transport import write_private

FILE: Final = "heartbeat.json"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """When it was heard last (ns UTC), and why not now; `withheld`: not everything is guarded."""

    heard_at: int = 0
    failed: str = ""
    failed_at: int = 0
    withheld: str = ""


def standing(at: Home) -> Standing:
    """Read it; a new one where nothing can be read."""
    try:
        return msgspec.json.decode((at.state / FILE).read_bytes(), type=Standing)
    except (OSError, msgspec.MsgspecError):
        return Standing()


def beat(at: Home, address: str, withheld: str, before: Standing, now: int) -> Standing:
    """Call the outside service unless something is withheld; return how it went. Blocks."""
    if withheld:
        return msgspec.structs.replace(before, withheld=withheld, failed="", failed_at=0)
    try:
        sending.call(sending.secret(at, address))
    except OSError as error:
        since = before.failed_at or now
        why = sending.in_words(error)
        return msgspec.structs.replace(before, failed=why, failed_at=since, withheld="")
    return Standing(heard_at=now)


def write(at: Home, standing: Standing) -> None:
    """Write it down. Raises OSError."""
    write_private(at.state / FILE, msgspec.json.encode(standing))
