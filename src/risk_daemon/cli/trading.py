"""`risk-daemon status | why | lock`: the trader's side. Nothing here weakens protection."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from risk_daemon.cli.options import DryRunOption, HomeOption, JsonOption, YesOption, accounts
from risk_daemon.cli.show import confirm, finish
from risk_daemon.operations.home import choose
from risk_daemon.operations.outcome import Outcome

PROGRAM: Final = "risk-daemon"
EPILOG: Final = (
    "Exit codes: 0 done (status: protected), 1 failed (status: nothing is protected), 2 usage, "
    "3 refused (status: not all is protected), 4 not yours, 5 not found, "
    "8 the daemon does not run. The daemon's own programs: risk-daemon programs."
)

app = typer.Typer(
    name=PROGRAM,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)

AccountArgument = Annotated[
    str | None,
    typer.Argument(
        help="Number or name; not needed where there is one.",
        show_default=False,
        autocompletion=accounts,
    ),
]


@app.callback()
def root() -> None:
    """See how your account stands, and stop yourself. Switching off is an admin's.

    \b
    May I trade:             risk-daemon status
    Why am I flat:           risk-daemon why 1001
    Enough for today:        risk-daemon lock 1001
    """


@app.command("status", short_help="Am I protected, and may I trade?")
def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Am I protected, and may I trade? One line per account.

    \b
    Examples:
      risk-daemon status
    """
    from risk_daemon.operations.accounts import trading

    finish(as_json, lambda: trading.status(choose(home)), PROGRAM)


@app.command("why", short_help="Why am I flat or locked, until when, what can I do?")
def why(
    account: AccountArgument = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Why am I flat or locked, until when, and what can I do?

    \b
    Examples:
      risk-daemon why 1001
      risk-daemon why NORTH-1
    """
    from risk_daemon.operations.accounts import trading

    finish(as_json, lambda: trading.why(choose(home), account), PROGRAM)


@app.command("lock", short_help="Stop yourself for a while; you can't undo it.")
def lock(
    account: AccountArgument = None,
    until: Annotated[
        str | None,
        typer.Option(
            "--until",
            help='"end of day" (this without an end), "end of week", HH:MM in Chicago, or an '
            "ISO time.",
        ),
    ] = None,
    for_: Annotated[str | None, typer.Option("--for", help="A duration: 30m, 2h, 1d.")] = None,
    flat: Annotated[
        bool, typer.Option("--flat", help="Also close everything, at the market, now.")
    ] = False,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; everybody who looks can read it.")
    ] = "none given",
    yes: YesOption = False,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Stop yourself: until the end you can only get smaller; with --flat you are closed and out.

    You can't undo it, and you can't make it shorter: only an admin ends it before its time.

    \b
    Examples:
      risk-daemon lock 1001 --dry-run
      risk-daemon lock 1001 --for 30m --reason "two losers in a row"
      risk-daemon lock 1001 --until "end of week" --flat --yes
    """
    from risk_daemon.operations.accounts import trading

    def act() -> Outcome:
        wanted = trading.plan(choose(home), account, (until, for_), flat=flat)
        if not dry_run and not wanted.is_there:
            confirm(wanted.question, yes, program=PROGRAM)
        return trading.lock(choose(home), wanted, reason, dry_run=dry_run)

    finish(as_json, act, PROGRAM)


@app.command("unlock", hidden=True)
def unlock(
    account: AccountArgument = None, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Say who can end a lock: not its trader.

    \b
    Examples:
      risk-daemon why 1001
    """
    from risk_daemon.operations.accounts import trading

    finish(as_json, lambda: trading.refuse_unlock(choose(home), account), PROGRAM)
