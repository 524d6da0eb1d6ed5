"""`drill`: a disaster for real, in a home of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from risk_daemon.cli.options import HomeOption, JsonOption
from risk_daemon.cli.show import finish
from risk_daemon.operations.home import choose

SIZE_MB = 200


def drill(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="crash, disconnect, config, database, disk, rollback, restore, or all.",
        ),
    ],
    size_mb: Annotated[
        int, typer.Option("--mb", help="Size of the state file in megabytes; 0: as it comes.")
    ] = SIZE_MB,
    scratch: Annotated[
        bool, typer.Option("--scratch", help="Also where a production home is chosen: beside it.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Play a disaster for real, with an account that breaks its limit in its midst, and time it.

    In a home of its own at a simulated gateway, with twenty accounts in position; the chosen home
    is not touched. Refused (exit 3) where that is a production home. Takes some minutes.

    \b
    Examples:
      risk-daemon-admin drill crash
      risk-daemon-admin drill all --json
    """
    from risk_daemon.operations.running import drilling

    finish(as_json, lambda: drilling.run(choose(home), name, size_mb, is_beside=scratch))
