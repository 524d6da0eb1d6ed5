"""`risk-daemon`: the trader's commands; the names of the daemon's own programs lead to those."""

from __future__ import annotations

import gc
import sys

from risk_daemon.programs import daemon, loading


def main() -> int:
    """Run one command of a trader, or the program that is named."""
    if not __debug__:
        sys.stderr.write("risk-daemon does not run under -O: its assertions are part of it.\n")
        return 2
    words = sys.argv[1:]
    if words and words[0] in daemon.PROGRAMS:
        return daemon.main()
    if words == ["programs"]:
        sys.stdout.write(daemon.usage() + "\n")
        return 0
    loading.begins()
    from risk_daemon.cli.trading import app

    try:
        app(words, prog_name="risk-daemon")
    finally:
        gc.freeze()
    return 0


if __name__ == "__main__":
    sys.exit(main())
