"""Whether an account is guarded, judged from two witnesses: the supervisor and its worker. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from risk_daemon.wire.view import AccountView


def objection(row: Mapping[str, Any], view: AccountView | None) -> str:
    """Say why an account is not guarded, or nothing. What is not known counts as not guarded."""
    if not row.get("enforcing"):
        return "no worker enforces it"
    if view is None:
        return "its worker has not published it yet"
    if not view.enforcing:
        return f"its worker {view.holder} says that it does not enforce it"
    if view.epoch != row.get("epoch", view.epoch):
        return f"its worker is on epoch {view.epoch}, the supervisor on {row['epoch']}"
    return "" if view.connected else f"its feed is {view.feed}"


def state(accounts: int, guarded: int, disabled: bool) -> str:
    """`healthy`, `degraded`, or `down` when nothing is guarded."""
    if disabled or guarded == 0:
        return "down"
    return "healthy" if guarded == accounts else "degraded"
