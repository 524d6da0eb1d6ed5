"""`config`: the files, what is in force, and how they change."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from risk_daemon.cli.options import (
    NO_REASON,
    AcceptTripsOption,
    ByOption,
    DryRunOption,
    HomeOption,
    JsonOption,
    ReasonOption,
    RuleArgument,
)
from risk_daemon.cli.show import finish
from risk_daemon.operations.daemon import operator
from risk_daemon.operations.home import choose
from risk_daemon.operations.orders import Who

config = typer.Typer(no_args_is_help=True, help="Rules and settings: look, change, reload.")

AccountArgument = Annotated[
    str, typer.Argument(help="Number or name of the account, or all.", show_default=False)
]


class Telling(StrEnum):
    """What a rule does that doesn't act."""

    ALERT = "alert"
    SHADOW = "shadow"


@config.command("validate")
def validate(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Judge the files as a whole: every error with file, line, value and what is allowed.

    \b
    Examples:
      risk-daemon-admin config validate
    """
    from risk_daemon.operations.changing import policy

    finish(as_json, lambda: policy.validate(choose(home)))


@config.command("show")
def show(
    effective: Annotated[
        bool, typer.Option("--effective", help="What is in force, with every default.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the files say, rule by rule.

    \b
    Examples:
      risk-daemon-admin config show
      risk-daemon-admin config show --effective
    """
    from risk_daemon.operations.changing import policy

    finish(as_json, lambda: policy.show(choose(home), effective=effective))


@config.command("diff")
def diff(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Compare the files with what is in force: tighter, looser or other, and from when.

    \b
    Examples:
      risk-daemon-admin config diff
    """
    from risk_daemon.operations.changing import policy

    finish(as_json, lambda: policy.diff(choose(home)))


@config.command("preview")
def preview(
    version: Annotated[str, typer.Argument(help="A release staged in this home, like v1.3.0.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show each value of this configuration that another release would read otherwise.

    Exit 3 if it can't read the files at all. Changes nothing.

    \b
    Examples:
      risk-daemon-admin config preview v1.3.0
    """
    from risk_daemon.operations.changing import upgrading

    finish(as_json, lambda: upgrading.preview(choose(home), version))


@config.command("reload")
def reload(
    reason: ReasonOption = NO_REASON,
    accept_trips: AcceptTripsOption = 0,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have the running daemon read its policy again; an invalid file changes nothing.

    What tightens one account applies now. What loosens, and what changes all accounts,
    waits for the next trade day. Nothing unlocks.

    \b
    Examples:
      risk-daemon-admin config reload --reason "smaller size before the holiday"
    """
    from risk_daemon.operations.changing import policy

    who = Who(operator(), reason)
    finish(as_json, lambda: policy.reload(choose(home), who, dry_run=dry_run, accepts=accept_trips))


@config.command("approve")
def approve(
    account: AccountArgument,
    reason: ReasonOption,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put into force now what waits for the next trade day, as a second person.

    Whoever asked for the change can't approve it. Ends no lock.

    \b
    Examples:
      risk-daemon-admin config approve 1001 --by anna --reason "agreed with the desk"
      risk-daemon-admin config approve all --by anna --reason "holiday" --dry-run
    """
    from risk_daemon.operations.changing import policy

    who = Who(by or operator(), reason)
    finish(as_json, lambda: policy.approve(choose(home), account, who, dry_run=dry_run))


@config.command("history")
def show_history(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many of the newest.")] = 20,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the commits of the configuration, and which of them is in force.

    \b
    Examples:
      risk-daemon-admin config history
      risk-daemon-admin config history --limit 100 --json
    """
    from risk_daemon.operations.changing import commits

    finish(as_json, lambda: commits.history(choose(home), limit))


CommitOption = Annotated[
    str,
    typer.Option(
        "--to-commit", help="A tag, or the beginning of a commit's id.", show_default=False
    ),
]


@config.command("apply")
def apply(
    to_commit: CommitOption,
    reason: ReasonOption = NO_REASON,
    accept_trips: AcceptTripsOption = 0,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take the files of a commit: tighter at once, looser at the next trade day.

    \b
    Examples:
      risk-daemon-admin config apply --to-commit abc123 --dry-run
    """
    from risk_daemon.operations.changing import commits

    who = Who(operator(), reason)
    finish(
        as_json,
        lambda: commits.apply(choose(home), to_commit, who, dry_run=dry_run, accepts=accept_trips),
    )


@config.command("rollback")
def rollback(
    to_commit: CommitOption,
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put the policy of a commit into force at once, also where it is looser.

    Unlocks nothing, and flattens nobody by itself. Hand edits are committed first.

    \b
    Examples:
      risk-daemon-admin config rollback --to-commit abc123
      risk-daemon-admin config rollback --to-commit before-holiday --dry-run
    """
    from risk_daemon.cli.patience import waiting
    from risk_daemon.operations.changing import commits
    from risk_daemon.operations.rollouts import deploying

    at, who = choose(home), Who(operator(), reason)
    finish(
        as_json,
        lambda: commits.rollback(
            at,
            to_commit,
            who,
            dry_run=dry_run,
            ends=lambda: deploying.end_configuration(at, who, waiting()),
        ),
    )


@config.command("set-rule")
def set_rule(
    account: AccountArgument,
    rule: RuleArgument,
    values: Annotated[
        list[str], typer.Argument(metavar="KEY=VALUE...", help="What to set.", show_default=False)
    ],
    reason: ReasonOption = NO_REASON,
    accept_trips: AcceptTripsOption = 0,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Set parameters of a rule in the account's file (all: in the policy), commit, reload.

    \b
    Examples:
      risk-daemon-admin config set-rule 1001 max-contracts limit=3
      risk-daemon-admin config set-rule all daily-combined-loss limit=500.00 --dry-run
    """
    from risk_daemon.operations.changing import editing

    who = Who(operator(), reason)
    finish(
        as_json,
        lambda: editing.set_rule(
            choose(home), account, rule, values, who, dry_run=dry_run, accepts=accept_trips
        ),
    )


@config.command("enable-rule")
def enable_rule(
    account: AccountArgument,
    rule: RuleArgument,
    reason: ReasonOption = NO_REASON,
    accept_trips: AcceptTripsOption = 0,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let a rule act on an account.

    \b
    Examples:
      risk-daemon-admin config enable-rule 1001 daily-combined-loss
    """
    from risk_daemon.operations.changing import editing

    who = Who(operator(), reason)
    finish(
        as_json,
        lambda: editing.set_mode(
            choose(home), account, rule, "enforce", who, dry_run=dry_run, accepts=accept_trips
        ),
    )


@config.command("disable-rule")
def disable_rule(
    account: AccountArgument,
    rule: RuleArgument,
    mode: Annotated[
        Telling, typer.Option("--mode", help="Tell someone, or only record.")
    ] = Telling.ALERT,
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let a rule act no more: it still decides, and tells. Ends no lock; waits for the next day.

    \b
    Examples:
      risk-daemon-admin config disable-rule 1001 daily-combined-loss --reason "trial account"
    """
    from risk_daemon.operations.changing import editing

    who = Who(operator(), reason)
    finish(
        as_json,
        lambda: editing.set_mode(choose(home), account, rule, mode.value, who, dry_run=dry_run),
    )
