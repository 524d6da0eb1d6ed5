"""A fail-over without a journal: the links keep the leases, and the heir is told by itself.

First every link concerned has the new epoch on its disk and lets nothing older through; only then
does the heir hear of it. The journal takes the leases in when it starts (`journal.segment`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from risk_daemon.core.events import LeaseGranted
from risk_daemon.errors import DaemonError, OperatorError
from risk_daemon.settings import Settings
from risk_daemon.supervisor import promotion
from risk_daemon.supervisor.release import release_of
from risk_daemon.wire.client import ask
from risk_daemon.wire.record import encode

WITHIN_S: Final = 1.0


async def grant(
    run_dir: Path, settings: Settings, wanted: promotion.Grant
) -> tuple[promotion.Lease, ...]:
    """Give accounts to a worker; return the leases. Raises OperatorError where one is not kept."""
    release = release_of(wanted.holder)
    leases = tuple(
        promotion.Lease(account, wanted.holder, epoch + 1, release)
        for account, epoch in wanted.accounts
    )
    for lease in leases:
        fact = LeaseGranted(
            account=lease.account,
            holder=lease.holder,
            release=release,
            epoch=lease.epoch,
            incarnation=0,
        )
        args = {"kind": "lease-granted", "fact": encode(fact)}
        await _say(run_dir, f"link-{_login(settings, lease.account)}", "keep", args)
    pairs = [[lease.account, lease.epoch] for lease in leases]
    await _say(run_dir, wanted.holder, "lease", {"accounts": pairs})
    return leases


def _login(settings: Settings, account: int) -> str:
    return next(login.name for login in settings.logins if account in login.accounts)


async def _say(run_dir: Path, name: str, op: str, args: dict[str, Any]) -> None:
    try:
        answer = await ask(run_dir, name, op, args, WITHIN_S)
    except DaemonError as error:
        raise OperatorError(f"{name} does not answer: {error}") from None
    if not answer.ok:
        raise OperatorError(f"{name}: {answer.error}")
