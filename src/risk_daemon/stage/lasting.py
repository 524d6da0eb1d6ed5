"""Two releases that are bad only after a while: one leaks, the other ends after an hour.

Both pass their shadow and are given an account. The first takes a little memory with every second
and gives none back: it must be held by the line its memory follows, before it is at the limit. The
second ends by itself, both workers at the same record, an hour of stream time after it was given
its first account: it must go back, and nobody may be unprotected for longer than when a worker of
a sound release is killed, which is measured first, the same way. An hour is some seconds here.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import SECOND_NS
from risk_daemon.core.events import LeaseGranted, LeaseTaken
from risk_daemon.errors import OperatorError
from risk_daemon.journal.reader import Reader
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.stored import entries
from risk_daemon.operations.which_release import release
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.rolled import Change, Rolled
from risk_daemon.stage.triggers import ABORTED_WITHIN_S
from risk_daemon.stage.waiting import until

CROWD: Final = Crowd(1, 5)
LEAKS, ENDS = "v9.7.0", "v9.8.0"
LEAK_BYTES: Final = 6_000_000
#: An hour of stream time.
HOUR_S: Final = 6
HELD_WITHIN_S: Final = 60.0
BACK_WITHIN_S: Final = 60.0
#: What is published of a worker that hangs: the slower of the two ways a worker fails.
FAILOVER_MAX_MS: Final = 600.0
PLAN: Final = """\
production: false
minute: 20ms
gates: []
phases:
  - {name: shadow, wall: 1s, &seen, gates: [decisions]}
  - {name: canary, wall: 60s, risk_cap: 100, &seen, gates: [memory]}
  - {name: 100, wall: 10ms, &seen, gates: []}
  - {name: soak, wall: 10ms, &seen, gates: []}
""".replace("&seen", "situations: [], events: 0, open_minutes: 0")

_FOLDS: Final = '        """Fold one record; return what it makes necessary, in a fixed order."""\n'
_LEAKS: Final = """\
        if isinstance(entry.fact, Pulse) and __import__("os").path.exists(LIT):
            self.taken = [*getattr(self, "taken", ()), b"x" * BYTES]
"""
_ENDS: Final = """\
        if isinstance(entry.fact, LeaseGranted) and entry.fact.release == "RELEASE":
            self.since = min(getattr(self, "since", entry.at), entry.at)
        if entry.at - getattr(self, "since", entry.at) > HOUR:
            __import__("os")._exit(23)
