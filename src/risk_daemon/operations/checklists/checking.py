"""`checklist pre | during | post`: how a list stands, and a person's signature under an item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from risk_daemon.clock import Timekeeper
from risk_daemon.depot import staging
from risk_daemon.errors import NotFound, NotReachable, UsageError
from risk_daemon.operations import home
from risk_daemon.operations.checklists import checklist, checklist_looks, signatures
from risk_daemon.operations.checklists.checklist import DURING, PRE, Item, Look, Row, Signature
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import DEGRADED, DONE, Outcome
from risk_daemon.operations.releases import newest
from risk_daemon.operations.releases.under_way import standing
from risk_daemon.operations.words import duration, iso
from risk_daemon.rollout.reading import OF_RELEASE

#: How the list calls the gate of the rollback drill.
DRILL: Final = "drill"
PLAN: Final = "risk-daemon-admin deploy plan --help"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Which list of which version; None is the one that a deployment is about."""

    list: str
    version: str | None


class Signed(msgspec.Struct, frozen=True, kw_only=True):
    """Which item a person signs, and with what note."""

    item: str
    by: str
    note: str


def show(at: Home, asked: Asked, clock: Timekeeper) -> Outcome:
    """Say how each item stands; exit 3 while one is open."""
    home.read(at)
    version, found = _about(at, asked)
    now = clock.now_ns()
    rows = checklist.judge(
        asked.list,
        version,
        _items(asked.list, found),
        _looks(at, asked.list, version, found, clock),
        checklist.of_list(signatures.read(at), version, asked.list),
        now,
    )
    return _told(asked.list, version, rows, now)


def before(at: Home, version: str, clock: Timekeeper) -> tuple[Row, ...]:
    """Return how each item stands before the start that no gate of a release measures."""
    of = [one for one in checklist.items(PRE) if not {*OF_RELEASE, DRILL}.intersection(one.looks)]
    signed = checklist.of_list(signatures.read(at), version, PRE)
    looks = checklist_looks.of_home(at)
    return checklist.judge(PRE, version, of, looks, signed, clock.now_ns())


def sign(at: Home, asked: Asked, by: Signed, clock: Timekeeper, *, dry_run: bool) -> Outcome:
    """Sign one item. It is on the disk when this returns."""
    home.read(at)
    version, found = _about(at, asked)
    wanted = Signature(
        version=version,
        list=asked.list,
        item=by.item,
        by=by.by.strip(),
        at=clock.now_ns(),
        note=by.note.strip(),
    )
    of = _items(asked.list, found)
    if dry_run:
        checklist.sign(of, wanted, signatures.read(at))
    else:
        with signatures.signing(at):
            signatures.write(at, checklist.sign(of, wanted, signatures.read(at)))
    words = next(one.words for one in of if one.name == wanted.item)
    return Outcome(
        (f"{wanted.item} of {version}: {words}: signed by {wanted.by}",),
        DONE,
        msgspec.to_builtins(wanted) | {"at": iso(wanted.at)},
        notes=("nothing was done",) if dry_run else (),
        next_command=_again(asked.list, version),
    )


def unsigned(by: str | None, note: str) -> None:
    """Refuse words that belong to a signature where nothing is signed. Raises UsageError."""
    given = "--by" if by is not None else "--note" if note else ""
    if given:
        raise UsageError(
            f"{given} goes with --sign ITEM, and no item was named; nothing was signed."
        )


def _about(at: Home, asked: Asked) -> tuple[str, Mapping[str, Any]]:
    """Return the version a list is about, and its rollout; before the start that is nothing.

    Raises NotFound where there is neither.
    """
    if asked.list == PRE:
        version = asked.version or _newest(at)
        staging.read(at.releases / version)
        return version, {}
    found = standing(at)
    if not found:
        raise NotFound(f"no rollout was begun here: `{PLAN}`.")
    if asked.version not in (None, found["release"]):
        raise NotFound(
            f"the last rollout here is of {found['release']}, not of {asked.version}; "
            f"`risk-daemon-admin rollout history` shows what was."
        )
    return str(found["release"]), found


def _newest(at: Home) -> str:
    try:
        return newest.release(at)
    except NotReachable:
        # Nobody says what holds the accounts: the last one that was unpacked is meant.
        staged = list(staging.staged_in(at.releases))
    if not staged:
        raise NotFound(
            "no release is staged here, so there is nothing to check: "
            "`risk-daemon-admin release stage VERSION`, or scripts/deploy_staging.sh."
        )
    return staged[-1]


def _items(which: str, found: Mapping[str, Any]) -> tuple[Item, ...]:
    if which != DURING:
        return checklist.items(which)
    return checklist.items(which, [one["phase"] for one in checklist_looks.with_accounts(found)])


def _looks(
    at: Home, which: str, version: str, found: Mapping[str, Any], clock: Timekeeper
) -> dict[str, Look]:
    if which == DURING:
        return checklist_looks.of_phases(found)
    gates = checklist_looks.of_gates(at, version, clock)
    if which == PRE:
        return gates | checklist_looks.of_home(at)
    return gates | checklist_looks.of_end(at, version, found)


def _told(which: str, version: str, rows: tuple[Row, ...], now: int) -> Outcome:
    still = [one for one in rows if not one.ticked]
    data = {
        "list": which,
        "version": version,
        "items": [_row(one, now) for one in rows],
        "open": [one.item for one in still],
    }
    lines = tuple(_line(one, now) for one in rows)
    head = f"{which} {version}: {len(rows) - len(still)} of {len(rows)} are ticked"
    if not still:
        return Outcome((), DONE, data, above=(*lines, head), next_command=_after(which, version))
    names = ", ".join(one.item for one in still)
    # Every item is shown: only `lines` would be cut short.
    return Outcome(
        (),
        DEGRADED,
        data,
        above=(*lines, f"{head}; open: {names}"),
        next_command=still[0].measure.split("`")[1] if "`" in still[0].measure else "",
    )


def _row(one: Row, now: int) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(one)
    age = max(now - one.at, 0) // 1_000_000_000 if one.at else None
    return found | {"at": iso(one.at) if one.at else None, "age_s": age}


def _line(one: Row, now: int) -> str:
    age = f", {duration(max(now - one.at, 0) / 1e6)} ago" if one.at else ""
    how = f" ({one.measure})" if one.measure else ""
    return f"[{'x' if one.ticked else ' '}] {one.item}: {one.words}: {one.told}{age}{how}"


def _again(which: str, version: str) -> str:
    return f"risk-daemon-admin checklist {which} --version {version}"


def _after(which: str, version: str) -> str:
    if which == PRE:
        return f"risk-daemon-admin deploy plan {version}"
    return "risk-daemon-admin rollout status"
