"""What each route takes and answers, as `/openapi.json` tells it to a machine. Pure.

Each status that a route can answer is told, with the shape of what comes with it: a program that is
written against the description meets nothing else. An answer may gain fields (docs/formats), so no
shape forbids what it does not name; what is *sent* may hold nothing else, because it is refused.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from risk_daemon.console import asking, view
from risk_daemon.console.figures import Figures, Sample
from risk_daemon.wire.view import AccountView

type Schema = dict[str, Any]
type Answers = dict[int | str, dict[str, Any]]

JSON: Final = "application/json"
_TEXT: Final[Schema] = {"type": "string"}
_WHOLE: Final[Schema] = {"type": "integer"}
_YES_OR_NO: Final[Schema] = {"type": "boolean"}
_LINES: Final[Schema] = {"type": "array", "items": _TEXT}
_ANYTHING: Final[Schema] = {"type": "object"}


def _or_null(shape: Schema) -> Schema:
    return {"anyOf": [shape, {"type": "null"}]}


def _table(**fields: Schema) -> Schema:
    """All of these fields, and maybe more."""
    return {"type": "object", "properties": fields, "required": list(fields)}


def _list_of(shape: Schema) -> Schema:
    return {"type": "array", "items": shape}


def _of(kind: type[Any]) -> Schema:
    """Return the shape of a type of ours, with what it refers to written in its place."""
    (shape,), named = msgspec.json.schema_components([kind], ref_template="{name}")
    whole: Schema = _in_place(shape, named)
    return whole


def _in_place(shape: Any, named: dict[str, Any]) -> Any:
    match shape:
        case {"$ref": str(name)}:
            return _in_place(named[name], named)
        case {"prefixItems": [*items], **rest}:  # of a pair: that each is one of these will do
            return {**rest, "items": {"anyOf": [_in_place(one, named) for one in items]}}
        case dict():
            return {key: _in_place(value, named) for key, value in shape.items()}
        case list():
            return [_in_place(one, named) for one in shape]
        case _:
            return shape


def _versioned(**fields: Schema) -> Schema:
    return _table(version={"const": view.API_VERSION}, **fields)


def _answer(what: str, shape: Schema, media_type: str = JSON) -> dict[str, Any]:
    return {"description": what, "content": {media_type: {"schema": shape}}}


#: What the framework itself says of what is not found, or not now.
_DETAIL: Final = _table(detail=_TEXT)
_NOT_ALLOWED: Final = _answer(
    "A value that is not allowed; `detail` names it.", _table(detail=_list_of(_ANYTHING))
)
_REFUSED: Final = _table(error=_TEXT)
_ACCOUNT: Final = _of(AccountView)
_WHO: Final = {
    "user": _or_null(_TEXT),
    "csrf": _or_null(_TEXT),
}

# --- for everybody who looks ---

#: Whatever is asked for: by a name that is not this machine's own, or in no HTTP at all.
EVERYWHERE: Final[Answers] = {
    400: _answer("This is not HTTP as the server understands it.", _TEXT, "text/plain"),
    421: _answer("Asked for under a name that is not this machine's own.", _TEXT, "text/plain"),
}

_HEALTH: Final = _versioned(
    ok=_YES_OR_NO,
    state={"enum": ["healthy", "degraded", "down"]},
    why=_TEXT,
    release=_TEXT,
    guarded=_WHOLE,
    accounts=_list_of(
        _table(
            account=_WHOLE,
            name=_TEXT,
            login=_TEXT,
            release=_TEXT,
            holder=_TEXT,
            epoch=_WHOLE,
            enforcing=_YES_OR_NO,
            connected=_YES_OR_NO,
            feed=_TEXT,
            mode=_TEXT,
            view_age_ms=_or_null(_WHOLE),
            why=_TEXT,
        )
    ),
    disabled=_or_null(_table(by=_TEXT, reason=_TEXT, since=_TEXT)),
    supervisor_age_ms=_or_null(_WHOLE),
    journal=_table(connected=_YES_OR_NO, last_seq=_WHOLE, age_ms=_or_null(_WHOLE)),
)

HEALTH: Final[Answers] = {
    200: _answer("Every account is enforced and connected.", _HEALTH),
    503: _answer("At least one is not; `why` says what is wrong.", _HEALTH),
}
METRICS: Final[Answers] = {200: _answer("Prometheus text.", _TEXT, "text/plain")}
ACCOUNTS: Final[Answers] = {
    200: _answer("All that were published.", _versioned(accounts=_list_of(_ACCOUNT))),
}
ACCOUNT: Final[Answers] = {
    200: _answer("As its active worker published it.", _ACCOUNT),
    404: _answer("No such account was published.", _DETAIL),
    422: _NOT_ALLOWED,
}
PROCESSES: Final[Answers] = {
    200: _answer(
        "As the supervisor says; `age_ms` since it said so.",
        _versioned(
            age_ms=_or_null(_WHOLE),
            processes=_list_of(_table(name=_TEXT, role=_TEXT, state=_TEXT)),
        ),
    ),
}
EVENTS: Final[Answers] = {
    200: _answer(
        "Newest last.",
        _versioned(
            events=_list_of(
                _table(
                    seq=_WHOLE,
                    at=_TEXT,
                    account=_WHOLE,
                    kind=_TEXT,
                    words=_TEXT,
                    fact=_ANYTHING,
                )
            )
        ),
    ),
    422: _NOT_ALLOWED,
}
ALARMS: Final[Answers] = {
    200: _answer(
        "Newest last.",
        _versioned(
            alarms=_list_of(
                _table(
                    seq=_WHOLE,
                    at=_TEXT,
                    account=_WHOLE,
                    level=_TEXT,
                    what=_TEXT,
                    text=_TEXT,
                    source=_TEXT,
                )
            )
        ),
    ),
    422: _NOT_ALLOWED,
}
LIVE: Final[Answers] = {
    200: _answer("Events: docs/formats/dashboard.md.", _table(data=_TEXT), "text/event-stream"),
    422: _NOT_ALLOWED,
    503: _answer("As many pages look already as may.", _DETAIL),
}
FIGURES: Final[Answers] = {
    200: _answer("The last minute of one account.", _versioned(figures=_of(Figures))),
    422: _NOT_ALLOWED,
}
HISTORY: Final[Answers] = {
    200: _answer("Oldest first.", _versioned(samples=_list_of(_of(Sample)))),
    422: _NOT_ALLOWED,
    503: _answer("The store can't be read.", _DETAIL),
}

# --- for who acts ---

_NOT_OURS: Final = _answer("Not asked for by the console's own page.", _REFUSED)
_TOO_LONG: Final = _answer("The body is longer than anything that is meant.", _REFUSED)
_NOT_MEANT: Final = _answer("The body can't be read, or something in it is missing.", _REFUSED)

SESSION: Final[Answers] = {
    200: _answer("Who is logged in with this cookie.", _table(**_WHO, people=_YES_OR_NO)),
}
ENTER: Final[Answers] = {
    200: _answer("Let in; a cookie comes with it.", _table(user=_TEXT, csrf=_TEXT)),
    401: _answer("The name or the password is wrong.", _REFUSED),
    403: _NOT_OURS,
    413: _TOO_LONG,
    422: _NOT_MEANT,
    429: _answer("Too soon after a wrong one.", _table(error=_TEXT, seconds=_WHOLE)),
}
LEAVE: Final[Answers] = {
    200: _answer("Logged out.", _table(**_WHO)),
    401: _answer("Nobody is logged in with this cookie, or not at this page.", _REFUSED),
    403: _NOT_OURS,
}
ACT: Final[Answers] = {
    200: _answer(
        "Done, or tried: `ok` and `lines` say which.",
        _table(ok=_YES_OR_NO, exit=_WHOLE, lines=_LINES),
    ),
    401: _answer("Nobody is logged in with this cookie, or not at this page.", _REFUSED),
    403: _NOT_OURS,
    404: _answer("There is nothing of that name.", _REFUSED),
    409: _answer("Not in this state; `stale`: it is not the one that was shown.", _REFUSED),
    413: _TOO_LONG,
    422: _NOT_MEANT,
    503: _answer("Who would do it does not answer.", _REFUSED),
    504: _answer("Who would do it did not answer in time.", _REFUSED),
}


def _body(shape: Schema) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {JSON: {"schema": shape}}}}


def _sent(*needed: str, **fields: Schema) -> Schema:
    """These fields and no other, of which some are needed."""
    return {
        "type": "object",
        "properties": fields,
        "required": list(needed),
        "additionalProperties": False,
    }


#: As long as the longest name that is compared with anything: far below what is read of a body.
_WORD: Final[Schema] = {"type": "string", "maxLength": 100}
_NAME: Final[Schema] = {**_WORD, "minLength": 1}
_REASON: Final[Schema] = {"type": "string", "maxLength": asking.REASON_MAX, "pattern": r"\S"}


def _naming(actions: list[str], **more: Schema) -> Schema:
    return {"properties": {"action": {"enum": actions}, **more}, "required": list(more)}


def _variants() -> list[Schema]:
    """What each action needs beside a reason, as `asking` has it."""
    special = {*asking.NAMED, *asking.TYPED}
    plain = [_naming([one for one in asking.ACTIONS if one not in special])]
    named = [_naming([action], **{field: _NAME}) for action, field in asking.NAMED.items()]
    return [
        *plain,
        *named,
        *(_naming([action], typed={"enum": [what]}) for action, what in asking.TYPED.items()),
    ]


TO_ENTER: Final = _body(_sent("user", "password", user=_WORD, password=_WORD))
TO_ACT: Final = _body(
    {
        **_sent(
            "action",
            "reason",
            "seen",
            action={"enum": list(asking.ACTIONS)},
            reason=_REASON,
            seen=_WORD,
            typed=_WORD,
            phase=_WORD,
            release=_WORD,
        ),
        "anyOf": _variants(),
    }
)
