"""Builders of what a console has seen."""

from typing import Any

import msgspec

from risk_daemon.console.seen import Seen
from risk_daemon.wire.view import VIEW_VERSION, AccountView

SECOND = 1_000_000_000
NOW = 1_000 * SECOND


def view(account: int = 1, **fields: Any) -> AccountView:
    """An account that is guarded, flat and open."""
    plain = AccountView(
        version=VIEW_VERSION,
        account=account,
        name=f"A{account}",
        login="alpha",
        release="v1",
        holder="worker-1",
        epoch=3,
        seq=10,
        at="2026-11-25T16:00:00+00:00",
        enforcing=True,
        connected=True,
        feed="trusted",
        last_fact_at=None,
        balance="50000",
        can_trade=True,
        realized="-10.00",
        unrealized="0",
        day_pnl="-10.00",
        trade_date="2026-11-25",
        pnl_known=True,
        mode="",
        positions=(),
        orders=(),
        locks=(),
        distances=(),
        reasons=(),
        unknown=(),
        underway=(),
    )
    return msgspec.structs.replace(plain, **fields)


def row(account: int = 1, **fields: Any) -> dict[str, Any]:
    """An account as the supervisor tells it."""
    told = {"account": account, "holder": "worker-1", "epoch": 3, "release": "v1"}
    return {**told, "enforcing": True, **fields}


def seen(*views: AccountView, rows: list[dict[str, Any]] | None = None) -> Seen:
    """All of it fresh: one second old."""
    memory = Seen(release="v1", journal_connected=True, last_seq=10, record_at=NOW - SECOND)
    for one in views:
        memory.take_view(one, NOW - SECOND)
    told = [row(one.account) for one in views] if rows is None else rows
    processes = [
        {
            "name": "worker-1",
            "role": "active",
            "state": "running",
            "release": "v1",
            "since_s": 120.0,
            "memory_mb": 50.0,
            "cpu_percent": 7.0,
            "heartbeat_age_ms": 40,
            "restarts": 0,
        },
        {"name": "link-alpha", "role": "link", "state": "backoff", "memory_mb": None},
    ]
    memory.take_status({"accounts": told, "processes": processes}, NOW - SECOND)
    return memory
