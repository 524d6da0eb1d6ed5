"""`promote` and `rollback`: accounts change their release, each protected by who had it before.

Both are the same lease switch; the words differ, so that people see in the journal what was meant.
"""

from __future__ import annotations

from typing import Any, Final

from risk_daemon.errors import Refused
from risk_daemon.operations import daemon, home
from risk_daemon.operations.accounts.looking import find_account
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import DONE, FAILED, Outcome
from risk_daemon.operations.releases import fitting, under_way
from risk_daemon.operations.rollouts import deploying
from risk_daemon.operations.running.lifecycle import Waiting
from risk_daemon.operations.words import count, duration

WITHIN_S: Final = 90.0
PRODUCTION: Final = "production"
STATUS: Final = "risk-daemon-admin status"


def move(
    at: Home, release: str, account: str | None, who: Who, *, dry_run: bool, is_back: bool
) -> Outcome:
    """Give one account, or all, to a release; one line per account, with its gap.

    `is_back`: it is a way back, which nothing unknown may hold up.
    """
    about = home.read(at)
    chosen = [] if account is None else [find_account(at, account)[0]]
    if about.environment == PRODUCTION and not is_back:
        raise Refused(
            "in a production home accounts go to a release by a rollout: "
            "`scripts/deploy_canary.sh --account ACCOUNT`; nothing was moved. "
            "`risk-daemon-admin rollback` is always allowed."
        )
    rows = daemon.status(at).get("accounts", [])
    rows = [row for row in rows if not chosen or row["account"] in chosen]
    fitting.refuse_unfit(at, release, is_back=is_back)
    if dry_run:
        lines = tuple(_would(row, release) for row in rows)
        data = {"release": release, "accounts": [row["account"] for row in rows]}
        return Outcome(lines, data=data, notes=("nothing was done",))
    asked = {"release": release, "accounts": chosen, "by": who.by, "reason": who.reason}
    answer = daemon.ask(at, daemon.SUPERVISOR, "move", asked | {"is_back": is_back}, WITHIN_S)
    found: list[dict[str, Any]] = answer.get("accounts", [])
    done = [row for row in found if row["moved"] and not row["why"]]
    lines = tuple(_line(row, release) for row in found)
    below = (f"{len(done)} of {count(len(found), 'account')} held by {release}",)
    code = DONE if len(done) == len(found) else FAILED
    return Outcome(lines, code, dict(answer), next_command=STATUS, below=below)


def rollback_all(at: Home, release: str, who: Who, waiting: Waiting, *, dry_run: bool) -> Outcome:
    """Give every account back: through the rollout that moved them, if that is its way back.

    So it ends too, and every account is looked at; without one, each is simply moved.
    """
    home.read(at)
    found = under_way.standing(at)
    if found and not under_way.is_back(found) and found["fallback"] == release:
        return deploying.abort(at, who, waiting, dry_run=dry_run)
    return move(at, release, None, who, dry_run=dry_run, is_back=True)


def retire(at: Home, release: str, who: Who, *, dry_run: bool) -> Outcome:
    """Stop the workers of a release that holds no account; it can be warmed again."""
    home.read(at)
    if dry_run:
        return Outcome((f"{release}: its workers would be stopped",), notes=("nothing was done",))
    asked = {"release": release, "by": who.by, "reason": who.reason}
    answer = daemon.ask(at, daemon.SUPERVISOR, "retire", asked, WITHIN_S)
    running = ", ".join(answer.get("releases", []))
    return Outcome((f"{release}: retired; warm: {running}",), data=answer, next_command=STATUS)


def _would(row: dict[str, Any], release: str) -> str:
    if row["release"] == release:
        return f"{row['account']}: held by {release} already"
    return f"{row['account']}: would go from {row['release']} to {release}"


def _line(row: dict[str, Any], release: str) -> str:
    if not row["moved"]:
        return f"{row['account']}: stays where it is: {row['why']}"
    gap = f", handed over in {duration(row['gap_ms'])}" if row.get("gap_ms") is not None else ""
    unsure = f"; {row['why']}" if row["why"] else ""
    by = f"{row['holder']}, epoch {row['epoch']}"
    return f"{row['account']}: held by {release} ({by}){gap}{unsure}"
