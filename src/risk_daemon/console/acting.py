"""The routes by which a person logs in and acts: the only ones that change anything."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from risk_daemon.console import asking, described, desk, door
from risk_daemon.console.desk import Desk, Stale, Wait
from risk_daemon.console.login import LONGEST_NS, SECOND_NS
from risk_daemon.errors import Denied, OperatorError

#: Of a body that is longer nothing is read.
BODY_MAX: Final = 16_384
#: What the page shows with everything it asks for.
CSRF: Final = "x-csrf-token"
#: Of a command's exit: what is not named here is not in the state it would need.
_STATUS: Final = {2: 422, 4: 401, 5: 404, 7: 504, 8: 503}


class Credentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who wants to be let in."""

    user: str
    password: str


class Refusal(Exception):
    """Answered with a code and a sentence, before anything was done."""

    def __init__(self, code: int, sentence: str, **more: Any) -> None:
        super().__init__(sentence)
        self.code, self.more = code, more


def add_routes(app: FastAPI, at: Desk) -> None:
    """Add the routes over a desk."""

    @app.get("/api/v1/session", responses=described.SESSION)
    async def session(request: Request) -> JSONResponse:
        """Who is logged in here; `people` is whether anybody could be."""
        found = await at.session(_token(at, request))
        shown = {"user": found.user, "csrf": found.csrf} if found else {"user": None, "csrf": None}
        return _answer(200, {**shown, "people": await at.people()})

    @app.post(
        "/api/v1/session",
        responses=described.ENTER,
        openapi_extra=described.TO_ENTER,
    )
    async def enter(request: Request) -> Response:
        """Log in."""
        try:
            given = await _body(request, Credentials)
            entrance = await at.enter(given.user, given.password)
        except Wait as wait:
            answer = _answer(429, {"error": str(wait), "seconds": wait.seconds})
            answer.headers["Retry-After"] = str(wait.seconds)
            return answer
        except Denied as error:
            return _answer(401, {"error": error.sentence})
        except Refusal as refusal:
            return _refused(refusal)
        shown = {"user": entrance.session.user, "csrf": entrance.session.csrf, "people": True}
        answer = _answer(200, shown)
        answer.set_cookie(
            at.cookie,
            entrance.token,
            max_age=LONGEST_NS // SECOND_NS,
            httponly=True,
            samesite="strict",
        )
        return answer

    @app.delete("/api/v1/session", responses=described.LEAVE)
    async def leave(request: Request) -> Response:
        """Log out."""
        try:
            _from_here(request)
            await at.check(_token(at, request), request.headers.get(CSRF, ""))
        except Refusal as refusal:
            return _refused(refusal)
        except Denied as error:
            return _refused(Refusal(401, error.sentence))
        await at.leave(_token(at, request))
        answer = _answer(200, {"user": None, "csrf": None})
        answer.delete_cookie(at.cookie, httponly=True, samesite="strict")
        return answer

    @app.post("/api/v1/actions", responses=described.ACT, openapi_extra=described.TO_ACT)
    async def act(request: Request) -> Response:
        """Have something done, by who is logged in."""
        try:
            asked = await _body(request, asking.Asked)
            found = await at.check(_token(at, request), request.headers.get(CSRF, ""))
            _meant(asked)
            outcome = await at.act(found.user, asked)
        except Refusal as refusal:
            return _refused(refusal)
        except Stale:
            return _refused(
                Refusal(
                    409,
                    "it is not as this page showed it any more; nothing was done. "
                    "The page shows it as it is now: look, and ask again.",
                    stale=True,
                )
            )
        except OperatorError as error:
            code = _STATUS.get(error.exit_code, 409)
            return _refused(Refusal(code, error.sentence, exit=error.exit_code))
        lines = list(desk.told(asked, outcome))
        return _answer(200, {"ok": outcome.ok, "exit": outcome.exit_code, "lines": lines})


def _token(at: Desk, request: Request) -> str:
    return request.cookies.get(at.cookie, "")


def _from_here(request: Request) -> None:
    headers = request.headers
    why = door.origin_objection(headers.get("origin", ""), headers.get("host", ""))
    if why:
        raise Refusal(403, why)


def _meant(asked: asking.Asked) -> None:
    why = asking.objection(asked)
    if why:
        raise Refusal(422, why)


async def _body[T](request: Request, kind: type[T]) -> T:
    """Read what our own page has sent."""
    _from_here(request)
    raw = b""
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > BODY_MAX:
            raise Refusal(413, f"more than {BODY_MAX} bytes can't be meant; nothing was done.")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refusal(422, f"this can't be read: {error}; nothing was done.") from None


def _answer(code: int, body: dict[str, Any]) -> JSONResponse:
    return JSONResponse(body, code, headers={"Cache-Control": "no-store"})


def _refused(refusal: Refusal) -> JSONResponse:
    return _answer(refusal.code, {"error": str(refusal), **refusal.more})
