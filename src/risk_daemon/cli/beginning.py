"""`init`, `start`, `stop`, `restart`: the life of a home."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from risk_daemon.cli.options import (
    NO_REASON,
    DryRunOption,
    HomeOption,
    JsonOption,
    ReasonOption,
    YesOption,
)
from risk_daemon.cli.show import confirm, finish
from risk_daemon.clock import Clock
from risk_daemon.errors import UsageError
from risk_daemon.operations.daemon import operator
from risk_daemon.operations.home import ENVIRONMENTS, choose
from risk_daemon.operations.orders import Who


def init(
    home: HomeOption = None,
    environment: Annotated[
        str | None, typer.Option(help="production, staging or demo.", metavar="NAME")
    ] = None,
    gateway: Annotated[
        str | None, typer.Option(help="The gateway's address; default TopstepX.", metavar="URL")
    ] = None,
    login: Annotated[
        list[str] | None,
        typer.Option(
            help="One user of the broker: NAME:USER:CREDENTIALS:ACCOUNT[,ACCOUNT...]. "
            "CREDENTIALS is env or file:PATH. Repeatable.",
            metavar="LOGIN",
        ),
    ] = None,
    start_balance: Annotated[
        str, typer.Option(help="What the accounts began with.", metavar="AMOUNT")
    ] = "50000.00",
    drawdown: Annotated[
        str, typer.Option(help="How far they may fall from their best.", metavar="AMOUNT")
    ] = "2000.00",
    trust: Annotated[
        list[str] | None,
        typer.Option(
            help="Whose releases it accepts: a public key of minisign, or its file. Repeatable.",
            metavar="KEY",
        ),
    ] = None,
    from_referee: Annotated[Path | None, typer.Option(hidden=True)] = None,
    moved: Annotated[
        bool, typer.Option("--moved", help="The home came from another machine, which is gone.")
    ] = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make a home: its folders, its configuration (a git work tree), and a look at open positions.

    Nothing is traded. Five rules are enforced: size, the day's loss, the drawdown, flat before
    the close, and the kill switch. Limits are in config/policy.yaml: look before `start`.

    \b
    Examples:
      risk-daemon-admin init --environment demo --gateway http://127.0.0.1:8800 \\
          --login alpha:demo_user:file:credentials/alpha.key:1001,1002
      risk-daemon-admin init --environment production --login alpha:me:env:1001 \\
          --start-balance 150000.00 --drawdown 4500.00
      risk-daemon-admin init --environment production --login alpha:me:env:1001 --dry-run
    """
    from risk_daemon.operations.configuration import founding
    from risk_daemon.operations.running import beginnings

    at = choose(home)
    if moved:
        finish(as_json, lambda: beginnings.moved(at))

    def plan() -> founding.Plan:
        if from_referee is not None:
            if gateway is None:
                raise UsageError("--from-referee needs --gateway, the simulated gateway's address.")
            return founding.plan_from_referee(from_referee, gateway)
        name = environment or _ask("environment", "--environment", "Environment")
        if name not in ENVIRONMENTS:
            raise UsageError(f"--environment {name!r} is none of {', '.join(ENVIRONMENTS)}.")
        logins = login or [_ask("login", "--login", f"Login ({founding.LOGIN_FORM})")]
        return founding.plan_from_logins(name, gateway, logins, (start_balance, drawdown))

    now = Clock().now_ns()
    finish(
        as_json,
        lambda: beginnings.init(at, plan(), now, operator(), trust or [], dry_run=dry_run),
    )


def _ask(what: str, flag: str, question: str) -> str:
    """Ask a person; where nobody is there, name the flag."""
    if not sys.stdin.isatty():
        raise UsageError(f"which {what}? There is no terminal to ask on: add {flag}.")
    answer: str = typer.prompt(question)
    return answer


def start(
    home: HomeOption = None,
    reason: ReasonOption = NO_REASON,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for every account.")] = 30.0,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Start the daemon and wait until every account is enforced, or say what is missing.

    Exit 7 if the time is over: what was started goes on, and `start` again waits on.
    Also ends an earlier `stop` or `emergency shutdown`. Starting twice is harmless.

    \b
    Examples:
      risk-daemon-admin start
      risk-daemon-admin start --home /srv/risk --timeout 60
    """
    from risk_daemon.cli.patience import waiting
    from risk_daemon.operations.running import lifecycle

    who = Who(operator(), reason)
    finish(as_json, lambda: lifecycle.start(choose(home), who, waiting(timeout), dry_run=dry_run))


def stop(
    home: HomeOption = None,
    reason: Annotated[str | None, typer.Option("--reason", help="Why; shown everywhere.")] = None,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Switch protection off, durably: nothing starts it again but `start`.

    Positions stay as they are and are listed; `emergency flatten-all` closes them first.

    \b
    Examples:
      risk-daemon-admin stop --reason "moving to another machine"
      risk-daemon-admin stop --yes
    """
    from risk_daemon.operations.accounts import emergency

    if not dry_run and reason is None:
        confirm("Stop the daemon? Nothing will protect the accounts.", yes, "--reason or --yes")
    who = Who(operator(), reason or NO_REASON)
    finish(as_json, lambda: emergency.switch_off(choose(home), who, alarm=False, dry_run=dry_run))


def restart(
    home: HomeOption = None,
    reason: ReasonOption = NO_REASON,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Restart the processes one after the other, protected throughout; shows each one's gap.

    \b
    Examples:
      risk-daemon-admin restart
      ./scripts/restart_daemon.sh
    """
    from risk_daemon.operations.running import lifecycle

    who = Who(operator(), reason)
    finish(as_json, lambda: lifecycle.restart(choose(home), who, dry_run=dry_run))
