"""A REST session of the protector's own, for a login whose link does not live. Standard library.

Reads are repeated at the next look, never at once; a close is asked for once per look, sized by the
broker, and refused by it where the position is flat already.

Source: the gateway's REST interface, as in docs/brokers.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from risk_daemon.protector.decide import Position

WITHIN_S: Final = 5.0
LONG, BUY = 1, 0
_LOOPBACK: Final = ("127.0.0.1", "localhost")


class Unreadable(Exception):
    """The broker did not answer, or said no."""


class Session:
    """One login."""

    def __init__(self, api_url: str, user: str, key: str) -> None:
        self._url, self._user, self._key = api_url.rstrip("/"), user, key
        self._token = ""
        is_near = urllib.parse.urlsplit(api_url).hostname in _LOOPBACK
        # A proxy of the environment is for the world outside, never for loopback.
        handlers = [urllib.request.ProxyHandler({})] if is_near else []
        self._opener = urllib.request.build_opener(*handlers)

    def balances(self) -> dict[int, Decimal]:
        """Return the balance of every account of the login."""
        rows = self._ask("/Account/search", onlyActiveAccounts=False)["accounts"]
        return {int(row["id"]): Decimal(row["balance"]) for row in rows}

    def positions(self, account: int) -> list[Position]:
        """Return an account's open positions."""
        rows = self._ask("/Position/searchOpen", accountId=account)["positions"]
        return [
            Position(
                str(row["contractId"]),
                int(row["size"]) * (1 if int(row["type"]) == LONG else -1),
                Decimal(row["averagePrice"]),
            )
            for row in rows
            if int(row["size"])
        ]

    def price(self, contract: str, since: str, until: str) -> Decimal | None:
        """Return a contract's last price between two times, ISO 8601."""
        bars = self._ask(
            "/History/retrieveBars",
            contractId=contract,
            live=False,
            startTime=since,
            endTime=until,
            unit=1,
            unitNumber=1,
            limit=1,
            includePartialBar=True,
        )["bars"]
        return Decimal(bars[0]["c"]) if bars else None

    def close(self, account: int, contract: str) -> None:
        """Have the broker close what is open in a contract."""
        self._ask("/Position/closeContract", accountId=account, contractId=contract)

    def cancel_what_opens(
        self, account: int, positions: Sequence[Position], contracts: Sequence[str]
    ) -> None:
        """Cancel the orders of these contracts but those that only make a position smaller."""
        held = {one.contract: one.quantity for one in positions}
        for row in self._ask("/Order/searchOpen", accountId=account)["orders"]:
            contract = str(row["contractId"])
            side = 1 if int(row["side"]) == BUY else -1
            if contract in contracts and side * held.get(contract, 0) >= 0:
                self._ask("/Order/cancel", accountId=account, orderId=int(row["id"]))

    def _ask(self, path: str, **body: Any) -> dict[str, Any]:
        if not self._token:
            self._token = str(
                self._post("/Auth/loginKey", userName=self._user, apiKey=self._key)["token"]
            )
        return self._post(path, **body)

    def _post(self, path: str, **body: Any) -> dict[str, Any]:
        request = urllib.request.Request(  # noqa: S310 - the home's own gateway
            self._url + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
        )
        try:
            with self._opener.open(request, timeout=WITHIN_S) as answer:
                told: dict[str, Any] = json.loads(answer.read(), parse_float=Decimal)
        except urllib.error.HTTPError as error:
            if error.code == 401:
                self._token = ""
            raise Unreadable(f"{path}: HTTP {error.code}") from None
        except (OSError, ValueError) as error:
            raise Unreadable(f"{path}: {error}") from None
        if not told.get("success"):
            raise Unreadable(f"{path}: code {told.get('errorCode')} {told.get('errorMessage')}")
        return told
