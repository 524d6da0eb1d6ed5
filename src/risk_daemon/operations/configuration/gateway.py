"""Which broker an environment may talk to: production the real one, a demo only this machine.

Asserted when the configuration is read and again by each link at its start, so
that no slip of a file points a demo at real money or production at a toy.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from risk_daemon.errors import Refused
from risk_daemon.settings import Gateway

#: Hosts of ProjectX gateways, by the last part of their name.
REAL_DOMAINS: Final = ("topstepx.com", "projectx.com")
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def kind_of(url: str) -> str:
    """Sort an address: `real`, `simulated`, or what is wrong with it."""
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or ""), parts.port
    except ValueError as error:
        return f"not an address ({error})"
    if host in LOOPBACK and parts.scheme in ("http", "ws"):
        return "simulated" if port else "a loopback address without a port"
    if not any(host == domain or host.endswith("." + domain) for domain in REAL_DOMAINS):
        return f"at the unknown host {host!r}"
    return "real" if parts.scheme in ("https", "wss") else "not encrypted (https)"


ALLOWED: Final = {
    "production": ("real",),
    "staging": ("real", "simulated"),
    "demo": ("simulated",),
}
MEANS: Final = {
    "production": "https at a ProjectX host such as api.topstepx.com",
    "staging": "https at a ProjectX host, or http at 127.0.0.1 (the simulated gateway)",
    "demo": "http at 127.0.0.1 (the simulated gateway)",
}


def objection(environment: str, url: str) -> str | None:
    """Say what speaks against an address in an environment, or None."""
    kind = kind_of(url)
    if kind in ALLOWED[environment]:
        return None
    described = {"real": "the real broker", "simulated": "a simulated gateway"}.get(kind, kind)
    return f"is {described}"


def assert_gateway(environment: str, gateway: Gateway) -> None:
    """Refuse, in one sentence, a gateway that this environment must not talk to."""
    kinds = set()
    for name, url in gateway.addresses().items():
        wrong = objection(environment, url)
        if wrong is not None:
            raise Refused(
                f"gateway.{name} {url} {wrong}; a {environment} home talks only to "
                f"{MEANS[environment]}. Nothing was sent."
            )
        kinds.add(kind_of(url))
    if len(kinds) > 1:
        raise Refused(
            "the gateway's addresses mix the real broker with a simulated one. Nothing was sent."
        )
