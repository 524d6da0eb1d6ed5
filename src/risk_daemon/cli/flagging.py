"""`flag`: rules in another mode for a while."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from risk_daemon.cli.options import (
    NO_REASON,
    AcceptTripsOption,
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

flag = typer.Typer(
    no_args_is_help=True, help="Rules in another mode for a while: list, set, clear."
)


class Mode(StrEnum):
    """What a rule does with what it finds."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    ALERT = "alert"


@flag.command("list")
def show(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show every flag that is not over: on whom it is in force, whose it is, until when.

    \b
    Examples:
      risk-daemon-admin flag list
    """
    from risk_daemon.operations.changing import flagging

    finish(as_json, lambda: flagging.show(choose(home)))


@flag.command("set")
def put(
    rule: RuleArgument,
    mode: Annotated[Mode, typer.Option("--mode", help="Act, only record, or only tell.")],
    owner: Annotated[str, typer.Option("--owner", help="Who answers for it.")],
    until: Annotated[
        str, typer.Option("--until", help="The last trade date on which it holds, YYYY-MM-DD.")
    ],
    account: Annotated[
        str | None,
        typer.Option("--account", help="Number or name of one account.", autocompletion=accounts),
    ] = None,
    percent: Annotated[
        int | None,
        typer.Option("--percent", min=1, max=100, help="A percentage of the accounts."),
    ] = None,
    reason: ReasonOption = NO_REASON,
    accept_trips: AcceptTripsOption = 0,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let a rule enforce, only tell, or only record, on some accounts until a date.

    Tighter applies at once; looser, and what is for all accounts, waits for the next trade day
    or for a second person. Limits stay as they are.

    \b
    Examples:
      risk-daemon-admin flag set no-stop-loss-grace --mode enforce --percent 10 \\
        --owner anna --until 2026-12-31 --reason "trial" --dry-run
    """
    from risk_daemon.operations.changing import flagging

    who = Who(operator(), reason)
    asked = flagging.Asked(
        rule=rule, mode=mode.value, account=account, percent=percent, owner=owner, until=until
    )
    finish(
        as_json,
        lambda: flagging.put(choose(home), asked, who, dry_run=dry_run, accepts=accept_trips),
    )


@flag.command("clear")
def clear(
    rule: RuleArgument,
    account: Annotated[
        str | None,
        typer.Option(
            "--account",
            help="That of this account; else the percentage's.",
            autocompletion=accounts,
        ),
    ] = None,
    reason: ReasonOption = NO_REASON,
    accept_trips: AcceptTripsOption = 0,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """End a flag before its time; the policy's own mode holds again, tighter at once.

    \b
    Examples:
      risk-daemon-admin flag clear no-stop-loss-grace --reason "all is well"
      risk-daemon-admin flag clear max-contracts --account 1001
    """
    from risk_daemon.operations.changing import flagging

    who = Who(operator(), reason)
    finish(
        as_json,
        lambda: flagging.clear(
            choose(home), rule, account, who, dry_run=dry_run, accepts=accept_trips
        ),
    )
