"""The flags that were laid over the policy when it was adopted last: one file of the home.

Written by whoever adopts; read by the supervisor, which knows no YAML, and by `status`.
"""

from __future__ import annotations

import os
from typing import Final

import msgspec

from risk_daemon.errors import UsageError
from risk_daemon.operations.configuration.flags import Flag
from risk_daemon.operations.home import Home

FILE: Final = "flags.json"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The living flags; when one next begins its last day or ends (ns UTC, 0: never)."""

    flags: tuple[Flag, ...] = ()
    due: int = 0


def read(home: Home) -> Kept:
    """Return what was laid over the policy last; nothing where there never was a flag."""
    path = home.state / FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept()
    except msgspec.MsgspecError as error:
        raise UsageError(
            f"{path} can't be read ({error}); remove it and run `risk-daemon-admin config reload`."
        ) from None


def write(home: Home, kept: Kept) -> None:
    """Replace it, durably; no file where there is no flag."""
    path = home.state / FILE
    if not kept.flags:
        path.unlink(missing_ok=True)
        return
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(msgspec.json.encode(kept))
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
