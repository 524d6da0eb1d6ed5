"""May accounts be given to a staged release: is it signed, and can it live with this home's file.

Asked before anything moves, promotion and rollback alike. Whether its workers run the code that
was signed, the journal asks each of them (`wire.attest`).
"""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import msgspec

from risk_daemon.depot import making, staging
from risk_daemon.depot.manifest import MANIFEST, SIGNATURE, Range, Schemas, misfits
from risk_daemon.depot.store import accept
from risk_daemon.errors import OperatorError, Refused
from risk_daemon.journal import footprint
from risk_daemon.journal.sqlite import UNREADABLE, connect
from risk_daemon.operations.home import Home
from risk_daemon.operations.releases import trusting
from risk_daemon.operations.releases.needs import shapes_of
from risk_daemon.operations.state_file import FILE


def refuse_unfit(at: Home, release: str, *, is_back: bool) -> None:
    """Raise Refused for a staged release that is not signed, or can't live with the home's file.

    One that is not staged has nothing to show: the supervisor knows whether it has it. Whoever
    goes back is not held up by a file that can't be looked at: its journal has it open. Otherwise
    OperatorError for such a file.
    """
    folder = at.releases / release
    if not (folder / staging.STAGED).is_file():
        return
    try:
        text = (folder / MANIFEST).read_bytes()
        said = json.loads(text)
        schemas = msgspec.convert(said["schemas"], Schemas) if "schemas" in said else None
    except (OSError, ValueError, TypeError, msgspec.MsgspecError) as error:
        raise Refused(
            f"what {release} was signed for can't be read ({error}); nothing was moved. "
            f"`risk-daemon-admin release verify {release}` says more."
        ) from None
    _refuse_unsigned(at, release, text)
    try:
        found = misfits_of(at, schemas, folder)
    except OperatorError:
        if is_back:
            return
        raise
    if found:
        raise Refused(
            f"{release} does not fit the home {at.path}: {'; '.join(found[:3])}; nothing was moved."
            " Promote a release that can live with it."
        )


def _refuse_unsigned(at: Home, release: str, text: bytes) -> None:
    """Compare with the signature beside it; a home that trusts nobody has staged nothing signed."""
    if not trusting.any_at(at):
        return
    try:
        signature = (at.releases / release / SIGNATURE).read_bytes()
    except OSError:
        raise Refused(
            f"{release} lies in {at.releases} without a signature; nothing was moved. "
            f"Remove it and `risk-daemon-admin release stage {release}`."
        ) from None
    accept(text, signature, trusting.of_home(at), release)


def misfits_of(at: Home, schemas: Schemas | None, folder: Path) -> list[str]:
    """Say why a release, unpacked in `folder` or not, can't live with the home's state file."""
    ranges = home_ranges(at)
    found = misfits(schemas, ranges) if schemas else []
    # A release newer than the file expands it itself, when its journal is the one that runs.
    is_newer = schemas is not None and schemas.state_file[1] > ranges.get("state file", (0, 0))[1]
    return found or ([] if is_newer else _unfit(at, folder))


def home_ranges(at: Home) -> dict[str, Range]:
    """What the home's state file is, as `misfits` wants it; nothing where it has not run yet."""
    found = shapes_of(at)
    if found is None:
        return {}
    ranges = {"state file": (found.oldest, found.schema)}
    return ranges | ({"records": (found.format, found.format)} if found.format else {})


def _unfit(at: Home, folder: Path) -> list[str]:
    """Compare what the release's statements touch with the tables that are there."""
    path = staging.packages_of(folder) / making.PACKAGE / "journal" / footprint.NAME
    file = at.state / FILE
    if not path.is_file() or not file.is_file():
        return []
    lines = footprint.read(path.read_text(encoding="utf-8"))
    uri = f"{file.absolute().as_uri()}?mode=ro"
    try:
        with closing(connect(uri, uri=True, timeout=1.0)) as opened:
            return footprint.unfit(lines, opened)
    except UNREADABLE as error:
        raise OperatorError(f"the state file {file} can't be read: {error}.") from None
