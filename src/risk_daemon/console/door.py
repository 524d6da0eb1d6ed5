"""Who is let in: only a browser that asked for this machine by one of its own names. Pure.

The console listens on the loopback address alone. Another site can still have a browser of this
machine ask it (by a name of its own that it points here): such a question shows another host, or
another origin, and is refused.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

HOSTS: Final = ("localhost", "127.0.0.1", "::1")
#: A port may differ: a person may have tunnelled here.
SENTENCE: Final = (
    "this is the console of a risk daemon; it answers to localhost and 127.0.0.1, not to {host!r}."
)


def host_objection(host: str) -> str:
    """Say why a Host header is not ours; empty where it is."""
    return "" if _name(f"//{host}") in HOSTS else SENTENCE.format(host=host)


def origin_objection(origin: str, host: str) -> str:
    """Say why a change is not asked for by our own page; empty where it is.

    Every browser shows the origin of what it posts; a program shows none, and has no session.
    """
    if origin == f"http://{host}" and _name(origin) in HOSTS:
        return ""
    shown = origin or "no page at all"
    return f"this was asked by {shown}, not by the console's own page; nothing was done."


def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""
