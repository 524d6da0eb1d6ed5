"""The control port: where people and test harnesses steer the exchange and ask for the verdict.

HTTP and JSON on loopback, without authentication. A wrong wish is answered with 400 and one
sentence under `error`. The manual is docs/brokers/simgate.md.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from decimal import Decimal

from aiohttp import web

from risk_daemon.sim import contracts
from risk_daemon.sim.faults import Fault
from risk_daemon.sim.gate import Gate
from risk_daemon.sim.model import Answer, Quote
from risk_daemon.sim.moment import NS_PER_S, iso, trade_date
from risk_daemon.sim.player import Player
from risk_daemon.sim.profile import changed
from risk_daemon.sim.timeline import Cast, Scenario, ScenarioRefused, parse
from risk_daemon.sim.tokens import BARS_MAX, RATE_MAX, SHORT_LIFE_S
from risk_daemon.sim.wire_json import nine, render
from risk_daemon.sim.wishes import (
    REFUSALS,
    Wish,
    WishRefused,
    decimal_of,
    fault_of,
    flag_of,
    number_of,
    ticket_of,
)

ACTS = ("flatten-all", "flatten-lock", "unlock")
_ON_SOCKETS = frozenset(
    {"hub_reset", "hub_close", "hub_close_error", "half_open", "token_revoked", "session_conflict"}
)
_LOOK_AGAIN_S = 0.02


def _answer(body: object, status: int = 200) -> web.Response:
    return web.Response(text=render(body), status=status, content_type="application/json")


@web.middleware
async def _sentences(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except (*REFUSALS, ScenarioRefused, json.JSONDecodeError) as refused:
        return _answer({"error": str(refused)}, 400)


class Control:
    """The doors of the control port."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._players: list[Player] = []
        self._wishes: dict[str, Callable[[Wish], Awaitable[object]]] = {
            "announce": self._announce,
            "balance": self._balance,
            "cancel": self._cancel,
            "fault": self._fault,
            "finish": self._finish,
            "hold": self._hold,
            "key": self._key,
            "market": self._market,
            "order": self._order,
            "profile": self._profile,
            "quote": self._quote,
            "release": self._release,
            "scenario": self._play,
            "traders": self._traders,
            "window": self._window,
        }

    def app(self) -> web.Application:
        """The web application of the control port."""
        app = web.Application(middlewares=[_sentences])
        app.add_routes([web.post(f"/{verb}", self._door(verb)) for verb in self._wishes])
        app.add_routes(
            [
                web.get("/verdict", self._verdict),
                web.get("/truth", self._truth),
                web.get("/requests", self._requests),
                web.get("/unsettled", self._unsettled),
                web.get("/connections", self._connections),
                web.get("/happenings", self._happenings),
                web.get("/budget", self._budget),
                web.get("/scenario", self._scenario),
            ]
        )
        return app

    def _door(self, verb: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def door(request: web.Request) -> web.StreamResponse:
            return _answer(await self.do(verb, await self._read(request)))

        return door

    async def do(self, verb: str, wish: Wish) -> object:
        """Grant a wish, whoever has it: a person at the port or a scenario."""
        return await self._wishes[verb](wish)

    def play(self, scenario: Scenario) -> int:
        """Play a scenario beside those that are being played; its number."""
        world = self._gate.world
        self._players.append(Player(self.do, lambda: all(world.whole.values()), scenario))
        return len(self._players)

    def end(self) -> None:
        """Play no more."""
        for player in self._players:
            player.end()

    # What a wish holds.

    async def _read(self, request: web.Request) -> Wish:
        text = await request.text()
        body = json.loads(text, parse_float=Decimal) if text else {}
        if not isinstance(body, dict):
            raise WishRefused(f"the body is {text[:60]!r}; allowed is a JSON object")
        return body

    def _account(self, wish: Wish) -> int:
        account = wish.get("account")
        if not isinstance(account, int) or account not in self._gate.world.logins:
            raise WishRefused(f"account is {account!r}; allowed are the accounts of the file")
        return account

    def _account_or_all(self, wish: Wish) -> int | None:
        return None if wish.get("account") is None else self._account(wish)

    def _login(self, wish: Wish) -> str | None:
        login = wish.get("login")
        if login is None or login in self._gate.world.whole:
            return str(login) if login else None
        raise WishRefused(f"login is {login!r}; allowed are the users of the file or null")

    # Wishes.

    async def _announce(self, wish: Wish) -> object:
        act, account = wish.get("act"), self._account_or_all(wish)
        if act not in ACTS:
            raise WishRefused(f"act is {act!r}; allowed are {', '.join(ACTS)}")
        by, grace = str(wish.get("by", "somebody")), number_of(wish, "grace_ms", 0)
        now = self._gate.now()
        while not self._gate.world.announce(account, str(act), by, now, grace):
            await asyncio.sleep(_LOOK_AGAIN_S)
            now = self._gate.now()
        return {"at": iso(now.at), "mono_ms": now.ns / 1e6}

    async def _fault(self, wish: Wish) -> object:
        wanted = fault_of(wish, self._login(wish), self._account_or_all(wish))
        fault = self._gate.world.start_fault(wanted, self._gate.now())
        kind = self._on_tokens(fault)
        if kind in _ON_SOCKETS:
            await self._gate.hubs.strike(kind, fault.login, fault.options)
        self._gate.wake.set()
        return {"fault": fault.n, "kind": fault.kind, "login": fault.login}

    def _on_tokens(self, fault: Fault) -> str:
        """Do what a fault does to tokens; the kind of what it does to sockets beside that."""
        tokens, options = self._gate.tokens, fault.options
        if fault.kind == "token_revoked":
            tokens.revoke(fault.login)
            return "session_conflict" if options.get("logout") else "hub_reset"
        if fault.kind == "token_life":
            life_s = float(str(options.get("life_s", SHORT_LIFE_S)))
            tokens.shorten(fault.login, time.time(), life_s)
        elif fault.kind == "unauthorized":
            tokens.spoil(fault.login, str(options.get("only", "all")))
        return fault.kind

    async def _window(self, wish: Wish) -> object:
        why = str(wish.get("why", "declared from outside"))
        seconds = number_of(wish, "seconds", 5)
        self._gate.world.referee.declared(self._login(wish), seconds, why, self._gate.now())
        return {}

    async def _order(self, wish: Wish) -> object:
        account = self._account(wish)
        answer = self._gate.world.trade(account, ticket_of(wish), self._gate.now())
        self._gate.wake.set()
        children = []
        if answer.order is not None:
            children = self._gate.world.venue.orders[answer.order].children
        return {**_outcome(answer), "children": children}

    async def _cancel(self, wish: Wish) -> object:
        order = int(number_of(wish, "order", 0))
        answer = self._gate.world.cancel(self._account(wish), order, self._gate.now())
        self._gate.wake.set()
        return _outcome(answer)

    async def _quote(self, wish: Wish) -> object:
        contract = contracts.find(str(wish.get("contract")))
        if contract is None:
            raise WishRefused(f"contract is {wish.get('contract')!r}; it is not listed")
        bid, ask = decimal_of(wish, "bid"), decimal_of(wish, "ask")
        last = decimal_of(wish, "last") if "last" in wish else bid
        self._gate.world.set_quote(contract.id, Quote(bid, ask, last), self._gate.now())
        self._gate.wake.set()
        return {}

    async def _market(self, wish: Wish) -> object:
        self._gate.world.market.is_moving = flag_of(wish, "moving")
        self._gate.wake.set()
        return {}

    async def _balance(self, wish: Wish) -> object:
        account = self._account(wish)
        world, now = self._gate.world, self._gate.now()
        world.venue.adjust_balance(account, decimal_of(wish, "delta"))
        world.flush(now)
        self._gate.wake.set()
        return {"balance": world.venue.accounts[account].balance}

    async def _key(self, wish: Wish) -> object:
        login, key = self._login(wish), wish.get("api_key")
        if login is None or not isinstance(key, str) or not key:
            raise WishRefused("login and api_key are to be given: whose key it is, and the key")
        self._gate.keys[login] = key
        return {}

    async def _traders(self, wish: Wish) -> object:
        end = number_of(wish, "end_in_s", 0) if "end_in_s" in wish else None
        self._gate.world.switch_traders(on=flag_of(wish, "on"), now=self._gate.now(), end_in_s=end)
        return {}

    async def _profile(self, wish: Wish) -> object:
        wanted = {
            key: [float(str(end)) for end in value]
            if isinstance(value, list)
            else float(value)
            if isinstance(value, Decimal)
            else value
            for key, value in wish.items()
        }
        world = self._gate.world
        world.set_profile(changed(world.profile, wanted))
        return asdict(world.profile)

    async def _hold(self, wish: Wish) -> object:
        self._gate.world.venue.holds[self._account(wish)] = int(number_of(wish, "closes", 1))
        return {}

    async def _release(self, wish: Wish) -> object:
        account = self._account_or_all(wish)
        world, now = self._gate.world, self._gate.now()
        wanted = [account] if account else list(world.logins)
        released = sum(world.venue.release(one, now) for one in wanted)
        self._gate.wake.set()
        return {"released": released}

    async def _finish(self, wish: Wish) -> object:
        world = self._gate.world
        world.switch_traders(on=False, now=self._gate.now())
        deadline_ns = self._gate.now().ns + int(number_of(wish, "settle_s", 6) * NS_PER_S)
        while self._gate.now().ns < deadline_ns:
            if world.referee.is_settled() and not world.referee.verdict().orphan_orders:
                break
            await asyncio.sleep(_LOOK_AGAIN_S)
        return world.referee.verdict().json()

    async def _play(self, wish: Wish) -> object:
        scenario = parse(
            wish, Cast(frozenset(self._gate.world.logins), frozenset(self._gate.world.whole))
        )
        return {"scenario": self.play(scenario), "steps": len(scenario.steps)}

    # Questions.

    async def _scenario(self, request: web.Request) -> web.Response:
        wanted = request.query.get("n", str(len(self._players)))
        if not wanted.isdecimal() or not 1 <= int(wanted) <= len(self._players):
            raise WishRefused(f"n is {wanted!r}; allowed is 1 to {len(self._players)}")
        return _answer(self._players[int(wanted) - 1].told())

    async def _verdict(self, _request: web.Request) -> web.Response:
        return _answer(self._gate.world.referee.verdict().json())

    async def _truth(self, _request: web.Request) -> web.Response:
        world, now = self._gate.world, self._gate.now()
        return _answer(
            {
                "at": iso(now.at),
                "accounts": [self._account_truth(account) for account in world.venue.accounts],
                "quotes": {
                    contracts.CATALOGUE[contract].root: {
                        "contract": contract,
                        "bid": q.bid,
                        "ask": q.ask,
                        "last": q.last,
                    }
                    for contract, q in world.venue.quotes.items()
                },
            }
        )

    def _account_truth(self, number: int) -> dict[str, object]:
        world = self._gate.world
        account, case = world.venue.accounts[number], world.referee.cases[number]
        return {
            "account": number,
            "name": account.name,
            "login": account.login,
            "balance": account.balance,
            "realized": nine(case.truth.realized(trade_date(self._gate.now().at))),
            "can_trade": account.can_trade,
            "locked_until": iso(case.locked_until) if case.locked_until else None,
            "act": case.act,
            "is_locked": case.is_locked,
            "positions": [
                {"contract": p.contract.id, "q": p.q, "average": nine(p.average)}
                for p in world.venue.positions.values()
                if p.account == number
            ],
            "working": [order.row() for order in world.venue.working_of(number)],
        }

    async def _requests(self, request: web.Request) -> web.Response:
        after = int(request.query.get("after", "0"))
        found = [asdict(entry) for entry in self._gate.requests if entry.n > after]
        return _answer({"requests": found})

    async def _unsettled(self, _request: web.Request) -> web.Response:
        found = [
            {
                "account": number,
                "contract": close.contract,
                "order": close.order,
                "request": close.request,
                "filled": close.filled,
                "is_ended": close.ended_ns is not None,
                "is_seen": close.is_seen,
            }
            for number, case in self._gate.world.referee.cases.items()
            for close in case.unsettled()
        ]
        waiting = [
            asdict(entry)
            for entry in self._gate.requests
            if entry.outcome == "open"
            and entry.path.startswith("/Position/")
            and entry.login
            and not entry.path.endswith("searchOpen")
        ]
        n = sum(1 for close in found if not close["is_ended"])
        return _answer({"n": n + len(waiting), "closes": found, "unanswered": waiting})

    async def _connections(self, _request: web.Request) -> web.Response:
        hubs = self._gate.hubs
        logins: dict[str, object] = {}
        for login, is_whole in hubs.whole().items():
            logins[login] = {
                "is_whole": is_whole,
                "hubs": [
                    {
                        "id": me.id,
                        "hub": me.hub,
                        "subscriptions": sorted(f"{kind}:{about}" for kind, about in me.topics),
                    }
                    for me in hubs.connections
                    if me.login == login
                ],
            }
        return _answer({"logins": logins})

    async def _happenings(self, request: web.Request) -> web.Response:
        after = int(request.query.get("after", "0"))
        found = [asdict(line) for line in self._gate.world.referee.happenings[after:]]
        return _answer({"happenings": found})

    async def _budget(self, _request: web.Request) -> web.Response:
        now_ns = self._gate.now().ns
        return _answer(
            {
                login: {
                    "used": budget.used("all", now_ns),
                    "of": RATE_MAX,
                    "bars_used": budget.used("bars", now_ns),
                    "bars_of": BARS_MAX,
                }
                for login, budget in self._gate.budgets.items()
            }
        )


def _outcome(answer: Answer) -> dict[str, object]:
    return {"code": answer.code, "order": answer.order, "text": answer.text}
