"""ProjectX payloads to facts, refusals to meanings. Pure.

Bare and wrapped (`{"action", "data"}`) payloads are both read. Numbers go
through `Decimal(repr(x))` and must land on 1e-9: a float artefact snaps, NaN,
infinity and the absurd are `Malformed`. Nothing is ever defaulted that a limit
could hang on; what the gateway may leave out is named as optional here.

Source: docs/brokers/projectx.md.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any, Final

from risk_daemon.broker.port import (
    ACCEPTED,
    BARRED,
    CLOSED,
    FLAT,
    GONE,
    PENDING,
    REFUSED,
    Outcome,
    Request,
)
from risk_daemon.broker.projectx.roots import root_of
from risk_daemon.core.events import (
    AccountSeen,
    ContractSeen,
    MarkChanged,
    OrderChanged,
    PositionChanged,
    PrintSeen,
    TradeSeen,
)
from risk_daemon.core.instrument import UNIT, VALUE_MAX
from risk_daemon.errors import Malformed

Payload = Mapping[str, Any]

SIZE_MAX: Final = 100_000
TEXT_MAX: Final = 200
BARS_SINCE: Final = 600 * 1_000_000_000
ID_MAX: Final = 2**63 - 1
ORDER_STATES: Final = frozenset(range(9))
ORDER_TYPES: Final = frozenset(range(8))
_EPOCH: Final = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def unwrap(payload: object) -> tuple[Payload, int | None]:
    """Return the data of a hub payload, and its action if it was wrapped."""
    if not isinstance(payload, Mapping):
        raise Malformed(f"expected an object, got {payload!r:.200}")
    data = payload.get("data")
    if "action" in payload and isinstance(data, Mapping):
        return data, _whole(payload, "action", 0, 9)
    return payload, None


def account_from(data: Payload, login: str) -> AccountSeen:
    """Read an account row."""
    return AccountSeen(
        account=_whole(data, "id", 1, ID_MAX),
        login=login,
        name=_text(data, "name"),
        balance=_units(data, "balance"),
        can_trade=_flag(data, "canTrade"),
        visible=_flag(data, "isVisible", default=True),
        simulated=_flag(data, "simulated", default=False),
    )


def order_from(data: Payload) -> OrderChanged:
    """Read an order. A status this release does not know is kept: it counts as working."""
    return OrderChanged(
        account=_whole(data, "accountId", 1, ID_MAX),
        order=_whole(data, "id", 1, ID_MAX),
        contract=_text(data, "contractId"),
        status=_whole(data, "status", 0, 99),
        type=_whole(data, "type", 0, 99),
        side=_side(data),
        size=_whole(data, "size", 1, SIZE_MAX),
        filled=_whole(data, "fillVolume", 0, SIZE_MAX, default=0),
        limit_price=_price(data, "limitPrice"),
        stop_price=_price(data, "stopPrice"),
        filled_price=_price(data, "filledPrice"),
        parent=_optional_id(data, "parentOrderId"),
        linked=_optional_id(data, "linkedOrderId"),
        tag=_optional_text(data, "customTag"),
        created=_time(data, "creationTimestamp"),
        updated=_optional_time(data, "updateTimestamp"),
    )


def position_from(data: Payload, action: int | None = None) -> PositionChanged:
    """Read a position. Size is unsigned and the sign in `type`; a removed one is flat."""
    kind = _whole(data, "type", 0, 2)
    size = _whole(data, "size", 0, SIZE_MAX)
    if action == 2:
        kind = size = 0
    if kind == 0 and size != 0:
        raise Malformed(f"a position of size {size} has no direction (type 0)")
    return PositionChanged(
        account=_whole(data, "accountId", 1, ID_MAX),
        contract=_text(data, "contractId"),
        quantity=size if kind == 1 else -size,
        average=(_price(data, "averagePrice") or 0) if size else 0,
        created=_optional_time(data, "creationTimestamp") or 0,
    )


def trade_from(data: Payload) -> TradeSeen:
    """Read a fill. `profitAndLoss` null opens; fees and commissions count on every fill."""
    price = _price(data, "price")
    if price is None:
        raise Malformed("a trade without a price")
    pnl = data.get("profitAndLoss")
    return TradeSeen(
        account=_whole(data, "accountId", 1, ID_MAX),
        trade=_whole(data, "id", 1, ID_MAX),
        order=_whole(data, "orderId", 0, ID_MAX, default=0),
        contract=_text(data, "contractId"),
        side=_side(data),
        size=_whole(data, "size", 1, SIZE_MAX),
        price=price,
        traded_at=_time(data, "creationTimestamp"),
        pnl=None if pnl is None else _units(data, "profitAndLoss"),
        fees=_units(data, "fees"),
        commissions=_units(data, "commissions", default=0),
        voided=_flag(data, "voided", default=False),
    )


def mark_from(contract: object, data: object, before: MarkChanged | None) -> MarkChanged:
    """Merge a quote into the mark before it: an update may leave fields out."""
    if not isinstance(contract, str) or not isinstance(data, Mapping):
        raise Malformed(f"a quote without contract or fields: {contract!r:.80}")
    old = before or MarkChanged(contract=contract)
    return MarkChanged(
        contract=contract,
        bid=_quote(data, "bestBid", old.bid),
        ask=_quote(data, "bestAsk", old.ask),
        last=_quote(data, "lastPrice", old.last),
    )


def prints_from(contract: object, data: object) -> list[PrintSeen]:
    """Read the trades of the market in one message, a list or a single one."""
    rows = data if isinstance(data, list) else [data]
    if not isinstance(contract, str) or not contract or len(contract) > TEXT_MAX:
        raise Malformed(f"prints without a contract: {contract!r:.80}")
    found = []
    for row in rows:
        if not isinstance(row, Mapping):
            raise Malformed(f"a print without fields: {row!r:.80}")
        price = _price(row, "price")
        if price is None:
            raise Malformed("a print without a price")
        found.append(PrintSeen(contract=contract, price=price))
    return found


def bar_call(contract: str, now: int) -> dict[str, object]:
    """Return the body that asks for the newest second bar of the minutes before an instant."""
    return {
        "contractId": contract,
        "live": False,
        "startTime": show_time(now - BARS_SINCE),
        "endTime": show_time(now),
        "unit": 1,
        "unitNumber": 1,
        "limit": 1,
        "includePartialBar": True,
    }


def close_of(answer: object) -> int | None:
    """Read the close of the newest bar, which comes first; None where nothing was traded."""
    bars = rows_of(answer, "bars")
    return _price(bars[0], "c") if bars else None


def contract_from(data: Payload) -> ContractSeen:
    """Read a contract's metadata: tick size in price, tick value in money per tick."""
    size, value = _units(data, "tickSize"), _units(data, "tickValue")
    if size <= 0 or value <= 0:
        raise Malformed(f"tick size {size} and tick value {value} must be above zero")
    return ContractSeen(
        contract=_text(data, "id"),
        root=root_of(_text(data, "symbolId")),
        tick_size=size,
        tick_value=value,
    )


