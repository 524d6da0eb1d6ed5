"""`risk-daemon adopt --home H`: put the configuration into force, then exit.

Run by the supervisor once the journal is up, and with --reload or --approve while it runs.
stdout is one JSON object: the settings in force, so that the supervisor itself
needs no YAML. Exit 0: something is in force (perhaps the last configuration,
then stderr says why); else the exit code of what is wrong, and one sentence.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.errors import JournalAway, OperatorError
from risk_daemon.operations.changing.adoption import (
    Adopted,
    adopt,
    approve,
    for_start,
    put_back,
    reload,
)
from risk_daemon.operations.changing.commits import of_commit
from risk_daemon.operations.home import Home, choose
from risk_daemon.operations.orders import Who
from risk_daemon.settings import encode_settings
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.transport import Hello

JOURNAL_WITHIN_S: Final = 10.0


async def _run(home: Home, args: argparse.Namespace) -> Adopted:
    hello = Hello("adopt", "adopt")
    journal = await JournalClient.connect(home.run, hello, JOURNAL_WITHIN_S)
    try:
        who = Who(args.by, args.reason)
        if args.put_back:
            return await put_back(home, journal, who)
        if args.approve:
            return await approve(home, journal, who, args.account)
        return await (reload(home, journal, who) if args.reload else adopt(home, journal))
    finally:
        journal.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Adopt, and say what is in force."""
    parser = argparse.ArgumentParser(prog="risk-daemon adopt", description=__doc__)
    parser.add_argument("--home", type=Path, help="the daemon's home directory")
    parser.add_argument(
        "--show", action="store_true", help="show the settings a start would use; adopt nothing"
    )
    parser.add_argument(
        "--reload", action="store_true", help="adopt only what may take effect while it runs"
    )
    parser.add_argument(
        "--approve", action="store_true", help="adopt now what waits for the next trade day"
    )
    parser.add_argument(
        "--put-back", action="store_true", help="adopt all of the policy now, looser or not"
    )
    parser.add_argument("--policies", metavar="COMMIT", help="show a commit's; adopt nothing")
    parser.add_argument("--account", type=int, default=0, help="of one account; 0: of all")
    parser.add_argument("--by", default="unknown", help="who reloads or approves")
    parser.add_argument("--reason", default="none given", help="why")
    args = parser.parse_args(argv)
    home = choose(args.home)
    try:
        if args.show:
            settings, note = for_start(home)
            if note:
                print(f"adopt: {note}", file=sys.stderr)
            print(encode_settings(settings))
            return 0
        if args.policies:
            policies = of_commit(home, args.policies).policies
            print(msgspec.json.encode(policies).decode())
            return 0
        adopted = asyncio.run(_run(home, args))
    except OperatorError as error:
        print(f"adopt: {error.sentence}", file=sys.stderr)
        return error.exit_code
    except JournalAway as away:
        print(f"adopt: the journal went away: {away}", file=sys.stderr)
        return 8
    if adopted.alarm:
        print(f"adopt: {adopted.alarm}", file=sys.stderr)
    print(msgspec.json.encode(adopted).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
