"""`risk-daemon NAME`: starts one kind of process, and loads nothing of the others."""

from __future__ import annotations

import importlib
import sys
from typing import Final

from risk_daemon.programs import loading

PROGRAMS: Final = {
    "journal": "orders everything and writes the state file",
    "link": "talks to the broker for one login",
    "worker": "decides",
    "supervisor": "starts and watches the others",
    "console": "health, metrics, API and status page on 127.0.0.1",
    "adopt": "reads the configuration into the journal, then exits",
    "simgate": "the simulated gateway, a program of its own (try: risk-daemon simgate run --help)",
}


def usage() -> str:
    """The list of programs."""
    rows = [f"  {name:<11} {text}" for name, text in PROGRAMS.items()]
    return "\n".join(
        [
            "usage: risk-daemon PROGRAM [arguments]",
            "",
            *rows,
            "",
            "People use risk-daemon-admin, traders risk-daemon; the supervisor starts the rest.",
        ]
    )


def main() -> int:
    """Hand over to the program named by the first word."""
    if not __debug__:
        sys.stderr.write("risk-daemon does not run under -O: its assertions are part of it.\n")
        return 2
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help"):
        sys.stdout.write(usage() + "\n")
        return 0 if words else 2
    if words[0] not in PROGRAMS:
        sys.stderr.write(f"risk-daemon: there is no program {words[0]!r}.\n\n{usage()}\n")
        return 2
    sys.argv = [f"risk-daemon {words[0]}", *words[1:]]
    loading.begins()
    code = importlib.import_module(f"risk_daemon.programs.{words[0]}").main()
    return int(code or 0)


if __name__ == "__main__":
    sys.exit(main())
