"""The REST doors: they read a request, ask the world, and write the answer. No decision is here.

A request is stamped at the first line of its handler. A read waits its delay *before* it looks, so
that its answer is fresh when it is written; a change is made at once and answered later.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from email.utils import format_datetime

from aiohttp import web

from risk_daemon.sim import operations
from risk_daemon.sim.codes import OK, LoginCode
from risk_daemon.sim.faults import Fault
from risk_daemon.sim.gate import Gate, Logged, ms_of
from risk_daemon.sim.hubs import reset
from risk_daemon.sim.moment import NS_PER_S, Moment, iso
from risk_daemon.sim.tokens import SHORT_LIFE_S, TOKEN_LIFE_S
from risk_daemon.sim.wire_json import render

Body = dict[str, object]


@dataclass(slots=True)
class Visit:
    """One authorised request on its way through the doors."""

    gate: Gate
    request: web.Request
    login: str
    token: str
    path: str
    body: Body
    entry: Logged
    now: Moment

    def fault(self, kind: str) -> Fault | None:
        """A fault of that kind that strikes this request now."""
        return self.gate.world.faults.find(kind, self.gate.now().ns, self.login, self.entry.account)

    def use_fault(self, kind: str) -> Fault | None:
        """Like `fault`, and uses it up."""
        now_ns = self.gate.now().ns
        return self.gate.world.faults.use(kind, now_ns, self.login, self.entry.account)

    def cut(self) -> web.Response:
        """Cut the connection: the client never learns what became of its request."""
        if self.request.transport is not None:
            reset(self.request.transport)
        self.entry.outcome = "cut"
        return web.Response(status=500)


def json_answer(body: Body, status: int = 200) -> web.Response:
    """An answer with the gateway's way of writing numbers."""
    return web.Response(text=render(body), status=status, content_type="application/json")


def envelope(code: int = OK, text: str | None = None, **more: object) -> Body:
    """The three members of every answer, and what the operation adds."""
    return {"success": code == OK, "errorCode": int(code), "errorMessage": text, **more}


