"""`doctor`: is the machine fit, and is the home whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from risk_daemon.cli.options import HomeOption, JsonOption
from risk_daemon.cli.show import finish
from risk_daemon.operations.home import choose


def doctor(
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", help="Write a zip for a supporter: no key is in it."),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check machine and home, each thing ok, warn or fail. Exit 1 if anything fails.

    Changes nothing, and asks the broker for nothing but the time.

    \b
    Examples:
      risk-daemon-admin doctor
      risk-daemon-admin doctor --bundle /tmp/risk-daemon.zip
    """
    from risk_daemon.operations.running import doctor as operations

    finish(as_json, lambda: operations.examine(choose(home), bundle))
