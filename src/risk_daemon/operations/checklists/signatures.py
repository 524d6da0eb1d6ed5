"""The signatures under the checklists: one file of the home, on the disk before anybody is told.

A file and not a record: they are given while no daemon need run.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

from risk_daemon.errors import Refused, UsageError
from risk_daemon.journal import durable
from risk_daemon.journal.exclusive import try_lock
from risk_daemon.operations.checklists.checklist import Signature
from risk_daemon.operations.home import Home

FILE: Final = "checklist.json"
FORMAT: Final = 1


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    signatures: tuple[Signature, ...]


def read(at: Home) -> tuple[Signature, ...]:
    """Return every signature, in the order in which they were given. Raises UsageError."""
    path = at.state / FILE
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
    except FileNotFoundError:
        return ()
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} can't be read ({error}); move it away, and what it said is to be signed anew."
        ) from None
    if kept.format != FORMAT:
        raise UsageError(
            f"{path} has format {kept.format}, this release reads {FORMAT}; use the command line "
            "of the release that wrote it."
        )
    return kept.signatures


def write(at: Home, signatures: tuple[Signature, ...]) -> None:
    """Replace the file, durably."""
    kept = _Kept(format=FORMAT, signatures=signatures)
    durable.replace(at.state / FILE, msgspec.json.format(msgspec.json.encode(kept)) + b"\n")


@contextmanager
def signing(at: Home) -> Iterator[None]:
    """Let one person sign at a time, so that no signature is lost. Raises Refused."""
    handle = os.open(at.state / "checklist.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if not try_lock(handle):
            raise Refused("somebody else signs at this moment; nothing was signed, type it again.")
        yield
    finally:
        os.close(handle)
