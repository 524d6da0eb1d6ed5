"""So many logins with so many accounts each, for stages that only need them to be many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.waiting import until

#: The limit of every account, in contracts.
LIMIT: Final = 2
FIRST: Final = 9_500_000_000
#: More than any login has accounts.
STRIDE: Final = 100
FILLED_WITHIN_S: Final = 60.0


class Crowd(msgspec.Struct, frozen=True):
    """`logins` logins of `each` accounts; every account may hold `LIMIT` contracts."""

    logins: int
    each: int

    def login(self, number: int) -> str:
        """Name a login."""
        return f"hand-{number}"

    def accounts_of(self, number: int) -> list[int]:
        """Return the accounts of one login."""
        return [FIRST + STRIDE * number + one for one in range(self.each)]

    def accounts(self) -> list[int]:
        """Return the accounts of all logins."""
        return [one for number in range(self.logins) for one in self.accounts_of(number)]

    def scenario(self) -> str:
        """Write who is at the simulated gateway, and a market that moves."""
        rows = ["seed: 5", "profile: calm", "traders: false", "logins:"]
        for number in range(self.logins):
            name = self.login(number)
            told = ", ".join(f"{{id: {one}, name: HAND-{one}}}" for one in self.accounts_of(number))
            rows.append(f"  - {{user: {name}, api_key: a-key-of-{name}, accounts: [{told}]}}")
        rows += [
            "limits:",
            f'  default: {{max_contracts: {LIMIT}, daily_realized_loss: "200000.00"}}',
        ]
        return "\n".join(rows) + "\n"


def hold(gateway: Gateway, accounts: Iterable[int], size: int) -> None:
    """Buy for each account, and wait until all of it is filled."""
    mine = set(accounts)
    for account in sorted(mine):
        gateway.post(
            "/order", account=account, contract="MNQ", side="buy", size=size, type="market"
        )

    def filled() -> bool:
        rows = gateway.get("/truth")["accounts"]
        return all(row["positions"] for row in rows if row["account"] in mine)

    until(filled, FILLED_WITHIN_S, "every account to hold its position", every_s=0.2)
