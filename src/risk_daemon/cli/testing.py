"""The smoke lines and the checks of state: `test-…`, `reconcile-state`, `verify-…`."""

from __future__ import annotations

from typing import Annotated

import typer

from risk_daemon.cli.options import NO_REASON, HomeOption, JsonOption, ReasonOption
from risk_daemon.cli.show import finish
from risk_daemon.clock import Clock
from risk_daemon.errors import UsageError
from risk_daemon.operations.home import choose
from risk_daemon.operations.outcome import Outcome


def connection(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """REST, login and both hubs by an active probe, per login. Exit 1 if any login is blind.

    \b
    Examples:
      risk-daemon-admin test-connection
    """
    from risk_daemon.operations.accounts import smoke

    finish(as_json, lambda: smoke.connection(choose(home)))


def rule(
    name: Annotated[str | None, typer.Argument(metavar="[RULE]", help="Name of a rule.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every rule.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """A generated breach and a near miss against the rule, in the release that holds each account.

    On a copy of the account's state, with its real limits; nothing reaches the broker.

    \b
    Examples:
      risk-daemon-admin test-rule max-contracts
      risk-daemon-admin test-rule --all
    """
    from risk_daemon.operations.accounts import smoke

    def act() -> Outcome:
        if (name is None) != every:
            raise UsageError("name one RULE, or give --all.")
        return smoke.rule(choose(home), name)

    finish(as_json, act)


def persistence(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Write a promise, read it over a second connection and in a process of its own.

    Also follows the chain of records and looks at the free space.

    \b
    Examples:
      risk-daemon-admin test-persistence
    """
    from risk_daemon.operations.accounts import smoke

    finish(as_json, lambda: smoke.persistence(choose(home)))


def reconcile(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Read every account from the broker, compare, repair our view (never the broker's).

    \b
    Examples:
      risk-daemon-admin reconcile-state
    """
    from risk_daemon.operations.accounts import truth

    finish(as_json, lambda: truth.reconcile(choose(home)))


def verify(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Rebuild every account's state from the journal and compare it with its holder's.

    \b
    Examples:
      risk-daemon-admin verify-state
    """
    from risk_daemon.operations.accounts import truth

    finish(as_json, lambda: truth.verify(choose(home)))


def database(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Look at the whole state file: version, pages, the chain of records, its tables.

    Reads only, beside a running daemon or without one. Exit 1 if anything is damaged,
    5 if there is no file.

    \b
    Examples:
      risk-daemon-admin verify-db
    """
    from risk_daemon.operations.backup import database as operations

    finish(as_json, lambda: operations.verify(choose(home), Clock()))


db = typer.Typer(no_args_is_help=True, help="The state file's schema.")


@db.callback()
def _db() -> None:
    """Keep `rollback` a word of its own, while it is the only one."""


@db.command("rollback")
def database_rollback(
    to_version: Annotated[int, typer.Option("--to-version", help="A schema of the state file.")],
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say why the state file need not go back with a release, with the proof; changes nothing.

    Exit 3 where a release of that schema, or one in use here, could not use the file.

    \b
    Examples:
      risk-daemon-admin db rollback --to-version 5
    """
    from risk_daemon.operations.releases import db_rollback

    del reason  # taken, so that the line may give one; nothing changes that could be recorded
    finish(as_json, lambda: db_rollback.rollback(choose(home), to_version))
