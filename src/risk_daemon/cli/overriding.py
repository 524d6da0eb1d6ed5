"""`override`: one rule off on one account for a while."""

from __future__ import annotations

from typing import Annotated

import typer

from risk_daemon.cli.options import (
    NO_REASON,
    DryRunOption,
    HomeOption,
    JsonOption,
    ReasonOption,
    RuleArgument,
    accounts,
)
from risk_daemon.cli.show import finish
from risk_daemon.operations.daemon import operator
from risk_daemon.operations.home import choose
from risk_daemon.operations.orders import Who

override = typer.Typer(no_args_is_help=True, help="A rule off on one account, for at most a day.")

AccountArgument = Annotated[
    str, typer.Argument(help="Number or name.", show_default=False, autocompletion=accounts)
]


@override.command("disable")
def disable(
    account: AccountArgument,
    rule: RuleArgument,
    duration: Annotated[
        str, typer.Option("--duration", help="How long from now: 30m, 2h, at most 1d.")
    ],
    reason: ReasonOption,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Switch a rule off on one account for a while; it comes back by itself.

    It makes looser: a second person agrees with `config approve`, or it waits for the next trade
    day, or its time is over before. No lock ends by it; the kill switch can't be overridden.

    \b
    Examples:
      risk-daemon-admin override disable 1001 max-contracts --duration 30m --reason "roll"
      risk-daemon-admin override disable NORTH-1 max-contracts --duration 2h --reason x --dry-run
    """
    from risk_daemon.operations.changing import overriding

    who = Who(operator(), reason)
    finish(
        as_json,
        lambda: overriding.disable(choose(home), account, rule, duration, who, dry_run=dry_run),
    )


@override.command("list")
def show(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show what is off, or waits to be: on whom, by whom, until when.

    \b
    Examples:
      risk-daemon-admin override list
    """
    from risk_daemon.operations.changing import overriding

    finish(as_json, lambda: overriding.show(choose(home)))


@override.command("clear")
def clear(
    account: AccountArgument,
    rule: RuleArgument,
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """End an override before its time; the rule acts again at once.

    \b
    Examples:
      risk-daemon-admin override clear 1001 max-contracts --reason "roll is done"
    """
    from risk_daemon.operations.changing import overriding

    who = Who(operator(), reason)
    finish(as_json, lambda: overriding.clear(choose(home), account, rule, who, dry_run=dry_run))
