"""A change that would trip rules on many accounts at once is held until a person says how many.

Decision 3.5 keeps a change from flattening anybody: an account that it would lock becomes
reduce-only. A typo in a limit would still take a whole firm out of the market. So the workers that
hold the accounts try what would be in force at once, on copies of their state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from risk_daemon.core.events import PolicyAdopted
from risk_daemon.errors import NotReachable, OperatorError, Refused
from risk_daemon.operations import daemon, state_file
from risk_daemon.operations.changing import adoption
from risk_daemon.operations.configuration import flags_kept, postponed
from risk_daemon.operations.configuration.loading import Configuration
from risk_daemon.operations.home import Home
from risk_daemon.operations.releases import under_way
from risk_daemon.operations.words import count
from risk_daemon.rollout.plan import CONFIGURATION

#: More than this share of the accounts, and more than one, is held.
SHARE_PERCENT: Final = 10
WITHIN_S: Final = 5.0
SHOWN: Final = 20

type Trips = Mapping[int, Sequence[str]]


def allowed(accounts: int) -> int:
    """Return how many accounts a change may trip unasked. Pure."""
    return max(1, accounts * SHARE_PERCENT // 100)


def judge(trips: Trips, accounts: int, accepts: int) -> None:
    """Raise Refused where a change trips more accounts than it may, or a person accepts. Pure."""
    most = allowed(accounts)
    if len(trips) <= max(most, accepts):
        return
    rows = [f"{number}: {'; '.join(why)}" for number, why in sorted(trips.items())]
    more = [f"and {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    head = (
        f"held: it would at once trip rules on {len(trips)} of {count(accounts, 'account')}, more "
        f"than {most} ({SHARE_PERCENT} %, never fewer than 1); nothing was changed. If that "
        f"is meant: the same command with --accept-trips {len(trips)}. They would be reduce-only "
        "until confirmed; nothing is closed."
    )
    raise Refused("\n  ".join([head, *rows[:SHOWN], *more]))


def hold(at: Home, configuration: Configuration, accepts: int) -> None:
    """Raise Refused where adopting these files now would trip too many accounts.

    What waits for the next trade day is not tried: it trips nobody at once. Where no daemon runs
    nothing takes effect at once. Nor does anything while a configuration is being rolled out.
    """
    _refuse_while_rolled_out(at)
    try:
        known = daemon.status(at)
        standing = state_file.standing(at)
    except OperatorError:
        return
    policies, _ = adoption.due_now(
        configuration,
        standing,
        postponed.read(at),
        configuration.at,
        is_reload=True,
        living=flags_kept.read(at).flags,
    )
    changed = [one for one in policies if standing.policies[one.account].digest != one.digest]
    if len(changed) <= allowed(len(standing.policies)):
        return
    holders = {row["account"]: str(row.get("holder") or "") for row in known.get("accounts", [])}
    judge(_trips(at, changed, holders), len(standing.policies), accepts)


def _refuse_while_rolled_out(at: Home) -> None:
    try:
        found = under_way.standing(at)
    except OperatorError:
        return
    if found and found["kind"] == CONFIGURATION and found["stage"] not in under_way.OVER:
        raise OperatorError(
            f"configuration {found['commit']} is being rolled out, account by account; nothing was "
            "changed. End it with `risk-daemon-admin rollout abort`, or wait until it is complete; "
            "`risk-daemon-admin config rollback` is always allowed.",
            6,
        )


def tried(at: Home, changed: Sequence[PolicyAdopted], accepts: int) -> None:
    """Raise Refused where these policies, in force for all at once, would trip too many accounts.

    Raises NotReachable where no daemon runs: of what nobody can try nothing is known.
    """
    known = daemon.status(at)["accounts"]
    holders = {row["account"]: str(row.get("holder") or "") for row in known}
    judge(_trips(at, changed, holders), len(holders), accepts)


def _trips(at: Home, changed: Sequence[PolicyAdopted], holders: Mapping[int, str]) -> Trips:
    """Ask the workers; an account of which nobody can say is counted: unknown is not passed."""
    mine = {holder: True for number, holder in holders.items() if holder}
    args: dict[str, Any] = {"policies": [msgspec.to_builtins(one) for one in changed]}
    answers = daemon.ask_each(at, list(mine), "try-policies", args, WITHIN_S)
    trips: dict[int, Sequence[str]] = {}
    for one in changed:
        answer = answers.get(holders.get(one.account, ""), NotReachable("nobody holds it"))
        if isinstance(answer, OperatorError):
            trips[one.account] = (f"not known: {answer.sentence}",)
            continue
        found = answer.get("trips", {}).get(str(one.account))
        if found is None:
            trips[one.account] = ("not known: its worker does not name it",)
        elif found:
            trips[one.account] = [str(why) for why in found]
    return trips
