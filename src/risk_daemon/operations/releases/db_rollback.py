"""`db rollback`: why the state file need not go back when a release does, with the proof.

A release only expands the file, and the file says which releases may still use it
(docs/adr/0026-the-file-says-who-may-use-it.md). So a release goes back on the file as it is.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from risk_daemon import schemas
from risk_daemon.depot.manifest import MANIFEST, Range, Schemas
from risk_daemon.errors import NotFound, NotReachable, Refused, UsageError
from risk_daemon.operations import daemon, home
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.releases.needs import shapes_of
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.which_release import release

VERIFY = "risk-daemon-admin verify-db"


def rollback(at: Home, number: int) -> Outcome:
    """Say why the file stays as it is; Refused where only a backup leads to that schema.

    Refused too where a release in use can't use the file: then nothing is "not needed".
    """
    home.read(at)
    if number < 1:
        raise UsageError(f"--to-version {number}: a schema is a whole number from 1.")
    found = shapes_of(at)
    if found is None:
        raise NotFound(f"there is no state file {at.state / FILE}: this home has never run.")
    rows = [_row(name, shape) for name, shape in sorted(_live(at).items())]
    lines = tuple(_line(row) for row in rows)
    data: dict[str, Any] = {
        "schema": found.schema,
        "oldest": found.oldest,
        "asked": number,
        "releases": rows,
    }
    if number < found.oldest:
        raise Refused(
            f"the state file has schema {found.schema}, and releases of schema {number} can't use "
            f"it: the oldest that can know {found.oldest}. Nothing was changed. A backup from "
            "before leads there (`risk-daemon-admin restore --backup-file FILE`), and loses what "
            "came after it; roll forward instead if you can."
        )
    unfit = next((row for row in rows if not _fits(row, found.schema, found.oldest)), None)
    if unfit is not None:
        least, newest = unfit["reads"]
        raise Refused(
            f"{unfit['release']} reads schema {least} to {newest}, and the state file has schema "
            f"{found.schema}: the oldest that can use it know {found.oldest}. Nothing was changed. "
            "Start with the release that wrote it, or go back to a backup from before "
            "(`risk-daemon-admin restore --backup-file FILE`), which loses what came after it."
        )
    if number >= found.schema:
        why = f"the state file has schema {found.schema}, which is no newer than {number}"
    else:
        why = (
            f"the state file has schema {found.schema}, only expanded: releases of schema "
            f"{found.oldest} and later use it as it is"
        )
    return Outcome(lines, data=data, above=(f"not needed: {why}",), next_command=VERIFY)


def _live(at: Home) -> dict[str, Range | None]:
    """Return which schemas of the file each release in use reads; None: it does not say."""
    try:
        status = daemon.status(at)
    except NotReachable:
        return {release(): schemas.STATE_FILE}
    names = {str(row["release"]) for row in (*status["accounts"], *status["processes"])}
    return {name: _range(at, name) for name in names if name}


def _range(at: Home, name: str) -> Range | None:
    if name == release():
        return schemas.STATE_FILE
    try:
        said = json.loads((at.releases / name / MANIFEST).read_text())
        return msgspec.convert(said["schemas"], Schemas).state_file
    except (OSError, ValueError, KeyError, TypeError, msgspec.MsgspecError):
        return None


def _row(name: str, shape: Range | None) -> dict[str, Any]:
    return {"release": name, "reads": list(shape) if shape else None}


def _fits(row: dict[str, Any], schema: int, oldest: int) -> bool:
    if row["reads"] is None:
        return True
    least, newest = row["reads"]
    return bool(newest >= oldest and least <= schema)


def _line(row: dict[str, Any]) -> str:
    if row["reads"] is None:
        return f"{row['release']}: does not say which schemas it reads; it runs on this file"
    least, newest = row["reads"]
    return f"{row['release']}: reads schema {least} to {newest}: uses the file as it is"
