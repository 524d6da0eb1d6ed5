"""`HOME/bin/risk-daemon-admin`: becomes the command line of the release that is to be followed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from risk_daemon.errors import NotFound
from risk_daemon.operations.home import Home, choose
from risk_daemon.operations.releases.following import followed
from risk_daemon.supervisor.release import interpreter

_MODULE = "risk_daemon.programs.admin"


def main(argv: Sequence[str] | None = None) -> int:
    """Run `HOME WORDS...`: the words are the command's; HOME counts where they name none."""
    own, *words = sys.argv[1:] if argv is None else argv
    os.environ.setdefault("RISK_DAEMON_HOME", own)
    at = choose(_named(words))
    python = _python(at) or sys.executable
    if Path(python).parent == Path(sys.executable).parent:
        from risk_daemon.programs.admin import main as admin

        sys.argv[1:] = words
        return admin()
    command = [python, "-m", _MODULE, *words]
    if sys.platform == "win32":
        return subprocess.run(command, check=False).returncode
    return os.execv(python, command)  # noqa: S606  a list of words, never a shell


def _named(words: Sequence[str]) -> Path | None:
    """The home that the words name, as the command itself will read them."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--home":
            return Path(following)
        if word.startswith("--home="):
            return Path(word.removeprefix("--home="))
    return None


def _python(at: Home) -> str:
    """The interpreter of the release to follow; empty where there is none."""
    release = followed(at)
    try:
        return interpreter(at.path, release, "") if release else ""
    except NotFound:
        return ""


if __name__ == "__main__":
    sys.exit(main())
