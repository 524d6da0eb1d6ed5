"""`status`, `health`, `why`: for people who want to know."""

from __future__ import annotations

from typing import Annotated

import typer

from risk_daemon.cli.options import HomeOption, JsonOption
from risk_daemon.cli.show import finish
from risk_daemon.operations.home import choose


def status(
    home: HomeOption = None,
    show_events: Annotated[
        bool, typer.Option("--show-events", help="Also the latest records of the stream.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Accounts, processes and the stream. Exit 0 healthy, 3 degraded, 1 down.

    With the daemon down it answers from the state file, and says so.

    \b
    Examples:
      risk-daemon-admin status
      risk-daemon-admin status --show-events
    """
    from risk_daemon.operations import looking

    finish(as_json, lambda: looking.status(choose(home), show_events=show_events))


def health(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """What http://localhost:8080/health says, with an exit code: 0 healthy, 3 degraded, 1 down.

    \b
    Examples:
      risk-daemon-admin health
      risk-daemon-admin health --json
    """
    from risk_daemon.operations import looking

    finish(as_json, lambda: looking.health(choose(home)))


def why(
    account: Annotated[str, typer.Argument(help="Number or name of the account.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Why an account was flattened or locked, and until when.

    \b
    Examples:
      risk-daemon-admin why 1001
      risk-daemon-admin why test_trader_1
    """
    from risk_daemon.operations import looking

    finish(as_json, lambda: looking.why(choose(home), account))
