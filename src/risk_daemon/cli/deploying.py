"""`deploy`: a release goes to one account, then to more of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from risk_daemon.cli.options import (
    NO_REASON,
    ByOption,
    DryRunOption,
    EmergencyOption,
    HomeOption,
    JsonOption,
    ReasonOption,
    accounts,
)
from risk_daemon.cli.show import finish
from risk_daemon.clock import Clock
from risk_daemon.operations.daemon import operator
from risk_daemon.operations.home import choose
from risk_daemon.operations.orders import Who

deploy = typer.Typer(no_args_is_help=True, help="A release to some accounts, then to more.")


@deploy.command("plan")
def plan(
    version: Annotated[
        str | None, typer.Argument(help="The release to roll out, staged in this home.")
    ] = None,
    to_commit: Annotated[
        str,
        typer.Option("--to-commit", help="A configuration alone: a commit's id, or its tag."),
    ] = "",
    accept_trips: Annotated[
        int, typer.Option("--accept-trips", min=0, help="So many accounts may trip at once.")
    ] = 0,
    account: Annotated[
        list[str] | None,
        typer.Option("--account", help="A test account that goes first.", autocompletion=accounts),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="A plan in YAML; else config/rollout.yaml.")
    ] = None,
    emergency: EmergencyOption = False,
    reason: ReasonOption = NO_REASON,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make the plan of a rollout, and say what is foreseen of each phase.

    Who goes when is decided here and stored; nothing is moved. An emergency is asked for a
    signature only, its canary is looked at for five minutes, then it goes to all; what it leaves
    out is said here and shown to its end.

    \b
    Examples:
      risk-daemon-admin deploy plan v1.3.0 --account TEST-1 --dry-run
      risk-daemon-admin deploy plan v1.3.0 --file rollout.yaml
      risk-daemon-admin deploy plan --to-commit tighter --account TEST-1
      risk-daemon-admin deploy plan v1.3.1 --account TEST-1 --emergency --reason "v1.3.0 is wrong"
    """
    from risk_daemon.operations.rollouts import deploy_plan

    who = Who(by or operator(), reason)
    wanted = deploy_plan.Wanted(
        version=version or "",
        to_commit=to_commit,
        tests=tuple(account or ()),
        file=file,
        is_emergency=emergency,
        accepts=accept_trips,
    )
    finish(
        as_json,
        lambda: deploy_plan.plan(choose(home), wanted, who, Clock(), dry_run=dry_run),
    )


@deploy.command("gates")
def gates(
    version: Annotated[str, typer.Argument(help="A release that is staged in this home.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what each gate before the start says, and what would measure those that are red.

    Exit 3 while one is red. No daemon is needed.

    \b
    Examples:
      risk-daemon-admin deploy gates v1.3.0
      risk-daemon-admin deploy gates v1.3.0 --json
    """
    from risk_daemon.operations.rollouts import before

    finish(as_json, lambda: before.show(choose(home), version, Clock()))


@deploy.command("staging")
def staging(
    version: Annotated[
        str, typer.Option("--version", help="A release of the depot; else the newest, or yours.")
    ] = "",
    key: Annotated[
        Path | None,
        typer.Option("--key", help="Signs a release of a checkout; else RISK_DAEMON_RELEASE_KEY."),
    ] = None,
    gateway: Annotated[
        str | None, typer.Option("--gateway", help="Address of the test broker; else production's.")
    ] = None,
    reason: ReasonOption = NO_REASON,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a release in the staging home, look at it, and say which gates are still red.

    In a checkout a release is made of what is committed. The staging home is
    RISK_DAEMON_STAGING_HOME, else /staging, else `staging` beside the production home. Its user is
    that of PROJECT_X_USERNAME; without one of its own it runs on the simulated gateway.

    \b
    Examples:
      risk-daemon-admin deploy staging
      risk-daemon-admin deploy staging --version v1.3.0 --dry-run
    """
    from risk_daemon.cli.patience import waiting
    from risk_daemon.operations.staging import deploy_staging

    who = Who(by or operator(), reason)
    wish = deploy_staging.Wish(version, key, gateway)
    finish(
        as_json,
        lambda: deploy_staging.run(choose(home), wish, who, waiting(), dry_run=dry_run),
    )


@deploy.command("canary")
def canary(
    account: Annotated[
        str,
        typer.Option("--account", help="Number or name of the account.", autocompletion=accounts),
    ],
    version: Annotated[
        str | None, typer.Option("--version", help="The release; else the newest that is staged.")
    ] = None,
    emergency: EmergencyOption = False,
    reason: ReasonOption = NO_REASON,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Decide in shadow on every account, then give this one to the new release.

    \b
    Examples:
      risk-daemon-admin deploy canary --account TEST-1
      risk-daemon-admin deploy canary --account TEST-1 --version v1.3.0 --dry-run
      risk-daemon-admin deploy canary --account TEST-1 --emergency --reason "v1.3.0 is wrong"
    """
    from risk_daemon.cli.patience import waiting
    from risk_daemon.operations.rollouts import deploying

    who = Who(by or operator(), reason)
    finish(
        as_json,
        lambda: deploying.canary(
            choose(home),
            account,
            version,
            who,
            waiting(),
            dry_run=dry_run,
            is_emergency=emergency,
        ),
    )


@deploy.command("percentage")
def percentage(
    percent: Annotated[int, typer.Option("--percent", help="A percentage of the plan.")],
    reason: ReasonOption = NO_REASON,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Enter the next phase: accounts up to that percentage of the stored plan.

    \b
    Examples:
      risk-daemon-admin deploy percentage --percent 10
    """
    from risk_daemon.cli.patience import waiting
    from risk_daemon.operations.rollouts import deploying

    who = Who(by or operator(), reason)
    finish(
        as_json,
        lambda: deploying.percentage(choose(home), percent, who, waiting(), dry_run=dry_run),
    )


@deploy.command("stop")
def stop(
    reason: ReasonOption = NO_REASON,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Freeze: nothing more is switched, nobody is moved; at any time, repeatable.

    \b
    Examples:
      risk-daemon-admin deploy stop --reason "too many alarms"
    """
    from risk_daemon.operations.rollouts import deploying

    who = Who(by or operator(), reason)
    finish(as_json, lambda: deploying.stop(choose(home), who, dry_run=dry_run))
