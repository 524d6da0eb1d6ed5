"""The simulated gateway as a program: `risk-daemon simgate run --config FILE`, and `record`.

Exit codes: 0 stopped as asked, 1 a port is taken, 2 the configuration, the scenario or
the command line is wrong; of `record` those of every command of a person.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from risk_daemon.programs import loading
from risk_daemon.sim.config import ConfigRefused, read
from risk_daemon.sim.day import read as read_day
from risk_daemon.sim.server import Doors, PortInUse, serve
from risk_daemon.sim.timeline import ScenarioRefused
from risk_daemon.sim.timeline import read as read_scenario

DEMO = Path(__file__).parent.parent / "sim" / "scenarios" / "demo.yaml"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="risk-daemon simgate", description="The simulated ProjectX gateway, on loopback."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the gateway until SIGTERM")
    run.add_argument("--config", type=Path, default=DEMO, help="who is there (default: the demo)")
    run.add_argument("--scenario", type=Path, help="what happens when: faults, orders, quotes")
    run.add_argument("--port", type=int, default=0, help="REST and hubs; 0 is any free port")
    run.add_argument("--control-port", type=int, default=0, help="the control port; 0 is any")
    run.add_argument("--ready-file", type=Path, help="written when both ports listen")
    run.add_argument("--log", type=Path, help="what happened, one line each")
    run.add_argument("--seed", type=int, help="instead of the file's seed")
    run.add_argument("--offset-s", type=float, help="instead of the file's offset_s")
    run.add_argument("--day", type=Path, help="a recorded day instead of market and traders")
    run.add_argument("--speed", type=float, default=1.0, help="of the day; 2 is twice as fast")
    record = commands.add_parser("record", help="write a day of a home's journal as a file")
    record.add_argument("--home", type=Path, help="the home; else RISK_DAEMON_HOME")
    record.add_argument("--out", type=Path, required=True, help="a new file, like 2026-11-18.day")
    record.add_argument("--date", default="", help="a trade date like 2026-11-18; else all")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the answer is the exit code."""
    parser = _parser()
    wish = parser.parse_args(argv)
    if wish.command == "record":
        return _record(wish.home, wish.out, wish.date)
    if wish.day and wish.scenario:
        parser.error("give --day or --scenario, not both")
    try:
        config = read(wish.config)
        scenario = read_scenario(wish.scenario, config) if wish.scenario else None
        if wish.day:
            config = replace(config, traders=False)
            scenario, left_out = read_day(wish.day, config, wish.speed)
            if left_out:
                print(f"{left_out} orders of accounts that are not here are left out")
    except (ConfigRefused, ScenarioRefused) as refused:
        print(refused, file=sys.stderr)
        return 2
    if wish.seed is not None:
        config = replace(config, seed=wish.seed)
    if wish.offset_s is not None:
        config = replace(config, offset_s=wish.offset_s)
    try:
        doors = Doors(wish.port, wish.control_port, wish.ready_file, wish.log, scenario)
        loading.is_done()
        asyncio.run(serve(config, doors))
    except PortInUse as taken:
        print(taken, file=sys.stderr)
        return 1
    return 0


def _record(home: Path | None, out: Path, date: str) -> int:
    # Imported here: a gateway needs nothing of it.
    from risk_daemon.errors import OperatorError
    from risk_daemon.operations.home import choose
    from risk_daemon.operations.rollouts import recorded_day

    try:
        day = recorded_day.of_home(choose(home), date)
        recorded_day.write(day, out.expanduser().absolute())
    except OperatorError as error:
        print(f"risk-daemon simgate: {error.sentence}", file=sys.stderr)
        return error.exit_code
    seconds = (day.ends - day.begins) / 1e9
    print(f"{out}: {len(day.steps)} steps of {len(day.accounts)} accounts, {seconds:.0f} s")
    for why, number in sorted(day.left_out.items()):
        print(f"left out: {number} {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
