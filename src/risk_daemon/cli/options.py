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

NO_REASON = "none given"
