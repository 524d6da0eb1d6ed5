"""`backup` and `restore`: what survives a disk, and how it comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from risk_daemon.cli.options import (
    NO_REASON,
    ByOption,
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
from risk_daemon.operations.home import choose
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import Outcome

backup = typer.Typer(no_args_is_help=True, help="Backups: make, list, verify, remove old ones.")

KEEP = 14


@backup.command("create")
def create(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Make a backup of state, locks and configuration, and restore it once to be sure.

    Beside a running daemon or without one. Keys are not in it. Exit 1 if it does not restore.

    \b
    Examples:
      risk-daemon-admin backup create
    """
    from risk_daemon.operations.backup import backups

    finish(as_json, lambda: backups.create(choose(home), Clock()))


@backup.command("list")
def show(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List every backup, newest first, and whether it was ever restored.

    \b
    Examples:
      risk-daemon-admin backup list
    """
    from risk_daemon.operations.backup import backups

    finish(as_json, lambda: backups.show(choose(home), Clock()))


@backup.command("verify")
def verify(
    file: Annotated[Path | None, typer.Argument(help="A backup; else the newest.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore a backup into a throw-away home, look at every page, replay every decision.

    \b
    Examples:
      risk-daemon-admin backup verify
    """
    from risk_daemon.operations.backup import backups

    finish(as_json, lambda: backups.verify(choose(home), file, Clock()))


@backup.command("prune")
def prune(
    keep: Annotated[int, typer.Option("--keep", help="How many of the newest stay.")] = KEEP,
    yes: YesOption = False,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Remove old backups; the newest verified one always stays.

    \b
    Examples:
      risk-daemon-admin backup prune --keep 30 --yes
    """
    from risk_daemon.operations.backup import backups

    if not dry_run:
        confirm(f"Remove all backups but the newest {keep}?", yes)
    finish(as_json, lambda: backups.prune(choose(home), keep, dry_run=dry_run))


def restore(
    backup_file: Annotated[
        Path | None,
        typer.Option("--backup-file", help="Put this backup in place of state and configuration."),
    ] = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Make a sound state of the newest verified backup and what is left."
        ),
    ] = False,
    config: Annotated[
        bool, typer.Option("--config", help="Write back the configuration that was in force last.")
    ] = False,
    elsewhere: Annotated[
        bool,
        typer.Option("--from-elsewhere", help="Take a backup of another host or environment."),
    ] = False,
    reason: ReasonOption = NO_REASON,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring back state or configuration: verified first, then put in place in one move.

    State only while nothing runs (`stop` first). What stood there is kept in set-aside/. No lock
    is lost or shortened; whoever enforced before can't any more.

    \b
    Examples:
      risk-daemon-admin restore --backup-file backups/backup-20261126T190000000Z.zip
      risk-daemon-admin restore --rebuild
      risk-daemon-admin restore --config
    """
    from risk_daemon.operations.backup import restoring
    from risk_daemon.operations.changing import restored_config

    who = Who(by or operator(), reason)

    def act() -> Outcome:
        if [backup_file is not None, rebuild, config].count(True) != 1:
            raise UsageError("give one of --backup-file FILE, --rebuild and --config.")
        at = choose(home)
        if config:
            return restored_config.write_back(at, who, Clock(), dry_run=dry_run)
        if rebuild:
            return restoring.rebuild(at, who, Clock(), dry_run=dry_run)
        assert backup_file is not None
        return restoring.from_backup(
            at, backup_file, who, Clock(), elsewhere=elsewhere, dry_run=dry_run
        )

    finish(as_json, act)
