"""What a link answers when it is asked: by people, and by workers while the journal is away."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec

from risk_daemon.broker import fence
from risk_daemon.core.events import Intended, LeaseGranted, LockPlaced, OperatorActed
from risk_daemon.core.instrument import show
from risk_daemon.errors import (
    BrokerRefused,
    BrokerUnavailable,
    Denied,
    Malformed,
    Refused,
    TimedOut,
    UsageError,
)
from risk_daemon.link import polling
from risk_daemon.link.loop import Link
from risk_daemon.wire.control import Op
from risk_daemon.wire.transport import tasks

FLATTEN_WITHIN_S: Final = 9.0
RECONCILE_WITHIN_S: Final = 20.0
STANDING_WITHIN_S: Final = 5.0


def ops(link: Link) -> dict[str, Op]:
    """Return the link's operations by name."""

    async def connection(args: dict[str, Any]) -> dict[str, Any]:
        del args
        return await connection_of(link)

    async def reconcile(args: dict[str, Any]) -> dict[str, Any]:
        wanted = {int(one) for one in args.get("accounts") or link.accounts}
        mine = [number for number in link.accounts if number in wanted]
        rows = await asyncio.gather(*(reconcile_one(link, n) for n in mine))
        return {"accounts": rows}

    async def flatten(args: dict[str, Any]) -> dict[str, Any]:
        return await flatten_of(link, args)

    async def act(args: dict[str, Any]) -> dict[str, Any]:
        return {"stored": await link.hands.act(_acted(args))}

    async def goal(args: dict[str, Any]) -> dict[str, Any]:
        try:
            intended = msgspec.msgpack.decode(args["intended"], type=Intended)
        except (KeyError, msgspec.DecodeError) as error:
            raise UsageError(f"no goal can be read: {error}") from None
        why = link.hands.take_directly(intended, [_lock(raw) for raw in args.get("locks") or ()])
        if why:
            raise Refused(why)
        return {}

    async def keep(args: dict[str, Any]) -> dict[str, Any]:
        why = link.hands.keep(_kept(args))
        if why:
            raise Refused(why)
        return {}

    async def standing(args: dict[str, Any]) -> dict[str, Any]:
        return await standing_of(link, int(args.get("account") or 0))

    async def status(args: dict[str, Any]) -> dict[str, Any]:
        del args
        return status_of(link)

    async def frames(args: dict[str, Any]) -> dict[str, Any]:
        del args
        return {"frames": link.frames.told(), "accounts": list(link.accounts)}

    async def rekey(args: dict[str, Any]) -> dict[str, Any]:
        return await rekey_of(link, str(args.get("key") or ""))

    async def of_itself(args: dict[str, Any]) -> dict[str, Any]:
        """Say that it lives, and which epochs it lets through: the supervisor compares."""
        gates = sorted(link.gate.accounts.items())
        epochs = [[number, gate.epoch] for number, gate in gates if gate.epoch]
        return await tasks(args) | {"epochs": epochs}

    return {
        "connection": connection,
        "reconcile": reconcile,
        "flatten": flatten,
        "act": act,
        "goal": goal,
        "keep": keep,
        "standing": standing,
        "status": status,
        "frames": frames,
        "rekey": rekey,
        "tasks": of_itself,
    }


async def connection_of(link: Link) -> dict[str, Any]:
    """Probe REST and both hubs now."""
    began = link.clock.steady_ns()
    error = ""
    rest_ms: float | None = None
    try:
        await link.broker.ping()
        await link.broker.accounts()
        rest_ms = (link.clock.steady_ns() - began) / 1e6 / 2
    except (BrokerUnavailable, BrokerRefused, Malformed) as problem:
        error = str(problem)
    session = link.session
    up = session.is_open
    hubs = {
        f"{name}_hub": {
            "connected": up,
            "probe_ms": round(session.probe_ns.get(name, 0) / 1e6, 2),
            "age_ms": (link.clock.steady_ns() - session.opened_at) // 1_000_000 if up else None,
        }
        for name in ("user", "market")
    }
    return {
        "login": link.login,
        "rest_ms": None if rest_ms is None else round(rest_ms, 2),
        **hubs,
        "state": session.state,
        "polling": polling.worst_ages_s(len(link.accounts)) if session.is_taken else None,
        "token_expires_at": link.broker.token_expires_at,
        "reconcile_every_s": link.reconcile_every_s,
        "error": error,
        "ok": session.state == "trusted" and rest_ms is not None,
    }