class RestDoors:
    """The REST part of the web application."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> list[web.RouteDef]:
        """The doors, by path."""
        guarded: list[web.RouteDef] = [
            web.post(f"/api{path}", self._guarded(path)) for path in operations.TABLE
        ]
        return [
            web.get("/api/Status/ping", self._ping),
            web.post("/api/Auth/loginKey", self._log_in),
            web.post("/api/Auth/validate", self._validate),
            web.post("/api/Auth/logout", self._log_out),
            *guarded,
        ]

    async def _ping(self, _request: web.Request) -> web.Response:
        return web.Response(text="pong")

    async def _log_in(self, request: web.Request) -> web.Response:
        entry = self._enter("/Auth/loginKey")
        body = await _read(request)
        user, key = body.get("userName"), body.get("apiKey")
        known = {one.user: one.api_key for one in self._gate.config.logins} | self._gate.keys
        await self._gate.pause()
        entry.login = str(user)
        if user not in known:
            code = LoginCode.USER_NOT_FOUND
        elif known[str(user)] != key:
            code = LoginCode.INVALID_CREDENTIALS
        else:
            token = self._issue(str(user))
            return self._leave(entry, json_answer(envelope(token=token)), OK)
        return self._leave(entry, json_answer(envelope(code, token=None)), code)

    async def _validate(self, request: web.Request) -> web.Response:
        entry = self._enter("/Auth/validate")
        login = self._owner(request)
        if login is None:
            return self._leave(entry, web.Response(status=401), None)
        entry.login = login
        return self._leave(entry, json_answer(envelope(newToken=self._issue(login))), OK)

    def _issue(self, login: str) -> str:
        short = self._gate.world.faults.find("token_life", self._gate.now().ns, login)
        life_s = _number(short.options.get("life_s", SHORT_LIFE_S)) if short else TOKEN_LIFE_S
        return self._gate.tokens.issue(login, time.time(), life_s)

    async def _log_out(self, request: web.Request) -> web.Response:
        entry = self._enter("/Auth/logout")
        if self._owner(request) is None:
            return self._leave(entry, web.Response(status=401), None)
        self._gate.tokens.forget(_bearer(request))
        return self._leave(entry, json_answer(envelope()), OK)

    def _enter(self, path: str, now: Moment | None = None) -> Logged:
        now = now or self._gate.now()
        n = self._gate.next_request()
        entry = Logged(n, round(ms_of(now.ns), 3), iso(now.at), None, path)
        self._gate.requests.append(entry)
        return entry

    def _leave(self, entry: Logged, answer: web.Response, code: int | None) -> web.Response:
        entry.status, entry.code = answer.status, code
        if entry.outcome == "open":
            entry.outcome = "answered"
        self._gate.wake.set()
        return answer

    def _owner(self, request: web.Request) -> str | None:
        return self._gate.tokens.login_of(_bearer(request), time.time())

    def _is_spoiled(self, request: web.Request, path: str) -> bool:
        changes = operations.TABLE[path].changes
        return self._gate.tokens.is_spoiled(_bearer(request), changes=changes)

    def _guarded(self, path: str) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def door(request: web.Request) -> web.StreamResponse:
            now = self._gate.now()
            entry = self._enter(path, now)
            login = self._owner(request)
            try:
                body = await _read(request)
            except (ValueError, TypeError):
                return self._leave(entry, web.Response(status=400), None)
            operations.note(entry, body)
            if login is None or self._is_spoiled(request, path):
                return self._leave(entry, web.Response(status=401), None)
            entry.login = login
            visit = Visit(self._gate, request, login, _bearer(request), path, body, entry, now)
            answer = await self._pass(visit)
            return self._leave(entry, answer, entry.code)

        return door

    async def _pass(self, visit: Visit) -> web.Response:
        operation = operations.TABLE[visit.path]
        turned_away = await self._turn_away(visit, operation)
        if turned_away is not None:
            return turned_away
        slow = visit.fault("slow_answers")
        extra_s = _number(slow.options.get("ms", 1000)) / 1000 if slow else 0.0
        if not operation.changes:
            await self._gate.pause()
            await asyncio.sleep(extra_s)
            return self._do(visit, operation)
        lost = visit.use_fault("lost_answer")
        broken = None if lost else visit.use_fault("error_after_accept")
        answer = self._do(visit, operation, known=not (lost or broken))
        self._gate.wake.set()
        await self._gate.pause()
        await asyncio.sleep(extra_s)
        if lost:
            return visit.cut()
        if broken:
            visit.entry.outcome = "error after accept"
            return web.Response(status=503)
        return answer

    def _do(
        self, visit: Visit, operation: operations.Operation, *, known: bool = True
    ) -> web.Response:
        try:
            body = operation.do(self._gate, visit.login, visit.body, visit.entry, visit.now, known)
        except (KeyError, TypeError, ValueError) as error:
            problem: Body = {
                "title": "One or more validation errors occurred.",
                "status": 400,
                "detail": str(error),
            }
            return json_answer(problem, 400)
        return json_answer(body)

    async def _turn_away(
        self, visit: Visit, operation: operations.Operation
    ) -> web.Response | None:
        limited = visit.fault("rate_limit")
        within = self._gate.budgets[visit.login].take(operation.budget, visit.now.ns)
        if limited is not None or not within:
            self._refused(visit, operation, known=True)
            return _too_many(limited, visit.now)
        if visit.fault("rest_freeze"):
            await self._hang(visit)
            if visit.request.transport is None or visit.request.transport.is_closing():
                self._refused(visit, operation, known=False)
                return visit.cut()
        if visit.fault("rest_error"):
            self._refused(visit, operation, known=False)
            return web.Response(status=503)
        if operation.changes and visit.use_fault("lost_request"):
            self._refused(visit, operation, known=False)
            return visit.cut()
        if operation.changes and visit.use_fault("error_before_accept"):
            self._refused(visit, operation, known=False)
            return web.Response(status=503)
        return None

    async def _hang(self, visit: Visit) -> None:
        fault = visit.fault("rest_freeze")
        if fault is not None:
            await asyncio.sleep((fault.ends_ns - self._gate.now().ns) / NS_PER_S)
            await self._hang(visit)  # another one may have begun meanwhile

    def _refused(self, visit: Visit, operation: operations.Operation, *, known: bool) -> None:
        visit.entry.outcome = "not taken"
        sent = operations.sent_of(operation.what, visit.entry)
        if sent is not None and self._gate.world.logins.get(sent.account) == visit.login:
            self._gate.world.refused(sent, visit.now, known=known)


def _too_many(fault: Fault | None, now: Moment) -> web.Response:
    headers = {}
    wanted = fault.options.get("retry_after") if fault else None
    if fault is not None and wanted:
        left_s = max(1, round((fault.ends_ns - now.ns) / NS_PER_S))
        # HTTP allows both: seconds from now, or the date itself.
        date = (now.at + timedelta(seconds=left_s)).replace(microsecond=0)
        headers["Retry-After"] = (
            format_datetime(date, usegmt=True) if wanted == "date" else str(left_s)
        )
    return web.Response(status=429, headers=headers)


def _bearer(request: web.Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


async def _read(request: web.Request) -> Body:
    text = await request.text()
    body = json.loads(text, parse_float=str) if text else {}
    if not isinstance(body, dict):
        raise TypeError("the body is not an object")
    return body
