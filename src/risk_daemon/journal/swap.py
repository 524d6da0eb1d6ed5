"""Putting a restored state in place of the old one: all of it or nothing, interrupted or not.

Everything is made in `HOME/restoring/` first. A plan written there at last says which
name moves where; from then on the moves are only ever finished, by whoever comes
first: the command again, `start`, or the journal itself. What stood there before
is moved to `HOME/set-aside/WHEN/` and never deleted.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from risk_daemon.errors import OperatorError
from risk_daemon.journal import durable

STAGING: Final = "restoring"
ASIDE: Final = "set-aside"
_PLAN: Final = "plan.json"


def begin(home: Path) -> Path:
    """Return an empty folder to make the new state in; what an interrupted try left is removed."""
    staging = home / STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(mode=0o700)
    return staging


def abandon(home: Path) -> None:
    """Forget what was made: nothing was moved."""
    shutil.rmtree(home / STAGING, ignore_errors=True)


def is_begun(home: Path) -> bool:
    """Whether a swap was decided and not finished."""
    return (home / STAGING / _PLAN).is_file()


def commit(home: Path, when: str, away: Sequence[str], into: Sequence[str]) -> Path:
    """Decide the swap and do it; names are relative to the home. Returns where the old is kept.

    `away` is moved aside, `into` comes from the staging folder under the same name. Raises OSError.
    """
    plan = {"format": 1, "when": when, "away": list(away), "into": list(into)}
    durable.replace(home / STAGING / _PLAN, json.dumps(plan).encode())
    return finish(home)


def put_back(folder: Path, path: Path) -> None:
    """Give a state file's name to its copy in a folder; what has the name now is set aside.

    The log beside it belongs to what was copied, whole: to the copy it would be a stranger's.
    """
    if path.exists():
        aside = path.parent.parent / ASIDE / f"instead-of-{path.name}"
        aside.parent.mkdir(mode=0o700, exist_ok=True)
        durable.move(path, aside)
    for ending in ("-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
    durable.move(folder / path.name, path)
    shutil.rmtree(folder, ignore_errors=True)


def finish(home: Path) -> Path:
    """Do what is left of the moves. Harmless where all is done, or where it is done twice."""
    staging = home / STAGING
    try:
        plan = json.loads((staging / _PLAN).read_bytes())
        when, away, into = str(plan["when"]), list(plan["away"]), list(plan["into"])
    except (ValueError, KeyError, TypeError) as error:
        raise OperatorError(
            f"{staging / _PLAN} can't be read ({error}): a restore was interrupted. The old files "
            f"are in {home / ASIDE}, the new ones in {staging}; run the restore again."
        ) from None
    aside = home / ASIDE / when
    for name in away:
        # A name that the new state has too was moved already if its new file is in place.
        is_old = name not in into or (staging / name).exists()
        if is_old and (home / name).exists() and not (aside / name).exists():
            (aside / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.move(home / name, aside / name)
    for name in into:
        if (staging / name).exists():
            (home / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.move(staging / name, home / name)
    (staging / _PLAN).unlink()
    shutil.rmtree(staging, ignore_errors=True)
    return aside