async def rekey_of(link: Link, key: str) -> dict[str, Any]:
    """Have the broker's session go by another key, once it is proven; says what that key sees.

    The key is in no answer, no log and no record.
    """
    try:
        seen = await link.broker.rekey(key, link.accounts)
    except (BrokerUnavailable, BrokerRefused, Malformed) as error:
        raise Denied(f"it does not log in: {error}") from None
    missing = sorted(set(link.accounts) - {row.account for row in seen})
    if missing:
        raise Denied(f"it logs in, but does not see {', '.join(map(str, missing))}")
    return {"accounts": [[row.account, row.name] for row in seen]}


async def standing_of(link: Link, account: int) -> dict[str, Any]:
    """Read an account now; return its balance, and each position with what it could be left at.

    For the minimal protector. Figures are decimal text; a price is None where none is believable.
    """
    if account not in link.accounts:
        raise UsageError(f"account {account} is not of login {link.login}")
    reading = await link.hands.read_now(account, STANDING_WITHIN_S)
    if reading is None:
        raise TimedOut(f"account {account} could not be read")
    row = link.intake.standing.get(account)
    positions = []
    for one in reading.rows.positions:
        mark = link.intake.mark(one.contract)
        price = None if mark is None else (mark.bid if one.quantity > 0 else mark.ask)
        shown = None if price is None else show(price)
        positions.append([one.contract, one.quantity, show(one.average), shown])
    return {"balance": show(row.balance) if row else None, "positions": positions}


async def reconcile_one(link: Link, account: int) -> dict[str, Any]:
    """Read one account until the read is stable; say what differed from the link's view."""
    before = _shown(link, account)
    left = await link.hands.read_now(account, RECONCILE_WITHIN_S)
    if left is None:
        return {
            "account": account,
            "consistent": False,
            "repaired": False,
            "differences": ["the broker could not be read"],
        }
    after = _shown(link, account)
    differences = [
        f"{name}: we had {before.get(name, 0)}, the broker shows {after.get(name, 0)}"
        for name in sorted(set(before) | set(after))
        if before.get(name, 0) != after.get(name, 0)
    ]
    return {
        "account": account,
        "consistent": not differences,
        "repaired": bool(differences),
        "differences": differences,
    }


def _shown(link: Link, account: int) -> dict[str, int]:
    gate = link.gate.of(account)
    shown = {name: view.by_position for name, view in gate.views.items() if not view.is_flat}
    shown.update(
        {
            f"order {number}": 1
            for number, seen in gate.orders.items()
            if fence.is_working(seen.order)
        }
    )
    return shown


async def flatten_of(link: Link, args: dict[str, Any]) -> dict[str, Any]:
    """Close by hand, beside whatever the worker does, and store the person's act meanwhile."""
    account, by = int(args.get("account") or 0), str(args.get("by") or "unknown")
    reason = str(args.get("reason") or "none given")
    numbers = link.accounts if not account else (account,)
    if not set(numbers) <= set(link.accounts):
        raise UsageError(f"account {account} is not of login {link.login}")
    act_id = str(args.get("act_id") or link.clock.now_ns())
    acts = [
        OperatorActed(
            account=number, act="flatten-lock", by=by, reason=reason, act_id=f"{act_id}-{number}"
        )
        for number in numbers
    ]
    left, _ = await asyncio.gather(
        asyncio.gather(*(link.hands.flatten(n, by, reason, FLATTEN_WITHIN_S) for n in numbers)),
        asyncio.gather(*(link.hands.act(act) for act in acts)),
    )
    rows = [
        {"account": number, "flat": not rest, "proven": not rest, "left": rest}
        for number, rest in zip(numbers, left, strict=True)
    ]
    return {"accounts": rows}


def status_of(link: Link) -> dict[str, Any]:
    """Return the link's own figures."""
    return {
        "login": link.login,
        "state": link.session.state,
        "unsettled": fence.unsettled(link.gate),
        "waiting_goals": link.desk.waiting,
        "waiting_facts": link.outlet.waiting,
        "journal": link.journal.is_open,
        "reconcile_every_s": link.reconcile_every_s,
        "polling": polling.worst_ages_s(len(link.accounts)) if link.session.is_taken else None,
    }


_KEPT: Final[dict[str, type[LockPlaced] | type[LeaseGranted]]] = {
    "lock-placed": LockPlaced,
    "lease-granted": LeaseGranted,
}


def _lock(raw: bytes) -> LockPlaced:
    return msgspec.msgpack.decode(raw, type=LockPlaced)


def _kept(args: dict[str, Any]) -> LockPlaced | LeaseGranted:
    try:
        return msgspec.msgpack.decode(args["fact"], type=_KEPT[str(args["kind"])])
    except (KeyError, TypeError, msgspec.DecodeError) as error:
        raise UsageError(f"nothing to be kept can be read: {error}") from None


def _acted(args: dict[str, Any]) -> OperatorActed:
    try:
        return msgspec.convert(args, OperatorActed)
    except msgspec.ValidationError as error:
        raise UsageError(f"no act can be read: {error}") from None
