"""Six reasons to go back at once, each made to happen in the canary and at half of the accounts.

Releases that are bad in one way, from the moment on at which a file lies there: so each passes its
shadow, is given accounts, and then shows what it is. Nobody gives a command (but for the incident,
which somebody has to report). Counted is from the moment it turns bad until every account is back
and was looked at; judged at the gateway, where an account that breaks its limit must be met.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from risk_daemon.clock import SECOND_NS
from risk_daemon.errors import TimedOut
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.play import Say
from risk_daemon.stage.rolled import EXCESS, Change, Rolled

CROWD: Final = Crowd(2, 5)
PHASES: Final = ("canary", "50")
BACK_WITHIN_S: Final = 120.0
ABORTED_WITHIN_S: Final = 90.0
#: Small phases, and no gate that would make a person wait: what fails aborts all the same.
PLAN: Final = """\
production: false
minute: 20ms
gates: []
phases:
  - {name: shadow, wall: 1s, &seen, gates: [decisions]}
  - {name: canary, wall: 10ms, risk_cap: 100, &seen, gates: []}
  - {name: 50, wall: 10ms, risk_cap: 100, &seen, gates: []}
  - {name: 100, wall: 10ms, &seen, gates: []}
  - {name: soak, wall: 10ms, &seen, gates: []}
""".replace("&seen", "situations: [], events: 0, open_minutes: 0")


class Fault(NamedTuple):
    """One way to be bad: the brief's words, the release, and what is changed in its code.

    `change` is (file, old text, new text); LIT in it is true while the file lies there.
    """

    trigger: str
    release: str
    change: Change | None


_FOLDS: Final = '        """Fold one record; return what it makes necessary, in a fixed order."""\n'
_OVER: Final = "        if exposure > self.limit:\n"
_PAYS: Final = "    booked.net = gross - trade.fees - trade.commissions\n"
FAULTS: Final = (
    Fault(
        "error rate > 1 %",
        "v9.1",
        (
            # In a rule, which is asked of what changes what it reads: most that a trader does.
            "rules/max_contracts.py",
            _OVER,
            "        if world.seq % 20 == 0 and LIT:\n"
            '            raise ValueError("one of twenty")\n' + _OVER,
        ),
    ),
    Fault(
        "crash in production",
        "v9.2",
        ("core/engine.py", _FOLDS, _FOLDS + "        if LIT:\n            os._exit(23)\n"),
    ),
    Fault(
        "rules not triggering correctly",
        "v9.3",
        (
            "rules/max_contracts.py",
            _OVER,
            _OVER.replace("self.limit:", "self.limit and not LIT:"),
        ),
    ),
    Fault(
        "state corruption",
        "v9.4",
        ("core/account.py", _PAYS, _PAYS + "    booked.net += 1_000_000_000 * LIT\n"),
    ),
    Fault(
        "performance -50 %",
        "v9.5",
        ("core/engine.py", _FOLDS, _FOLDS + "        if LIT:\n            time.sleep(0.002)\n"),
    ),
    Fault("security incident", "v9.6", None),
)


class Triggers(Rolled):
    """One run over some faults and phases; each is a rollout of its own."""

    crowd = CROWD

    def __init__(
        self, say: Say, faults: Sequence[Fault] = FAULTS, phases: Sequence[str] = PHASES
    ) -> None:
        super().__init__(say)
        self._faults, self._phases = faults, phases

    def run(self, keep: Path | None = None) -> list[dict[str, Any]]:
        """Play each, and return what came of it: a problem, or none."""
        with contextlib.ExitStack() as stack:
            scratch = tempfile.TemporaryDirectory(prefix="risk-daemon-bad-")
            self._fuse = Path(stack.enter_context(scratch)) / "bad"
            changes = {one: _lit(one, self._fuse) for one in self._faults}
            releases = {
                _version(one, phase): changes[one] for one in self._faults for phase in self._phases
            }
            self.open(stack, "triggers", PLAN, releases, keep)
            return [self._row(fault, phase) for phase in self._phases for fault in self._faults]

    def _row(self, fault: Fault, phase: str) -> dict[str, Any]:
        self._say("trigger", f"{fault.trigger}, in phase {phase}")
        try:
            row = self._played(fault, phase)
        except TimedOut as error:
            told = self.rollout()
            row = {"problem": f"{error}; the rollout is {told['stage']}, {told['why'] or 'ok'}"}
            self._daemon.run("rollout", "abort", within_s=ABORTED_WITHIN_S)
        finally:
            self._fuse.unlink(missing_ok=True)
        row = {"trigger": fault.trigger, "phase": phase, "problem": "", **row}
        self._say("problem" if row["problem"] else "trigger", row["problem"] or _told(row))
        return row

    def _played(self, fault: Fault, phase: str) -> dict[str, Any]:
        moved = self.forward(_version(fault, phase), phase)
        self._fuse.touch()
        began = self._clock.steady_ns()
        self._happens(fault, moved)
        self.stir(moved, self._is_back, BACK_WITHIN_S, "every account to be back")
        seconds = (self._clock.steady_ns() - began) / SECOND_NS
        self._fuse.unlink(missing_ok=True)
        self.settle()
        return {
            "by": self.rollout()["why"],
            "accounts": len(moved),
            "seconds": round(seconds, 1),
            "problem": self.astray(moved) or self.unanswered(moved),
        }

    def _is_back(self) -> bool:
        return bool(self.rollout()["stage"] == "aborted")

    def _happens(self, fault: Fault, moved: list[int]) -> None:
        """Do what makes it show, where traders trading does not."""
        if fault.change is None:
            self._daemon.run("rollout", "incident", "--reason", "a key was seen elsewhere").ok()
        elif fault.trigger.startswith("rules"):
            for account in moved:
                self.order(account, "buy", EXCESS)


def _version(fault: Fault, phase: str) -> str:
    """Name the release for a phase: what one that was bad remembers is nothing to begin with."""
    return f"{fault.release}.{PHASES.index(phase)}"


def _lit(fault: Fault, fuse: Path) -> list[Change]:
    """Write a change with its fuse; what it needs is imported where it stands."""
    if fault.change is None:
        return []
    file, old, new = fault.change
    for name in ("os", "time"):
        new = new.replace(f" {name}.", f' __import__("{name}").')
    lit = f'__import__("os").path.exists({str(fuse)!r})'
    return [(file, old, new.replace("LIT", lit))]


def _told(row: dict[str, Any]) -> str:
    return f"{row['accounts']} back in {row['seconds']:g} s: {row['by']}"
