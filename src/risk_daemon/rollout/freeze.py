"""What a freeze forbids, and when it would forbid everything.

Checked per account and switch, not per phase. A freeze never forbids a way back, an abort or a
hold: those don't ask here.
"""

from __future__ import annotations

from typing import Final

from risk_daemon.rollout.plan import Freeze

START: Final = "start"
PROMOTE: Final = "promote"
SWITCH: Final = "switch"
FORBIDDEN: Final = (START, PROMOTE, SWITCH)


def forbids(freezes: tuple[Freeze, ...], what: str, at: int, account: int | None = None) -> str:
    """Return why something is forbidden at an instant (UTC ns); empty when it is not.

    Without an account only freezes of all accounts count.
    """
    for freeze in freezes:
        concerns = not freeze.accounts or account in freeze.accounts
        if concerns and what in freeze.forbids and freeze.begin <= at < freeze.end:
            return freeze.reason
    return ""


def is_representative(freezes: tuple[Freeze, ...], at: int) -> bool:
    """Tell whether what is seen at an instant counts as exposure."""
    return all(freeze.counts or not freeze.begin <= at < freeze.end for freeze in freezes)


def first_free(
    freezes: tuple[Freeze, ...], what: str, begin: int, end: int, account: int | None = None
) -> int | None:
    """Return the first instant of [begin, end) at which something is allowed; None: at none."""
    mine = [one for one in freezes if not one.accounts or account in one.accounts]
    at = begin
    for freeze in sorted(mine, key=lambda one: one.begin):
        if what in freeze.forbids and freeze.begin <= at < freeze.end:
            at = freeze.end
    return at if at < end else None


def everything(
    freezes: tuple[Freeze, ...], accounts: tuple[int, ...], begin: int, end: int
) -> tuple[str, ...]:
    """Say what the freezes leave no room for between two instants, one sentence each."""
    found = [
        f"the freezes forbid every {what} from now until the plan would end"
        for what in FORBIDDEN
        if first_free(freezes, what, begin, end) is None
    ]
    closed = [one for one in accounts if first_free(freezes, SWITCH, begin, end, one) is None]
    if closed and not any("switch" in sentence for sentence in found):
        found.append(f"the freezes leave account {closed[0]} no time to be switched")
    return tuple(found)
