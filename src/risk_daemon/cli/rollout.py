"""`rollout`: a release on its way to the accounts."""

from __future__ import annotations

from typing import Annotated

import typer

from risk_daemon.cli.options import HomeOption, JsonOption
from risk_daemon.cli.show import finish
from risk_daemon.operations.home import choose

rollout = typer.Typer(no_args_is_help=True, help="A release on its way to the accounts.")

OneOption = Annotated[str | None, typer.Option("--account", help="Number or name of one account.")]


@rollout.command("diff")
def diff(account: OneOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Tell what two releases decided differently on the same records, and what covers each rule.

    Each warm release decides every record beside the one that holds the account. Exit 1 if
    anything differs that the release does not declare.

    \b
    Examples:
      risk-daemon-admin rollout diff
      risk-daemon-admin rollout diff --account 1001 --json
    """
    from risk_daemon.operations import differences

    finish(as_json, lambda: differences.diff(choose(home), account))
