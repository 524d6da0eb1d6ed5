"""`service`: the daemon under a service manager."""

from __future__ import annotations

from enum import StrEnum
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
from risk_daemon.operations.daemon import operator
from risk_daemon.operations.home import choose
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import Outcome

service = typer.Typer(no_args_is_help=True, help="Started at boot, watched, restarted.")


class Keeper(StrEnum):
    """Who starts the daemon at boot."""

    SYSTEMD = "systemd"
    NSSM = "nssm"


KeeperOption = Annotated[
    Keeper | None, typer.Option("--with", help="Else the platform's: systemd, or nssm.")
]


@service.command("install")
def install(
    name: Annotated[
        str | None, typer.Option("--name", help="Of the service; else risk-daemon[-ENVIRONMENT].")
    ] = None,
    keeper: KeeperOption = None,
    units: Annotated[
        Path | None, typer.Option("--units", help="Folder of the units; /etc/systemd/system.")
    ] = None,
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have the daemon started at boot, and its supervisor watched and restarted.

    After three failed restarts people are called. What was switched off on purpose stays off
    until `start`. On Windows it shows NSSM's commands and runs none.

    \b
    Examples:
      risk-daemon-admin service install --dry-run
      risk-daemon-admin service install --home /var/lib/risk-daemon
      risk-daemon-admin service install --with nssm
    """
    from risk_daemon.operations.running import service as operations

    who = Who(operator(), reason)
    kind = keeper.value if keeper else operations.of_platform()
    place = units or operations.UNITS
    finish(
        as_json,
        lambda: operations.install(choose(home), name, kind, place, who, dry_run=dry_run),
    )


@service.command("uninstall")
def uninstall(
    keeper: KeeperOption = None,
    reason: ReasonOption = NO_REASON,
    yes: YesOption = False,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Stop the daemon and take the service away. Journal, locks and configuration stay.

    Open positions stay open, and nobody protects them: `emergency flatten-all` closes them first.

    \b
    Examples:
      risk-daemon-admin service uninstall --dry-run
      risk-daemon-admin service uninstall --reason "moving to another machine" --yes
    """
    from risk_daemon.operations.running import service as operations

    kind = keeper.value if keeper else operations.of_platform()

    def act() -> Outcome:
        at = choose(home)
        if not dry_run and kind != operations.NSSM and operations.installed(at) is not None:
            held = operations.open_positions(at)
            what = f" OPEN: {'; '.join(held)}." if held else ""
            confirm(f"Stop the daemon and remove its service?{what} Nothing protects it then.", yes)
        return operations.uninstall(at, kind, Who(operator(), reason), dry_run=dry_run)

    finish(as_json, act)


@service.command("status")
def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Does the service run, and is its unit what this release would write? Exit 1 if not.

    \b
    Examples:
      risk-daemon-admin service status
    """
    from risk_daemon.operations.running import service as operations

    finish(as_json, lambda: operations.status(choose(home)))


@service.command("may-start", hidden=True)
def may_start(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Tell the service manager whether the daemon may be started: exit 3 if it was switched off."""
    from risk_daemon.operations.running import service as operations

    finish(as_json, lambda: operations.may_start(choose(home)))


@service.command("run", hidden=True)
def run(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Become the supervisor, for a service manager."""
    from risk_daemon.operations.running import service as operations

    finish(as_json, lambda: operations.run(choose(home)))


@service.command("gave-up", hidden=True)
def gave_up(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Call people: the service manager has given up."""
    from risk_daemon.operations.running import service as operations

    finish(as_json, lambda: operations.gave_up(choose(home), Clock()))
