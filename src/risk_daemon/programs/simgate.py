"""The simulated gateway as a program: `risk-daemon simgate run --config FILE`.

Exit codes: 0 stopped as asked, 1 a port is taken, 2 the configuration, the scenario or
the command line is wrong.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import replace
from pathlib import Path

from risk_daemon.programs import loading
from risk_daemon.sim.config import ConfigRefused, read
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
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the answer is the exit code."""
    wish = _parser().parse_args(argv)
    try:
        config = read(wish.config)
        scenario = read_scenario(wish.scenario, config) if wish.scenario else None
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


if __name__ == "__main__":
    sys.exit(main())
