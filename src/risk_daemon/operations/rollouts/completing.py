"""`rollout complete`: a deployment is over; what it leaves is written, kept, and cleaned up.

First it is called done, which only a rollout that has passed everything can be. The rest can be
repeated: the report, an archive of the logs and the evidence, and old releases that nobody needs.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import Timekeeper
from risk_daemon.depot.store import Depot
from risk_daemon.errors import NotReachable, OperatorError, TimedOut
from risk_daemon.operations import home
from risk_daemon.operations.changing import commits
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import DONE, FAILED, Outcome
from risk_daemon.operations.releases import depot
from risk_daemon.operations.releases.under_way import standing
from risk_daemon.operations.rollouts import configuring, deploying, explaining
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.plan import CONFIGURATION

AGAIN: Final = "risk-daemon-admin checklist post"
#: Exits of what may be stored nevertheless, or yet.
UNKNOWN: Final = (TimedOut.exit_code, NotReachable.exit_code)


def complete(at: Home, who: Who, clock: Timekeeper, *, dry_run: bool) -> Outcome:
    """Call the rollout done, then write its report, keep its logs, and let old releases go."""
    found = standing(at)
    if found.get("stage") != rows.DONE:
        if dry_run:
            return deploying.wish(at, "complete", who, dry_run=True)
        found = call_done(at, found, who)
    version = str(found["release"])
    if dry_run:
        line = f"{version} is complete; its report, archive and the old releases would be made anew"
        return Outcome((line,), data=dict(found), notes=("nothing was done",))
    parts: dict[str, Callable[[], Outcome]] = {
        "report": lambda: explaining.report(at, version, clock),
        "archive": lambda: _archived(at, version, found),
        "releases": lambda: depot.prune(at, Depot(home.depot_path()), None, dry_run=False),
    }
    lines: list[str] = [f"{version}: marked complete"]
    notes: list[str] = []
    failed = False
    for name, act in parts.items():
        try:
            one = act()
        except OperatorError as error:
            failed = True
            lines.append(f"{name}: NOT DONE: {error.sentence}")
            continue
        lines += [f"{name}: {line}" for line in one.lines]
        notes += one.notes
    return Outcome(
        tuple(lines),
        FAILED if failed else DONE,
        dict(found),
        notes=tuple(notes),
        next_command=AGAIN,
    )


def call_done(at: Home, found: Mapping[str, Any], who: Who) -> dict[str, Any]:
    """Have the controller call a rollout done that stood like this; return how it stands then."""
    if found.get("kind") != CONFIGURATION or found["missing"]:
        deploying.wish(at, "complete", who, dry_run=False)
        return standing(at)
    # Before it is over: from then on what is adopted is what the files say.
    commits.write_files(at, str(found["commit"]), who, "Rolled out")
    try:
        deploying.wish(at, "complete", who, dry_run=False)
    except OperatorError as error:
        if error.exit_code not in UNKNOWN:  # it went back by itself since it was looked at
            configuring.take_files_back(at, found, who)
        raise
    return standing(at)


def _archived(at: Home, version: str, found: Mapping[str, Any]) -> Outcome:
    """Keep what was planned, what the release's processes logged, and its evidence, in one file."""
    folder = at.path / "rollouts"
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / f"{version}.json").write_text(json.dumps(dict(found), indent=1), encoding="utf-8")
    file = folder / f"{version}.tar.gz"
    kept = sorted(_to_keep(at, version))
    with tarfile.open(file, "w:gz") as archive:
        for path in kept:
            archive.add(path, path.relative_to(at.path).as_posix())
    return Outcome((f"{file}: {len(kept)} files",))


def _to_keep(at: Home, version: str) -> Iterator[Path]:
    yield at.path / "rollouts" / f"{version}.json"
    yield from (at.path / "logs").glob(f"*@{version}*")
    yield from (at.releases / version / "evidence").glob("*")
