"""`risk-daemon-admin`: every command of a person, in the order in which they are needed.

Typer makes every command it is told of before it looks at the first word: half of
what `status` took. So only the room of the command that is asked for is entered;
all of them are where the first word is no command (help, a mistyped one).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

from risk_daemon.cli.options import HomeOption
from risk_daemon.cli.show import finish
from risk_daemon.operations.home import choose

EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 usage, 3 refused, 4 login, 5 not found, 7 timed out, "
    "8 daemon not reachable; status and health: 0 healthy, 3 degraded, 1 down."
)

type Room = Callable[[typer.Typer], None]


def app(words: Sequence[str]) -> typer.Typer:
    """Return the command line, with at least the commands that these words may mean."""
    made = typer.Typer(
        name="risk-daemon-admin",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        epilog=EPILOG,
    )
    made.callback(invoke_without_command=True)(root)
    for enter in _rooms(words):
        enter(made)
    return made


def _rooms(words: Sequence[str]) -> tuple[Room, ...]:
    if list(words) == ["--version"]:
        return ()
    for names, room in ROOMS.items():
        if words and words[0] in names:
            return (room,)
    return tuple(ROOMS.values())


def _beginning(to: typer.Typer) -> None:
    from risk_daemon.cli import beginning

    to.command("init", short_help="Make a home and its configuration.")(beginning.init)
    to.command("start", short_help="Start, and wait until every account is enforced.")(
        beginning.start
    )
    to.command("stop", short_help="Switch protection off, until the next start.")(beginning.stop)
    to.command("restart", short_help="Restart each process in turn, protected throughout.")(
        beginning.restart
    )


def _releasing(to: typer.Typer) -> None:
    from risk_daemon.cli import releasing

    to.command("promote", short_help="Give accounts to another release, protected.")(
        releasing.promote
    )
    to.command("rollback", short_help="Give accounts back to an earlier release.")(
        releasing.rollback
    )
    to.command("hand-over", short_help="Have the other processes run as that release too.")(
        releasing.hand_over
    )
    to.command("retire", short_help="Stop the workers of a release that holds nothing.")(
        releasing.retire
    )


def _deploying(to: typer.Typer) -> None:
    from risk_daemon.cli import deploying

    to.add_typer(deploying.deploy, name="deploy")


def _checking(to: typer.Typer) -> None:
    from risk_daemon.cli import checking

    to.add_typer(checking.checklist, name="checklist")


def _rollout(to: typer.Typer) -> None:
    from risk_daemon.cli import rollout

    to.add_typer(rollout.rollout, name="rollout")


def _looking(to: typer.Typer) -> None:
    from risk_daemon.cli import looking

    to.command("status", short_help="Accounts, processes, stream, latest events.")(looking.status)
    to.command("health", short_help="What /health says, with an exit code.")(looking.health)
    to.command("why", short_help="Why an account is locked, and until when.")(looking.why)


def _testing(to: typer.Typer) -> None:
    from risk_daemon.cli import testing

    to.command("test-connection", short_help="Is the broker reached: REST, login, both hubs.")(
        testing.connection
    )
    to.command("test-rule", short_help="Does a rule trip, and only when it must.")(testing.rule)
    to.command("test-persistence", short_help="Is state written, and read back.")(
        testing.persistence
    )
    to.command("reconcile-state", short_help="Compare and repair our view of the broker.")(
        testing.reconcile
    )
    to.command("verify-state", short_help="Compare our state with the journal.")(testing.verify)
    to.command("verify-db", short_help="Is the state file whole: pages, chain, tables.")(
        testing.database
    )
    to.add_typer(testing.db, name="db")


def _examining(to: typer.Typer) -> None:
    from risk_daemon.cli import examining

    to.command("doctor", short_help="Is the machine fit and the home whole; a bundle for support.")(
        examining.doctor
    )


def _keeping(to: typer.Typer) -> None:
    from risk_daemon.cli import keeping

    to.command("restore", short_help="State from a backup or what is left; configuration.")(
        keeping.restore
    )
    to.add_typer(keeping.backup, name="backup")


def _serving(to: typer.Typer) -> None:
    from risk_daemon.cli import serving

    to.add_typer(serving.service, name="service")


def _drilling(to: typer.Typer) -> None:
    from risk_daemon.cli import drilling

    to.command("drill", short_help="A disaster for real, in a home of its own, timed.")(
        drilling.drill
    )


def _configuring(to: typer.Typer) -> None:
    from risk_daemon.cli import configuring

    to.add_typer(configuring.config, name="config")


def _flagging(to: typer.Typer) -> None:
    from risk_daemon.cli import flagging

    to.add_typer(flagging.flag, name="flag")


def _overriding(to: typer.Typer) -> None:
    from risk_daemon.cli import overriding

    to.add_typer(overriding.override, name="override")


def _members(to: typer.Typer) -> None:
    from risk_daemon.cli import members

    to.add_typer(members.accounts, name="accounts")
    to.add_typer(members.logins, name="logins")
    to.add_typer(members.credentials, name="credentials")


def _depot(to: typer.Typer) -> None:
    from risk_daemon.cli import depot

    to.add_typer(depot.release, name="release")


def _reading(to: typer.Typer) -> None:
    from risk_daemon.cli import reading

    to.add_typer(reading.logs, name="logs")


def _telling(to: typer.Typer) -> None:
    from risk_daemon.cli import telling

    to.add_typer(telling.alert, name="alert")


def _page(to: typer.Typer) -> None:
    from risk_daemon.cli import page

    to.add_typer(page.dashboard, name="dashboard")


def _acting(to: typer.Typer) -> None:
    from risk_daemon.cli import acting

    to.add_typer(acting.emergency, name="emergency")
    to.add_typer(acting.lockout, name="lockout")


#: What is entered for which first word.
ROOMS: Final[dict[tuple[str, ...], Room]] = {
    ("init", "start", "stop", "restart"): _beginning,
    ("promote", "rollback", "hand-over", "retire"): _releasing,
    ("deploy",): _deploying,
    ("checklist",): _checking,
    ("rollout",): _rollout,
    ("status", "health", "why"): _looking,
    (
        "test-connection",
        "test-rule",
        "test-persistence",
        "reconcile-state",
        "verify-state",
        "verify-db",
        "db",
    ): _testing,
    ("doctor",): _examining,
    ("restore", "backup"): _keeping,
    ("service",): _serving,
    ("drill",): _drilling,
    ("config",): _configuring,
    ("flag",): _flagging,
    ("override",): _overriding,
    ("accounts", "logins", "credentials"): _members,
    ("release",): _depot,
    ("logs",): _reading,
    ("alert",): _telling,
    ("dashboard",): _page,
    ("emergency", "lockout"): _acting,
}


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
        context.default_map = _everywhere(str(home), context.command)
    if version:
        from risk_daemon.operations import which_release as releases

        finish(as_json, lambda: releases.version(choose(home)))
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def _everywhere(home: str, root: object) -> dict[str, Any]:
    """`--home` before the command counts for the command: it must never be lost silently."""
    if not isinstance(root, TyperGroup):
        return {"home": home}
    return {name: _everywhere(home, command) for name, command in root.commands.items()}
