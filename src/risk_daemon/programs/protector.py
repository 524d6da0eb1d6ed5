"""The minimal protector: a hard limit and a flatten, while no release guards the accounts.

Started by the supervisor when everything else has failed (`supervisor.resort`), and stopped by it
as soon as somebody enforces again. It imports the standard library only: no release's rules, no
journal, no SDK. One JSON line per event on stdout, which the supervisor keeps in the logs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.programs import loading
from risk_daemon.protector.watch import ORDERS, Orders, Watch, read_orders


def main(argv: Sequence[str] | None = None) -> int:
    """Guard until SIGTERM; 1 where nothing is known of whom to guard."""
    parser = argparse.ArgumentParser(prog="risk-daemon protector", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="the daemon's home directory")
    home: Path = parser.parse_args(argv).home.absolute()
    try:
        orders = read_orders(home / "state" / ORDERS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"protector: {home / 'state' / ORDERS} can't be read: {error}", file=sys.stderr)
        return 1
    stop = threading.Event()
    for name in ("SIGTERM", "SIGINT", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: stop.set())
    loading.is_done()
    guard(home, orders, stop)
    return 0


def guard(home: Path, orders: Orders, stop: threading.Event) -> None:
    """Look at every login again and again, each in a thread of its own."""
    clock = Clock(int(orders.offset_s * SECOND_NS))
    told = threading.Lock()

    def say(event: str, **about: object) -> None:
        with told:
            line = {"at": clock.now_ns(), "event": event, **about}
            print(json.dumps(line, default=str), flush=True)

    def watch(one: Watch) -> None:
        while not stop.is_set():
            one.look(clock.now_ns())
            stop.wait(one.every_s)

    say("protecting", accounts=[n for login in orders.logins for n in login.accounts])
    threads = [
        threading.Thread(
            target=watch, args=(Watch(home, orders, login, say, os.environ),), daemon=True
        )
        for login in orders.logins
    ]
    for thread in threads:
        thread.start()
    stop.wait()


if __name__ == "__main__":
    sys.exit(main())
