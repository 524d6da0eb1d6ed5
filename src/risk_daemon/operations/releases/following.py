"""Which release's command line a person gets: the one that holds the most accounts.

`HOME/bin/risk-daemon-admin` is a few lines of shell that start any staged
release's Python, which looks who holds what and becomes that one. It must never
be the reason why an emergency can't be typed: whatever can't be known, some
release's command line runs.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from risk_daemon.errors import OperatorError
from risk_daemon.journal.shapes import shapes
from risk_daemon.operations.home import Home
from risk_daemon.operations.releases import printed
from risk_daemon.operations.state_file import FILE

NAME: Final = "risk-daemon-admin"
TRADERS: Final = "risk-daemon"
_MODULE: Final = "risk_daemon.programs.launcher"
_NONE: Final = "no release is staged in"
_SHELL: Final = """\
#!/bin/sh
# {what}
home={home}
python=
for marker in "$home"/releases/v*/staged.json; do
    [ -x "${{marker%/staged.json}}/bin/python" ] && python="${{marker%/staged.json}}/bin/python"
done
if [ -z "$python" ]; then
    echo "{name}: {none} $home: stage one with the command of a checkout" >&2
    exit 5
fi
{last}
"""
_BATCH: Final = """\
@echo off
rem {what}
set "RD_PYTHON="
for /d %%r in ("{home}\\releases\\v*") do (
    if exist "%%r\\staged.json" set "RD_PYTHON=%%r\\Scripts\\python.exe"
)
if not defined RD_PYTHON (
    echo {name}: {none} {home}: stage one with the command of a checkout 1>&2
    exit /b 5
)
{last}
exit /b %ERRORLEVEL%
"""


def pick(held: Mapping[str, Sequence[int]], staged: Sequence[str]) -> str:
    """Take the staged release with the most accounts, of several the newest; empty for none.

    `staged` is in the order of staging, the newest last.
    """
    ranked = [(len(held.get(one, ())), at, one) for at, one in enumerate(staged)]
    return max(ranked)[2] if ranked else ""


def followed(at: Home) -> str:
    """The release to follow in a home; the newest staged where nobody can say who holds what."""
    try:
        held = shapes(at.state / FILE).held
    except OperatorError:
        held = {}
    return pick(held, staged(at))


def staged(at: Home) -> list[str]:
    """The whole releases of a home, the newest last; nothing where they can't be listed."""
    try:
        whole = [
            (folder.joinpath("staged.json").stat().st_mtime_ns, folder.name)
            for folder in at.releases.iterdir()
            if not folder.name.startswith(".") and folder.joinpath("staged.json").exists()
        ]
    except OSError:
        return []
    return [name for _, name in sorted(whole)]


def write_commands(at: Home) -> Path:
    """Put the launchers into the home, and the scripts of the printed page.

    Links to the launchers may be on PATH. Returns the admin's.
    """
    is_windows = sys.platform == "win32"
    home = str(at.path) if is_windows else shlex.quote(str(at.path))
    _launcher(
        at,
        TRADERS,
        # A trader asks and locks: any staged release will do.
        "The trader's commands, of the newest staged release.",
        'if not defined RISK_DAEMON_HOME set "RISK_DAEMON_HOME={home}"\n'
        '"%RD_PYTHON%" -m risk_daemon.programs.trader %*'
        if is_windows
        else 'export RISK_DAEMON_HOME="${{RISK_DAEMON_HOME:-$home}}"\n'
        'exec "$python" -m risk_daemon.programs.trader "$@"',
        home,
    )
    admin = _launcher(
        at,
        NAME,
        "Runs the command line of the release that holds the most accounts of this home.",
        f'"%RD_PYTHON%" -m {_MODULE} "{{home}}" %*'
        if is_windows
        else f'exec "$python" -m {_MODULE} "$home" "$@"',
        home,
    )
    for name, text in printed.in_home(NAME):
        _write(at.path / name, text)
    return admin


def _launcher(at: Home, name: str, what: str, last: str, home: str) -> Path:
    is_windows = sys.platform == "win32"
    path = at.path / "bin" / (f"{name}.cmd" if is_windows else name)
    text = (_BATCH if is_windows else _SHELL).format(
        home=home, none=_NONE, name=name, what=what, last=last.format(home=home)
    )
    _write(path, text)
    return path


def _write(path: Path, text: str) -> None:
    """Write a command, or leave the one that was there: never half of one."""
    path.parent.mkdir(exist_ok=True, mode=0o755)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.chmod(0o755)
    fresh.replace(path)
