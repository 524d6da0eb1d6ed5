"""The scripts of the printed page: each is one command, by the name that stands in the brief.

They lie in the checkout, and in every home to which a release was staged: whoever is on call has
the page, and not always a checkout.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import PurePath
from typing import Final

#: What each script calls; whatever is typed after its name goes on to the command.
SCRIPTS: Final = {
    "db_rollback": "db rollback",
    "deploy_canary": "deploy canary",
    "deploy_percentage": "deploy percentage",
    "deploy_staging": "deploy staging",
    "restart_daemon": "restart",
    "rollback_config": "config rollback",
    "rollback_daemon": "rollback --all",
    "send_alert": "alert send",
    "stop_deployment": "deploy stop",
}
_SHELL: Final = '#!/bin/sh\nexec "$(dirname "$0")/../bin/{command}" {words} "$@"\n'
_TWIN: Final = '& "$PSScriptRoot\\..\\bin\\{command}.cmd" {words} @args\nexit $LASTEXITCODE\n'


def in_home(command: str) -> Iterator[tuple[PurePath, str]]:
    """Name each script of a home, and what stands in it; `command` is the launcher beside it."""
    is_windows = sys.platform == "win32"
    form, ending = (_TWIN, "ps1") if is_windows else (_SHELL, "sh")
    for name, words in SCRIPTS.items():
        yield PurePath("scripts", f"{name}.{ending}"), form.format(command=command, words=words)
