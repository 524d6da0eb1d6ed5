"""`accounts`, `logins` and `credentials`: who is guarded, and through whom."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from risk_daemon.cli.options import NO_REASON, DryRunOption, HomeOption, JsonOption, ReasonOption
from risk_daemon.cli.show import finish
from risk_daemon.operations.daemon import operator
from risk_daemon.operations.home import choose
from risk_daemon.operations.orders import Who

accounts = typer.Typer(no_args_is_help=True, help="Which accounts are guarded.")
logins = typer.Typer(no_args_is_help=True, help="Users of the broker.")
credentials = typer.Typer(no_args_is_help=True, help="Keys of the logins.")


@accounts.command("list")
def accounts_list(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show every account of the configuration.

    \b
    Examples:
      risk-daemon-admin accounts list
    """
    from risk_daemon.operations.changing import members

    finish(as_json, lambda: members.accounts(choose(home)))


@accounts.command("add")
def accounts_add(
    number: Annotated[int, typer.Argument(help="Number of the account.", show_default=False)],
    login: Annotated[str, typer.Option("--login", help="Name of its login.")],
    name: Annotated[str | None, typer.Option("--name", help="What people call it.")] = None,
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Guard one more account, from the next start on.

    \b
    Examples:
      risk-daemon-admin accounts add 1003 --login alpha --name "test_trader_3"
    """
    from risk_daemon.operations.changing import members

    who = Who(operator(), reason)
    finish(
        as_json,
        lambda: members.add_account(choose(home), number, login, name, who, dry_run=dry_run),
    )


@accounts.command("mark-test")
def mark_test(
    account: Annotated[str, typer.Argument(help="Number or name.", show_default=False)],
    undo: Annotated[bool, typer.Option("--undo", help="It is no longer for tests.")] = False,
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say that an account is for tests: new releases may be tried on it first.

    \b
    Examples:
      risk-daemon-admin accounts mark-test test_trader_1
    """
    from risk_daemon.operations.changing import members

    who = Who(operator(), reason)
    finish(
        as_json,
        lambda: members.mark_test(choose(home), account, who, is_test=not undo, dry_run=dry_run),
    )


@logins.command("list")
def logins_list(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show every login, where its key comes from, and its accounts.

    \b
    Examples:
      risk-daemon-admin logins list
    """
    from risk_daemon.operations.changing import members

    finish(as_json, lambda: members.logins(choose(home)))


@logins.command("add")
def logins_add(
    login: Annotated[
        str,
        typer.Argument(
            metavar="LOGIN",
            help="NAME:USER:CREDENTIALS:ACCOUNT[,ACCOUNT...]; CREDENTIALS is env or file:PATH.",
            show_default=False,
        ),
    ],
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Guard the accounts of one more user, from the next start on.

    \b
    Examples:
      risk-daemon-admin logins add beta:other_user:file:credentials/beta.key:2001,2002
    """
    from risk_daemon.operations.changing import members

    who = Who(operator(), reason)
    finish(as_json, lambda: members.add_login(choose(home), login, who, dry_run=dry_run))


@credentials.command("rotate")
def credentials_rotate(
    login: Annotated[
        str | None,
        typer.Argument(help="Whose key; not needed where there is one login.", show_default=False),
    ] = None,
    from_env: Annotated[
        str | None,
        typer.Option("--from-env", help="Variable that holds the new key; else prompt or stdin."),
    ] = None,
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Replace a login's key by a new one, once that is proven; the old one stays until then.

    The new key is asked for on a terminal, else read from stdin or from a variable: never from
    the command's words, which every user of the machine can see. A running daemon takes it
    without a gap. Exit 4 if the new key does not log in: then nothing has changed.

    \b
    Examples:
      risk-daemon-admin credentials rotate alpha
      risk-daemon-admin credentials rotate alpha < new.key
      risk-daemon-admin credentials rotate alpha --from-env PROJECT_X_NEW_KEY
    """
    from risk_daemon.operations.changing import rotating

    who = Who(operator(), reason)

    def given() -> str:
        if from_env is not None:
            return rotating.in_environment(from_env)
        if sys.stdin.isatty():
            typed: str = typer.prompt("New API key", hide_input=True)
            return typed
        return sys.stdin.read(rotating.LONGEST + 1)

    finish(as_json, lambda: rotating.rotate(choose(home), login, given, who, dry_run=dry_run))


@credentials.command("check")
def credentials_check(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Is each login's key there, and does it log in? Exit 4 if one does not. Shows no key.

    \b
    Examples:
      risk-daemon-admin credentials check
    """
    from risk_daemon.operations.changing import members

    finish(as_json, lambda: members.check_credentials(choose(home)))
