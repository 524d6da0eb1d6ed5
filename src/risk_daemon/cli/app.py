"""`risk-daemon-admin`: every command of a person, in the order in which they are needed."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from risk_daemon.cli import (
    acting,
    beginning,
    configuring,
    depot,
    examining,
    keeping,
    looking,
    members,
    reading,
    releasing,
    testing,
)
from risk_daemon.cli.options import HomeOption
from risk_daemon.cli.show import finish
from risk_daemon.operations.home import choose

EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 login, 5 not found, 7 timed out, "
    "8 daemon not reachable; status and health: 0 healthy, 3 degraded, 1 down."
)

app = typer.Typer(
    name="risk-daemon-admin",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)
app.command("init", short_help="Make a home and its configuration.")(beginning.init)
app.command("start", short_help="Start, and wait until every account is enforced.")(beginning.start)
app.command("stop", short_help="Switch protection off, until the next start.")(beginning.stop)
app.command("restart", short_help="Restart each process in turn, protected throughout.")(
    beginning.restart
)
app.command("promote", short_help="Give accounts to another release, protected.")(releasing.promote)
app.command("rollback", short_help="Give accounts back to an earlier release.")(releasing.rollback)
app.command("hand-over", short_help="Have the other processes run as that release too.")(
    releasing.hand_over
)
app.command("retire", short_help="Stop the workers of a release that holds nothing.")(
    releasing.retire
)
app.command("status", short_help="Accounts, processes, stream, latest events.")(looking.status)
app.command("health", short_help="What /health says, with an exit code.")(looking.health)
app.command("why", short_help="Why an account is locked, and until when.")(looking.why)
app.command("test-connection", short_help="Is the broker reached: REST, login, both hubs.")(
    testing.connection
)
app.command("test-rule", short_help="Does a rule trip, and only when it must.")(testing.rule)
app.command("test-persistence", short_help="Is state written, and read back.")(testing.persistence)
app.command("reconcile-state", short_help="Compare and repair our view of the broker.")(
    testing.reconcile
)
app.command("verify-state", short_help="Compare our state with the journal.")(testing.verify)
app.command("verify-db", short_help="Is the state file whole: pages, chain, tables.")(
    testing.database
)
app.command("doctor", short_help="Is the machine fit and the home whole; a bundle for support.")(
    examining.doctor
)
app.command("restore", short_help="State from a backup or what is left; configuration.")(
    keeping.restore
)
app.add_typer(keeping.backup, name="backup")
app.add_typer(configuring.config, name="config")
app.add_typer(members.accounts, name="accounts")
app.add_typer(members.logins, name="logins")
app.add_typer(members.credentials, name="credentials")
app.add_typer(depot.release, name="release")
app.add_typer(reading.logs, name="logs")
app.add_typer(acting.emergency, name="emergency")
app.add_typer(acting.lockout, name="lockout")


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="The running release; this one's when none runs.")
    ] = False,
    home: HomeOption = None,
    as_json: Annotated[bool, typer.Option("--json", hidden=True)] = False,
) -> None:
    """Guards futures accounts on ProjectX in real time.

    \b
    First:      risk-daemon-admin init --help
    Then:       risk-daemon-admin start
    Look:       risk-daemon-admin status
    Emergency:  risk-daemon-admin emergency flatten-all --reason "..."
    """
    if home is not None:
        context.default_map = _everywhere(str(home))
    if version:
        from risk_daemon.operations import releases

        finish(as_json, lambda: releases.version(choose(home)))
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def _everywhere(home: str) -> dict[str, Any]:
    """`--home` before the command counts for the command: it must never be lost silently."""
    here = {"home": home}
    names = [str(command.name) for command in app.registered_commands]
    nested: dict[str, Any] = {
        str(group.name): dict.fromkeys(
            [str(command.name) for command in group.typer_instance.registered_commands], here
        )
        for group in app.registered_groups
        if group.typer_instance is not None
    }
    return {**dict.fromkeys(names, here), **nested}
