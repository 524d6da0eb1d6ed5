"""`emergency` and `lockout`: what a person does to accounts."""

from __future__ import annotations

from enum import StrEnum
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
    accounts,
)
from risk_daemon.cli.show import confirm, finish
from risk_daemon.operations.daemon import operator
from risk_daemon.operations.home import choose
from risk_daemon.operations.orders import Who

emergency = typer.Typer(no_args_is_help=True, help="When something is wrong: flatten, shut down.")
contacts = typer.Typer(no_args_is_help=True, help="Whom to call: show, set.")
emergency.add_typer(contacts, name="contacts")
lockout = typer.Typer(no_args_is_help=True, help="Locks: place, end, and confirm.")


AccountOption = Annotated[
    str,
    typer.Option("--account", help="Number or name of the account.", autocompletion=accounts),
]


class Mode(StrEnum):
    """What a lock does."""

    FLATTEN_LOCK = "flatten-lock"
    REDUCE_ONLY = "reduce-only"
    CANCEL_ONLY = "cancel-only"


@emergency.command("flatten-all")
def flatten_all(
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Close every position of every account, cancel their orders, lock them fully.

    Through the daemon where it lives, by a session of its own where it doesn't: works
    with everything dead. Asks nothing.

    \b
    Examples:
      risk-daemon-admin emergency flatten-all --reason "System emergency"
    """
    from risk_daemon.operations.accounts import emergency as operations

    who = Who(operator(), reason)
    finish(as_json, lambda: operations.flatten_all(choose(home), who, dry_run=dry_run))


@emergency.command("shutdown")
def shutdown(
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Switch protection off on purpose; every command shows it until `start`.

    Positions stay as they are: to protect the trader, run `emergency flatten-all` first.

    \b
    Examples:
      risk-daemon-admin emergency shutdown --reason "Manual intervention required"
    """
    from risk_daemon.operations.accounts import emergency as operations

    who = Who(operator(), reason)
    finish(as_json, lambda: operations.switch_off(choose(home), who, alarm=True, dry_run=dry_run))


@emergency.command("lockout")
def emergency_lockout(
    account: AccountOption,
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Flatten and fully lock one account until an admin ends it; works with everything dead.

    \b
    Examples:
      risk-daemon-admin emergency lockout --account 1001 --reason "runaway copier"
    """
    from risk_daemon.operations.accounts import emergency as operations

    who = Who(operator(), reason)
    finish(as_json, lambda: operations.lock_out(choose(home), account, who, dry_run=dry_run))


class Role(StrEnum):
    """Who is called."""

    ON_CALL = "on-call"
    SDK_SUPPORT = "sdk-support"
    ESCALATION = "escalation"


@contacts.command("show")
def contacts_show(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Whom to call, in the order of calling. Exit 1 while somebody is missing.

    \b
    Examples:
      risk-daemon-admin emergency contacts show
    """
    from risk_daemon.operations.changing import contacts as operations

    finish(as_json, lambda: operations.show(choose(home)))


@contacts.command("set")
def contacts_set(
    role: Annotated[Role, typer.Argument(help="Who it is.", show_default=False)],
    name: Annotated[str | None, typer.Option("--name", help="A person, or a desk.")] = None,
    phone: Annotated[str | None, typer.Option("--phone", help='Such as "+1 312 555 0100".')] = None,
    email: Annotated[str | None, typer.Option("--email", help="One address.")] = None,
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say whom to call; what is not given stays as it is. Committed, and read at once.

    They are in every alarm that calls people: after three failed restarts, and when nothing guards.

    \b
    Examples:
      risk-daemon-admin emergency contacts set on-call --name Anna \\
          --phone "+1 312 555 0100" --email anna@example.org
      risk-daemon-admin emergency contacts set sdk-support --email support@example.org
    """
    from risk_daemon.operations.changing import contacts as operations

    given = {"name": name, "phone": phone, "email": email}
    who = Who(operator(), reason)
    finish(
        as_json,
        lambda: operations.put(choose(home), role.value, given, who, dry_run=dry_run),
    )


@lockout.command("clear")
def lockout_clear(
    account: AccountOption,
    reason: ReasonOption,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """End the locks that people have placed on one account, and say what else still locks it.

    Locks of the other rules end on their own time: nobody unlocks a daily loss.

    \b
    Examples:
      risk-daemon-admin lockout clear --account 1001 --reason "news is over"
    """
    from risk_daemon.operations.accounts import lockouts

    who = Who(operator(), reason)
    finish(as_json, lambda: lockouts.clear(choose(home), account, who, dry_run=dry_run))


@lockout.command("confirm")
def lockout_confirm(
    account: AccountOption,
    reason: ReasonOption,
    by: ByOption = None,
    yes: YesOption = False,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Let limits act that were broken when they were adopted: what is above them is closed.

    Until then the account is reduce-only by such a limit, and nothing is closed.

    \b
    Examples:
      risk-daemon-admin lockout confirm --account 1001 --reason "the limit is meant" --dry-run
      risk-daemon-admin lockout confirm --account 1001 --reason "the limit is meant" --yes
    """
    from risk_daemon.operations.accounts import lockouts
    from risk_daemon.operations.outcome import Outcome

    def act() -> Outcome:
        _, name, waiting = lockouts.unconfirmed(choose(home), account)
        if waiting and not dry_run:
            rules = ", ".join(lock.rule for lock in waiting)
            confirm(f"{name}: let {rules} act? It may close positions at once.", yes)
        who = Who(by or operator(), reason)
        return lockouts.confirm(choose(home), account, who, dry_run=dry_run)

    finish(as_json, act)


@lockout.command("set")
def lockout_set(
    account: AccountOption,
    mode: Annotated[Mode, typer.Option("--mode", help="How far it is restricted.")],
    until: Annotated[
        str | None, typer.Option(help="HH:MM in Chicago, or an ISO time with offset.")
    ] = None,
    for_: Annotated[str | None, typer.Option("--for", help="A duration: 30m, 2h, 1d.")] = None,
    reason: ReasonOption = NO_REASON,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Lock one account; without --until or --for until an admin ends it.

    \b
    Examples:
      risk-daemon-admin lockout set --account 1001 --mode reduce-only --for 30m --reason "news"
      risk-daemon-admin lockout set --account test_trader_1 --mode flatten-lock
    """
    from risk_daemon.operations.accounts import lockouts

    who = Who(operator(), reason)
    finish(
        as_json,
        lambda: lockouts.place(
            choose(home), account, mode.value, who, (until, for_), dry_run=dry_run
        ),
    )
