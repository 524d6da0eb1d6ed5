"""`status`, `health`, `why`: for people who want to know."""

from __future__ import annotations

from typing import Annotated

import typer

from risk_daemon.cli.options import HomeOption, JsonOption, accounts
from risk_daemon.cli.show import finish
from risk_daemon.clock import Clock
from risk_daemon.operations.home import choose
from risk_daemon.operations.outcome import Outcome


def status(
    home: HomeOption = None,
    show_events: Annotated[
        bool, typer.Option("--show-events", help="Also the latest records of the stream.")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Again every second, until Ctrl-C (exit 0).")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Accounts, processes and the stream. Exit 0 healthy, 3 degraded, 1 down.

    With the daemon down it answers from the state file, and says so.
    With --watch --json it writes one JSON object per line.

    \b
    Examples:
      risk-daemon-admin status
      risk-daemon-admin status --show-events
      risk-daemon-admin status --watch
    """
    from risk_daemon.operations.accounts import looking

    def look() -> Outcome:
        return looking.status(choose(home), show_events=show_events)

    if watch:
        from risk_daemon.cli import watching

        watching.watch(as_json, look, Clock())
    finish(as_json, look)


def health(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """What http://localhost:8080/health says, with an exit code: 0 healthy, 3 degraded, 1 down.

    \b
    Examples:
      risk-daemon-admin health
      risk-daemon-admin health --json
    """
    from risk_daemon.operations.accounts import looking

    finish(as_json, lambda: looking.health(choose(home)))


def why(
    account: Annotated[
        str, typer.Argument(help="Number or name of the account.", autocompletion=accounts)
    ],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Why an account was flattened or locked, and until when.

    \b
    Examples:
      risk-daemon-admin why 1001
      risk-daemon-admin why test_trader_1
    """
    from risk_daemon.operations.accounts import looking

    finish(as_json, lambda: looking.why(choose(home), account))
