"""`promote`, `rollback`, `hand-over`: which release holds which account, and runs as what."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from risk_daemon.cli.options import (
    NO_REASON,
    DryRunOption,
    HomeOption,
    JsonOption,
    OneOption,
    ReasonOption,
)
from risk_daemon.cli.show import finish
from risk_daemon.errors import UsageError
from risk_daemon.operations.daemon import operator
from risk_daemon.operations.home import choose
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import Outcome

VersionOption = Annotated[
    str, typer.Option("--to-version", help="The release that is to hold them.")
]
#: A process that ends within a few seconds of its start would do so at every start.
STAYS_S = 5.0
AllOption = Annotated[bool, typer.Option("--all", help="Every account of this home.")]


def promote(
    to_version: VersionOption,
    account: OneOption = None,
    every: AllOption = False,
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give an account, or all, to another release, protected throughout.

    Its workers are started and warmed first. An account is handed over only where both
    releases show the same state; the one that had it stays warm, for `rollback`.

    \b
    Examples:
      risk-daemon-admin promote --account 1001 --to-version v1.3.0
      risk-daemon-admin promote --all --to-version v1.3.0
    """
    finish(as_json, lambda: _move(home, to_version, account, every, reason, dry_run, is_back=False))


def rollback(
    to_version: VersionOption,
    account: OneOption = None,
    every: AllOption = False,
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give an account, or all, back to an earlier release; at any time, repeatable.

    \b
    Examples:
      risk-daemon-admin rollback --account 1001 --to-version v1.2.0
      risk-daemon-admin rollback --all --to-version v1.2.0
    """
    finish(as_json, lambda: _move(home, to_version, account, every, reason, dry_run, is_back=True))


def retire(
    version: Annotated[str, typer.Argument(help="The release whose workers are to stop.")],
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Stop the workers of a release that holds no account.

    \b
    Examples:
      risk-daemon-admin retire v1.3.0
    """
    from risk_daemon.operations.rollouts import moving

    who = Who(operator(), reason)
    finish(as_json, lambda: moving.retire(choose(home), version, who, dry_run=dry_run))


def hand_over(
    to_version: Annotated[str, typer.Option("--to-version", help="The release to run as.")],
    stays: Annotated[
        float, typer.Option("--stays", help="Seconds for which each is watched before the next.")
    ] = STAYS_S,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have journal, links, console and supervisor run as the release that holds the accounts.

    It first restores a backup made now and translates the last messages of each login: what
    comes out otherwise is refused. Then one after the other; one that fails becomes what it was.

    \b
    Examples:
      risk-daemon-admin hand-over --to-version v1.3.0 --dry-run
      risk-daemon-admin hand-over --to-version v1.3.0
    """
    from risk_daemon.cli.patience import waiting
    from risk_daemon.operations.rollouts import handing_over

    finish(
        as_json,
        lambda: handing_over.hand_over(
            choose(home), to_version, waiting(), stays_s=stays, dry_run=dry_run
        ),
    )


def _move(
    home: Path | None,
    release: str,
    account: str | None,
    every: bool,
    reason: str,
    dry_run: bool,
    *,
    is_back: bool,
) -> Outcome:
    from risk_daemon.cli.patience import waiting
    from risk_daemon.operations.rollouts import moving

    if (account is None) != every:
        raise UsageError("say either --account NUMBER for one account, or --all for every one.")
    who = Who(operator(), reason)
    if is_back and every:
        return moving.rollback_all(choose(home), release, who, waiting(), dry_run=dry_run)
    return moving.move(choose(home), release, account, who, dry_run=dry_run, is_back=is_back)