# --- requests and answers ----------------------------------------------------


def call_of(request: Request) -> tuple[str, dict[str, object]]:
    """Return path and body of a mutating request."""
    body: dict[str, object] = {"accountId": request.account}
    match request.act:
        case "close":
            return "/Position/closeContract", body | {"contractId": request.contract}
        case "partial":
            sized = body | {"contractId": request.contract, "size": request.size}
            return "/Position/partialCloseContract", sized
        case "cancel":
            return "/Order/cancel", body | {"orderId": request.order}
        case "modify":
            return "/Order/modify", body | {"orderId": request.order, "size": request.size}
        case _:
            raise ValueError(f"no request of ours: {request.act!r}")


# The two close tables differ from code 5 on: partial close has InvalidCloseSize there.
_MEANINGS: Final[dict[str, dict[int, str]]] = {
    "close": {2: FLAT, 4: CLOSED, 6: PENDING, 8: BARRED},
    "partial": {2: FLAT, 4: CLOSED, 7: PENDING, 9: BARRED},
    "cancel": {2: GONE, 4: PENDING, 6: BARRED},
    "modify": {2: GONE, 4: PENDING, 6: BARRED},
}


def outcome_of(request: Request, answer: object) -> Outcome:
    """Read the envelope of an answer: a refusal is HTTP 200 with `success` false."""
    if not isinstance(answer, Mapping) or not isinstance(answer.get("success"), bool):
        raise Malformed(f"an answer without success: {answer!r:.200}")
    if answer["success"]:
        return Outcome(outcome=ACCEPTED)
    code = _whole(answer, "errorCode", 0, 999)
    text = answer.get("errorMessage")
    return Outcome(
        outcome=REFUSED,
        code=code,
        meaning=_MEANINGS[request.act].get(code, ""),
        text=text if isinstance(text, str) else "",
    )


