"""`rollout`: a release on its way to the accounts."""

from __future__ import annotations

from typing import Annotated

import typer

from risk_daemon.cli.options import (
    NO_REASON,
    ByOption,
    DryRunOption,
    HomeOption,
    JsonOption,
    OneOption,
    ReasonOption,
)
from risk_daemon.cli.show import finish
from risk_daemon.clock import Clock
from risk_daemon.operations.daemon import operator
from risk_daemon.operations.home import choose
from risk_daemon.operations.orders import Who

rollout = typer.Typer(no_args_is_help=True, help="A release on its way to the accounts.")


@rollout.command("diff")
def diff(account: OneOption = None, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Tell what two releases decided differently on the same records, and what covers each rule.

    Each warm release decides every record beside the one that holds the account. Exit 1 if
    anything differs that the release does not declare.

    \b
    Examples:
      risk-daemon-admin rollout diff
      risk-daemon-admin rollout diff --account 1001 --json
    """
    from risk_daemon.operations.rollouts import differences

    finish(as_json, lambda: differences.diff(choose(home), account))


@rollout.command("status")
def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show phases, what was seen of what is wanted, what is missing, and who is on what.

    \b
    Examples:
      risk-daemon-admin rollout status
    """
    from risk_daemon.operations.rollouts import deploying

    finish(as_json, lambda: deploying.status(choose(home)))


def _ask(verb: str, short: str, example: str) -> None:
    """Enter a command that asks the controller for one thing and needs no more words."""

    def command(
        reason: ReasonOption = NO_REASON,
        by: ByOption = None,
        home: HomeOption = None,
        dry_run: DryRunOption = False,
        as_json: JsonOption = False,
    ) -> None:
        from risk_daemon.operations.rollouts import deploying

        who = Who(by or operator(), reason)
        finish(as_json, lambda: deploying.wish(choose(home), ASKS[verb], who, dry_run=dry_run))

    command.__doc__ = f"{short}\n\n\b\nExamples:\n  {example}\n"
    rollout.command(verb)(command)


#: What the controller is asked by each of these commands.
ASKS = {"start": "start", "pause": "stop", "resume": "resume"}
_ask("start", "Warm both releases and decide in shadow.", "risk-daemon-admin rollout start")
_ask("pause", "Hold: nothing more is switched.", "risk-daemon-admin rollout pause --reason look")
_ask("resume", "End every hold.", "risk-daemon-admin rollout resume --reason understood")


@rollout.command("complete")
def complete(
    reason: ReasonOption = NO_REASON,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Call it done after the last phase: report, archive of its logs, old releases let go.

    \b
    Examples:
      risk-daemon-admin rollout complete
    """
    from risk_daemon.operations.rollouts import completing

    who = Who(by or operator(), reason)
    finish(as_json, lambda: completing.complete(choose(home), who, Clock(), dry_run=dry_run))


@rollout.command("promote")
def promote(
    phase: Annotated[str, typer.Argument(help="The next phase, like canary, 10 or soak.")],
    reason: ReasonOption = NO_REASON,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Enter the next phase, if nothing is missing.

    \b
    Examples:
      risk-daemon-admin rollout promote 10 --reason "a calm day"
    """
    from risk_daemon.operations.rollouts import deploying

    who = Who(by or operator(), reason)
    finish(
        as_json,
        lambda: deploying.wish(choose(home), "promote", who, dry_run=dry_run, phase=phase),
    )


@rollout.command("approve")
def approve(
    phase: Annotated[str, typer.Argument(help="start, or the phase whose end is agreed to.")],
    reason: ReasonOption = NO_REASON,
    break_glass: Annotated[
        bool, typer.Option("--break-glass", help="Alone, for all who should; to be reviewed.")
    ] = False,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Agree to the start, or to what follows a phase.

    \b
    Examples:
      risk-daemon-admin rollout approve start --by anna
    """
    from risk_daemon.operations.rollouts import deploying

    who = Who(by or operator(), reason)
    finish(
        as_json,
        lambda: deploying.wish(
            choose(home), "approve", who, dry_run=dry_run, phase=phase, breaks_glass=break_glass
        ),
    )


@rollout.command("override")
def override(
    gate: Annotated[str, typer.Argument(help="The gate whose word is accepted as it is.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; stored with who.")],
    hours: Annotated[int, typer.Option("--hours", min=1, max=168, help="For how long.")] = 24,
    break_glass: Annotated[
        bool, typer.Option("--break-glass", help="Alone, where two should; to be reviewed.")
    ] = False,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Accept what one gate says, in this rollout, for some hours; shown until it ends.

    Never skips the fence, smoke, reconcile or the warm way back.

    \b
    Examples:
      risk-daemon-admin rollout override "live tests" --reason "no second user" --hours 12
    """
    from risk_daemon.operations.rollouts import deploying

    who = Who(by or operator(), reason)
    finish(
        as_json,
        lambda: deploying.accept(
            choose(home), gate, hours, who, Clock(), dry_run=dry_run, breaks_glass=break_glass
        ),
    )


@rollout.command("abort")
def abort(
    reason: ReasonOption = NO_REASON,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring every account back, largest open risk first; at any time.

    \b
    Examples:
      risk-daemon-admin rollout abort --reason "limits look wrong"
    """
    from risk_daemon.cli.patience import waiting
    from risk_daemon.operations.rollouts import deploying

    who = Who(by or operator(), reason)
    finish(as_json, lambda: deploying.abort(choose(home), who, waiting(), dry_run=dry_run))


@rollout.command("incident")
def incident(
    reason: Annotated[str, typer.Option("--reason", help="What happened; told to everyone.")],
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Bring every account back because of a security incident, and say what to rotate.

    \b
    Examples:
      risk-daemon-admin rollout incident --reason "a key was seen in a log"
    """
    from risk_daemon.cli.patience import waiting
    from risk_daemon.operations.rollouts import deploying

    who = Who(by or operator(), reason)
    finish(as_json, lambda: deploying.incident(choose(home), who, waiting(), dry_run=dry_run))


@rollout.command("history")
def history(
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many of the newest.")] = 50,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what was written of rollouts: what changed, by whom, why.

    \b
    Examples:
      risk-daemon-admin rollout history
    """
    from risk_daemon.operations.rollouts import deploying

    finish(as_json, lambda: deploying.history(choose(home), limit))


@rollout.command("watch")
def watch(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the rollout again and again, until Ctrl-C.

    \b
    Examples:
      risk-daemon-admin rollout watch
    """
    from risk_daemon.cli import watching
    from risk_daemon.operations.rollouts import deploying

    watching.watch(as_json, lambda: deploying.status(choose(home)), Clock())


@rollout.command("explain")
def explain(
    gate: Annotated[str, typer.Argument(help="errors, latency, decisions, memory, ...")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Work a gate's verdict out again from the stored samples, and say what it rests on.

    \b
    Examples:
      risk-daemon-admin rollout explain errors
    """
    from risk_daemon.operations.rollouts import explaining

    finish(as_json, lambda: explaining.explain(choose(home), gate, Clock()))


@rollout.command("report")
def report(
    version: Annotated[str, typer.Argument(help="The release whose rollout is told of.")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write what is known of a rollout into the home; exit 1 while people still have to write.

    \b
    Examples:
      risk-daemon-admin rollout report v1.3.0
    """
    from risk_daemon.operations.rollouts import explaining

    finish(as_json, lambda: explaining.report(choose(home), version, Clock()))
