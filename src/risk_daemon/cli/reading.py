"""`logs`: what the processes said, and what was enforced."""

from __future__ import annotations

from typing import Annotated

import typer

from risk_daemon.cli.options import HomeOption, JsonOption
from risk_daemon.cli.show import finish
from risk_daemon.operations.home import choose

logs = typer.Typer(no_args_is_help=True, help="What the processes said, what was enforced.")

LinesOption = Annotated[int, typer.Option("--lines", min=1, max=1_000, help="How many, at most.")]


@logs.command("tail")
def tail(lines: LinesOption = 20, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the latest lines of all processes, with exchange time and local time.

    \b
    Examples:
      risk-daemon-admin logs tail --lines 50
    """
    from risk_daemon.operations.accounts import logs as operations

    finish(as_json, lambda: operations.tail(choose(home), lines))


@logs.command("errors")
def errors(lines: LinesOption = 20, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the latest warnings and errors of all processes.

    \b
    Examples:
      risk-daemon-admin logs errors
    """
    from risk_daemon.operations.accounts import logs as operations

    finish(as_json, lambda: operations.tail(choose(home), lines, errors=True))


@logs.command("enforcement")
def enforcement(
    lines: LinesOption = 20, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Show the latest breaches, locks, goals and requests, from the journal.

    \b
    Examples:
      risk-daemon-admin logs enforcement --lines 100
    """
    from risk_daemon.operations.accounts import logs as operations

    finish(as_json, lambda: operations.enforcement(choose(home), lines))