def rows_of(answer: object, key: str) -> list[Payload]:
    """Return the rows of a read; anything but a success with a list is no answer."""
    if not isinstance(answer, Mapping) or answer.get("success") is not True:
        code = answer.get("errorCode") if isinstance(answer, Mapping) else answer
        raise Malformed(f"the read of {key} failed: {code!r:.200}")
    rows = answer.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise Malformed(f"the read of {key} has no list of rows")
    return rows


# --- single fields -----------------------------------------------------------


def _whole(data: Payload, key: str, least: int, most: int, default: int | None = None) -> int:
    value = data.get(key)
    if value is None and default is not None:
        return default
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise Malformed(f"{key} is {value!r:.80}, expected a whole number {least}..{most}")
    return value


def _optional_id(data: Payload, key: str) -> int | None:
    return None if data.get(key) is None else _whole(data, key, 0, ID_MAX)


def _side(data: Payload) -> int:
    return 1 if _whole(data, "side", 0, 1) == 0 else -1


def _text(data: Payload, key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value or len(value) > TEXT_MAX:
        raise Malformed(f"{key} is {value!r:.80}, expected a text")
    return value


def _optional_text(data: Payload, key: str) -> str | None:
    value = data.get(key)
    return value[:TEXT_MAX] if isinstance(value, str) else None


def _flag(data: Payload, key: str, *, default: bool | None = None) -> bool:
    value = data.get(key, default)
    if not isinstance(value, bool):
        raise Malformed(f"{key} is {value!r:.80}, expected true or false")
    return value


def _units(data: Payload, key: str, default: int | None = None) -> int:
    """Read a number into units of 1e-9; a binary float is taken by its shortest text."""
    value = data.get(key)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise Malformed(f"{key} is {value!r:.80}, expected a number")
    try:
        exact = Decimal(repr(value) if isinstance(value, float) else value)
        if not exact.is_finite() or abs(exact) * UNIT > VALUE_MAX:
            raise Malformed(f"{key} is {value!r:.80}, which no price or amount can be")
    except InvalidOperation:
        raise Malformed(f"{key} is {value!r:.80}, expected a number") from None
    return int((exact * UNIT).to_integral_value(ROUND_HALF_EVEN))


def _price(data: Payload, key: str) -> int | None:
    """Read a price; null and absent are no price, zero or less is a fault."""
    value = data.get(key)
    if value is None:
        return None
    units = _units(data, key)
    if units == 0:
        return None  # the gateway writes 0 for "none" on orders
    if units < 0:
        raise Malformed(f"{key} is {value!r:.80}, a price is above zero")
    return units


def _quote(data: Payload, key: str, before: int | None) -> int | None:
    """Read one side of a quote; absent keeps what was, zero means there is none."""
    if data.get(key) is None:
        return before
    return _price(data, key)


def _time(data: Payload, key: str) -> int:
    """Read an ISO-8601 instant into ns since 1970 UTC."""
    value = data.get(key)
    if not isinstance(value, str):
        raise Malformed(f"{key} is {value!r:.80}, expected a time")
    try:
        moment = dt.datetime.fromisoformat(value)
    except ValueError:
        raise Malformed(f"{key} is {value!r:.80}, expected a time") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return ((moment - _EPOCH) // _MICROSECOND) * 1_000


def _optional_time(data: Payload, key: str) -> int | None:
    return None if data.get(key) is None else _time(data, key)


def show_time(at: int) -> str:
    """Write an instant as the gateway's queries want it, to the microsecond."""
    moment = _EPOCH + (at // 1_000) * _MICROSECOND
    return moment.isoformat()