"""


class Lasting(Rolled):
    """One run: what is bad after a while is held or goes back, and for how long nobody enforced."""

    crowd = CROWD

    def run(self, keep: Path | None = None) -> list[dict[str, Any]]:
        """Play both, and return what came of each: a problem, or none."""
        with contextlib.ExitStack() as stack:
            scratch = tempfile.TemporaryDirectory(prefix="risk-daemon-lasting-")
            self._fuse = Path(stack.enter_context(scratch)) / "leaks"
            self.open(stack, "lasting", PLAN, changes(self._fuse), keep)
            self._failover_ms = self._killed()
            return [self._row(LEAKS, self._leaked), self._row(ENDS, self._ended)]

    def _row(self, version: str, play: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        self._say("lasting", SHOWN[version])
        try:
            row = play()
        except OperatorError as error:
            told = self.rollout()
            why = f"{error.sentence}; the rollout is {told['stage']}, {told['why'] or 'ok'}"
            row = {"problem": why}
            self._daemon.run("rollout", "abort", within_s=ABORTED_WITHIN_S)
        row = {"release": SHOWN[version], "phase": "canary", "problem": "", **row}
        self._say("problem" if row["problem"] else "lasting", row["problem"] or told_of(row))
        return row

    # --- one that leaks ---

    def _leaked(self) -> dict[str, Any]:
        moved = self.forward(LEAKS, "canary")
        self._fuse.touch()
        began = self._clock.steady_ns()
        self.stir(moved, self._is_held, HELD_WITHIN_S, "the leak to be held")
        seconds = (self._clock.steady_ns() - began) / SECOND_NS
        told = self.rollout()
        self._daemon.run("rollout", "abort", within_s=ABORTED_WITHIN_S).ok()
        self._fuse.unlink()
        self.settle()
        if not told["holds"]:
            return {"problem": f"it was not held: {told['why']}"}
        hold = told["holds"][0]
        return {
            "ended": "held",
            "by": f"{hold['actor']}: {hold['reason']}",
            "accounts": len(moved),
            "seconds": round(seconds, 1),
            "problem": self.astray(moved) or self.unanswered(moved) or _not_memory(hold["actor"]),
        }

    def _is_held(self) -> bool:
        told = self.rollout()
        return bool(told["holds"] or told["stage"] == "aborted")

    # --- one that ends ---

    def _ended(self) -> dict[str, Any]:
        moved = self.forward(ENDS, "canary")
        began = self._clock.steady_ns()
        self.stir(moved, self._is_back, BACK_WITHIN_S, "every account to be back")
        seconds = (self._clock.steady_ns() - began) / SECOND_NS
        self.settle()
        waited = self._without_holder(moved)
        late = waited > max(self._failover_ms, FAILOVER_MAX_MS)
        why = f"nobody enforced for {waited:g} ms, allowed {FAILOVER_MAX_MS:g}" if late else ""
        return {
            "ended": "aborted",
            "by": self.rollout()["why"],
            "accounts": len(moved),
            "seconds": round(seconds, 1),
            "unprotected_ms": waited,
            "failover_ms": self._failover_ms,
            "problem": why or self.astray(moved) or self.unanswered(moved),
        }

    def _is_back(self) -> bool:
        return bool(self.rollout()["stage"] == "aborted")

    # --- for how long nobody enforced ---

    def _killed(self) -> float:
        """Kill the worker that enforces; return how long its accounts waited for the other one."""
        ahead = int(in_force(self._home).clock_offset_s * SECOND_NS)
        at = self._clock.now_ns() + ahead
        self._daemon.kill(self._daemon.active_worker())
        accounts = set(CROWD.accounts())
        until(lambda: len(self._taken(at, accounts)) == len(accounts), BACK_WITHIN_S, "an heir")
        self._daemon.wait_healthy()
        return self._longest(at, accounts)

    def _without_holder(self, moved: Sequence[int]) -> float:
        """Return the ms from the record at which both ended to the heir's own word."""
        file, accounts = self._daemon.home / "state" / FILE, set(moved)
        given = [
            entry.at
            for entry in entries(file, ("lease-granted",))
            if isinstance(entry.fact, LeaseGranted) and entry.fact.release == ENDS
        ]
        limit = min(given) + HOUR_S * SECOND_NS
        with closing(Reader(file)) as reader:
            ended = reader.seq_since(limit + 1)
            (last,) = reader.records(ended, ended, (), 1).records
        return self._longest(last.at, accounts)

    def _taken(self, since: int, accounts: set[int]) -> dict[int, int]:
        """When each account was first taken after an instant, by the heir's own word."""
        found: dict[int, int] = {}
        for entry in entries(self._daemon.home / "state" / FILE, ("lease-taken",)):
            if not isinstance(entry.fact, LeaseTaken) or entry.at < since:
                continue
            account, heir = entry.fact.account, entry.fact.release
            # The other worker of one that ends may take an account, and ends as well.
            if account in accounts and heir == release():
                found.setdefault(account, entry.at)
        return found

    def _longest(self, since: int, accounts: set[int]) -> float:
        return round((max(self._taken(since, accounts).values()) - since) / 1e6, 1)


SHOWN: Final = {
    LEAKS: "it leaks: some memory with every second",
    ENDS: "it ends an hour after it was given an account",
}


def changes(fuse: Path) -> dict[str, list[Change]]:
    """Return what is changed in each release; the first leaks while the file lies there."""
    leaks = _LEAKS.replace("LIT", repr(str(fuse))).replace("BYTES", str(LEAK_BYTES))
    ends = _ENDS.replace("RELEASE", ENDS).replace("HOUR", str(HOUR_S * SECOND_NS))
    return {
        version: [("core/engine.py", _FOLDS, _FOLDS + more)]
        for version, more in ((LEAKS, leaks), (ENDS, ends))
    }


def _not_memory(actor: str) -> str:
    return "" if actor == "memory" else f"it was held by {actor}, not by memory"


def in_words(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what came of those that were as they must be."""
    return [f"{row['release']}: {told_of(row)}" for row in rows if not row["problem"]]


def told_of(row: Mapping[str, Any]) -> str:
    """Say what came of one."""
    more = ""
    if "unprotected_ms" in row:
        more = (
            f"; nobody enforced for {row['unprotected_ms']:g} ms, as a worker was killed for"
            f" {row['failover_ms']:g} ms"
        )
    return f"{row['ended']} after {row['seconds']:g} s by {row['by']}{more}"
