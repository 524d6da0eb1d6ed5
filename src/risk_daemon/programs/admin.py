"""`risk-daemon-admin`: the command line of people. The commands are in `cli/`."""

from __future__ import annotations

import gc
import sys

from risk_daemon.programs import loading


def main() -> int:
    """Run one command; the exit codes are those of docs/formats/admin.md."""
    if not __debug__:
        sys.stderr.write("risk-daemon-admin does not run under -O.\n")
        return 2
    loading.begins()
    from risk_daemon.cli.app import app

    try:
        app(sys.argv[1:])(prog_name="risk-daemon-admin")
    finally:
        # Python searches everything at its end, for what ends with it anyway.
        gc.freeze()
    return 0


if __name__ == "__main__":
    sys.exit(main())
