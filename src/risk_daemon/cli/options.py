"""Options that many commands share, said once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", help="The home; else RISK_DAEMON_HOME, else the platform's place."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="Why; journalled and shown to everyone.")
]
ByOption = Annotated[
    str | None, typer.Option("--by", help="Who; else the user this command runs as.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
]
AcceptTripsOption = Annotated[
    int,
    typer.Option(
        "--accept-trips", min=0, help="How many accounts it may make reduce-only at once."
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", help="Don't ask.")]


def accounts(context: typer.Context, incomplete: str) -> list[str]:
    """Complete an account: by its name, or by its number. A shell is told of no trouble."""
    from risk_daemon.errors import OperatorError
    from risk_daemon.operations.configuration.in_force import policies_in_force
    from risk_daemon.operations.home import choose

    try:
        found = list(policies_in_force(choose(context.params.get("home"))))
    except (OperatorError, OSError):
        return []
    known = [name for one in found for name in (one.name, str(one.account))]
    return sorted({name for name in known if name.startswith(incomplete)})


def rules(incomplete: str) -> list[str]:
    """Complete the name of a rule."""
    from risk_daemon.rules import CATALOG

    return sorted(name for name in CATALOG if name.startswith(incomplete))


NO_REASON = "none given"

OneOption = Annotated[
    str | None,
    typer.Option("--account", help="Number or name of one account.", autocompletion=accounts),
]
RuleArgument = Annotated[
    str, typer.Argument(help="Name of the rule.", show_default=False, autocompletion=rules)
]
EmergencyOption = Annotated[
    bool,
    typer.Option(
        "--emergency", help="Shorter, without percentages; two persons approve it; needs --reason."
    ),
]
