"""Why a release must stay: who holds accounts in it, who runs it, who folded with it.

Unknown is not "not needed": a home that can't be asked lets nothing go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from risk_daemon.errors import NotFound, OperatorError, Refused
from risk_daemon.journal.shapes import Shapes, shapes
from risk_daemon.operations import daemon
from risk_daemon.operations.home import Home
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.words import count
from risk_daemon.supervisor.children import Register


@dataclass(frozen=True, slots=True)
class Needs:
    """What one home needs of its releases."""

    home: Path
    #: Accounts by the release that holds their lease.
    held: Mapping[str, list[int]] = field(default_factory=dict)
    running: frozenset[str] = frozenset()
    folded: frozenset[str] = frozenset()
    staged: frozenset[str] = frozenset()

    def why(self, version: str) -> str:
        """Say why a release must stay; empty if this home can do without."""
        if accounts := self.held.get(version):
            return f"it holds {count(len(accounts), 'account')} in {self.home}"
        if version in self.running:
            return f"it runs in {self.home}"
        if version in self.folded:
            return f"the newest snapshots in {self.home} are its own"
        return ""


def of_home(at: Home) -> Needs:
    """Ask a home, alive or not. Raises OperatorError where it can't be known."""
    if not at.about.is_file():
        raise Refused(
            f"the home {at.path} uses this depot and is not there now, so nobody knows what it "
            "needs; nothing was removed. If it is gone for good, remove the file of the depot's "
            "homes/ that names it."
        )
    found = shapes_of(at)
    staged = at.releases.iterdir() if at.releases.is_dir() else ()
    return Needs(
        at.path,
        held=found.held if found else {},
        running=_running(at),
        folded=found.folded if found else frozenset(),
        staged=frozenset(one.name for one in staged if not one.name.startswith(".")),
    )


def shapes_of(at: Home) -> Shapes | None:
    """The state file's shape; None where the home has not run yet."""
    try:
        return shapes(at.state / FILE)
    except NotFound:
        return None


def _running(at: Home) -> frozenset[str]:
    """The releases of all processes that live, active or standby."""
    try:
        rows = daemon.status(at).get("processes", [])
    except OperatorError as silent:
        alive = sorted(Register(at.run / "processes.json").found())
        if alive:
            raise Refused(
                f"{', '.join(alive)} of {at.path} run, and the supervisor can't say of which "
                f"release ({silent.sentence.rstrip('.')}); nothing was removed. Run "
                "`risk-daemon-admin start` first."
            ) from None
        return frozenset()
    return frozenset(str(row["release"]) for row in rows if row.get("release"))
