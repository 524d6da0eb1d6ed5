"""`dashboard`: who may act on the console's page."""

from __future__ import annotations

import getpass
import sys
from typing import Annotated

import typer

from risk_daemon.cli.options import DryRunOption, HomeOption, JsonOption
from risk_daemon.cli.show import finish
from risk_daemon.errors import UsageError
from risk_daemon.operations.home import choose
from risk_daemon.operations.outcome import Outcome

dashboard = typer.Typer(no_args_is_help=True, help="Who may act on the console's page.")

UserOption = Annotated[str, typer.Option("--user", help="Name of the person, such as anna.")]


@dashboard.command("password")
def password(
    user: UserOption,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Set or change a person's password; it is asked for, or read from the first line of stdin.

    Without one the page only shows. Only a hash is kept, in a file that is its owner's alone.

    \b
    Examples:
      risk-daemon-admin dashboard password --user anna
      risk-daemon-admin dashboard password --user anna < password.txt
    """
    from risk_daemon.operations.configuration import passwords

    def act() -> Outcome:
        return passwords.set_password(choose(home), user, _asked(user), dry_run=dry_run)

    finish(as_json, act)


@dashboard.command("remove")
def remove(
    user: UserOption,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let a person in no more; an open session ends too.

    \b
    Examples:
      risk-daemon-admin dashboard remove --user anna
    """
    from risk_daemon.operations.configuration import passwords

    finish(as_json, lambda: passwords.remove(choose(home), user, dry_run=dry_run))


def _asked(user: str) -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass(f"Password of {user}: ")
    if first != getpass.getpass("The same again: "):
        raise UsageError("the two passwords differ; nothing was changed.")
    return first
