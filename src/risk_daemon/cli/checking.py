"""`checklist`: what must be so before, during and after a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from risk_daemon.cli.options import DryRunOption, HomeOption, JsonOption
from risk_daemon.cli.show import finish
from risk_daemon.clock import Clock
from risk_daemon.operations.home import choose
from risk_daemon.operations.outcome import Outcome

checklist = typer.Typer(
    no_args_is_help=True, help="What must be so before, during and after a deployment."
)

VersionOption = Annotated[
    str | None,
    typer.Option("--version", help="Of which release; else the newest staged, or the rollout's."),
]
SignOption = Annotated[
    str | None, typer.Option("--sign", help="Answer for this item, which no machine can know.")
]
NameOption = Annotated[str | None, typer.Option("--by", help="Who answers for it; with --sign.")]
NoteOption = Annotated[str, typer.Option("--note", help="What is to be known of it.")]


@checklist.command("pre")
def pre(
    version: VersionOption = None,
    sign: SignOption = None,
    by: NameOption = None,
    note: NoteOption = "",
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Before a deployment: tests, configuration, documents, backup, people.

    What is measured ticks itself; exit 3 while an item is open.

    \b
    Examples:
      risk-daemon-admin checklist pre
      risk-daemon-admin checklist pre --sign rollback-team --by anna --note "until 22:00"
    """
    finish(as_json, lambda: _either("pre", version, sign, by, note, home, dry_run))


@checklist.command("during")
def during(
    version: VersionOption = None,
    sign: SignOption = None,
    by: NameOption = None,
    note: NoteOption = "",
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """During a deployment, phase by phase: deployed, looked at, watched, decided.

    \b
    Examples:
      risk-daemon-admin checklist during
      risk-daemon-admin checklist during --sign canary-decision --by anna
    """
    finish(as_json, lambda: _either("during", version, sign, by, note, home, dry_run))


@checklist.command("post")
def post(
    version: VersionOption = None,
    sign: SignOption = None,
    by: NameOption = None,
    note: NoteOption = "",
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """A week after: everywhere, never back, retrospective, archives, cleaned up.

    \b
    Examples:
      risk-daemon-admin checklist post
      risk-daemon-admin checklist post --sign retrospective --by anna --note "see wiki"
    """
    finish(as_json, lambda: _either("post", version, sign, by, note, home, dry_run))


def _either(
    which: str,
    version: str | None,
    sign: str | None,
    by: str | None,
    note: str,
    home: Path | None,
    dry_run: bool,
) -> Outcome:
    """Sign an item where one is named, else show how the list stands."""
    from risk_daemon.operations.checklists import checking

    asked = checking.Asked(list=which, version=version)
    if sign is None:
        checking.unsigned(by, note)
        return checking.show(choose(home), asked, Clock())
    signed = checking.Signed(item=sign, by=by or "", note=note)
    return checking.sign(choose(home), asked, signed, Clock(), dry_run=dry_run)
