"""`./dev demo rollout`: a good release to twenty accounts and back, two bad ones to nowhere.

The first bad one lets a limit pass by one contract: it is stopped while it only decides beside the
release that guards the accounts. The second is slow, and only under load: it is given one account,
traders trade, and the account goes back by itself. The good one goes from one account to all; then
everything goes back in the five steps of a rollback, each with the stopwatch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from risk_daemon.clock import SECOND_NS
from risk_daemon.errors import TimedOut
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.releases import gaps
from risk_daemon.operations.which_release import release
from risk_daemon.stage import figures
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.rolled import Change, Rolled
from risk_daemon.stage.waiting import until

CROWD: Final = Crowd(4, 5)
GOOD: Final = "v9.0.0"
STOPPED_WITHIN_S: Final = 120.0
DWELT_WITHIN_S: Final = 60.0
COMMAND_WITHIN_S: Final = 90.0
BACK_MAX_S: Final = 300.0
#: A minute of the plan takes 5 ms: a day is 7.2 s, two are 14.4.
PLAN: Final = """\
production: false
minute: 5ms
gates: []
phases:
  - {name: shadow, wall: 1s, &seen, gates: [decisions]}
  - {name: canary, wall: 7200ms, risk_cap: 100, &seen, gates: []}
  - {name: 10, wall: 14400ms, risk_cap: 100, &seen, gates: []}
  - {name: 50, wall: 14400ms, risk_cap: 100, &seen, gates: []}
  - {name: 100, wall: 100ms, &seen, gates: []}
  - {name: soak, wall: 50400ms, &seen, gates: []}
""".replace("&seen", "situations: [], events: 0, open_minutes: 0")
PERCENTS: Final = ("10", "50", "100")


class Bad(NamedTuple):
    """A bad release: what was changed, in which phase it must end, and in whose words."""

    patch: str
    release: str
    change: Change
    stops_in: str


_OVER: Final = "        if exposure > self.limit:\n"
_FOLDS: Final = '        """Fold one record; return what it makes necessary, in a fixed order."""\n'
#: Of so many records in a second and more each takes two milliseconds longer.
_BUSY: Final = """\
        import time
        before = getattr(self, "lately", ())
        self.lately = [*(at for at in before if at > entry.at - 10**9), entry.at]
        time.sleep(0.002 * (len(self.lately) > 40))
"""
BADS: Final = (
    Bad(
        "max-contracts lets one contract more pass",
        "v9.1.0",
        ("rules/max_contracts.py", _OVER, _OVER.replace("limit:", "limit + UNIT:")),
        "shadow",
    ),
    Bad(
        "2 ms slower, under load only",
        "v9.2.0",
        ("core/engine.py", _FOLDS, _FOLDS + _BUSY),
        "canary",
    ),
)
#: The five steps of a rollback: what is typed in each.
STEPS: Final[tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]] = (
    ("stop", (("deploy", "stop"),)),
    ("revert", (("rollback", "--all", "--to-version", release()), ("restart",))),
    ("verify", (("--version",), ("test-connection",), ("test-rule", "max-contracts"))),
    ("reconcile", (("reconcile-state",), ("verify-state",))),
    ("notify", (("alert", "send", f"Deployment rolled back to {release()}"),)),
)


class RolloutsShown(Rolled):
    """One run: two bad releases, a good one, and the way back."""

    crowd = CROWD

    def run(self, keep: Path | None = None) -> dict[str, Any]:
        """Play, and return the verdict."""
        self._problems: list[str] = []
        with contextlib.ExitStack() as stack:
            changes: dict[str, Sequence[Change]] = {one.release: [one.change] for one in BADS}
            self.open(stack, "rollouts", PLAN, {GOOD: (), **changes}, keep)
            self._say("stage", f"{len(CROWD.accounts())} accounts are guarded by {release()}")
            bads = [self._bad(one) for one in BADS]
            good = self._good()
            back = self._back()
            verdict = self._gateway.post("/finish", settle_s=5.0)
            file = self._daemon.home / "state" / "journal.db"
            waited = {name: gaps.of_release(file, name) for name in (GOOD, release())}
            gone = [one.p99 for one in waited.values() if one.p99 is not None]
        zero = ("reversed", "increased", "duplicate", "late")
        self._problems += [f"{name}: {verdict[name]}" for name in zero if verdict[name]]
        return {
            "ok": not self._problems,
            "good": good,
            "bad": bads,
            "rollback": back,
            "unprotected_ms": {
                "p99": max(gone, default=None),
                "n": sum(one.n for one in waited.values()),
            },
            **{name: verdict[name] for name in ("breaches", "answered", *zero)},
            "host": figures.host(keep or Path()),
            "problems": self._problems,
        }

    # --- a bad one ---

    def _bad(self, one: Bad) -> dict[str, Any]:
        self._say("rollout", f"{one.release}: {one.patch}")
        began, first = self._clock.steady_ns(), asked.tail(self._home, 1)[0].seq
        seen = {"phase": ""}
        self.planned(one.release)
        self._daemon.run("rollout", "start").ok()
        try:
            # What shows under load only is to have its load where it holds an account.
            until(lambda: self._has_come(one.stops_in, seen), STOPPED_WITHIN_S, "it to get there")
            self.stir(
                CROWD.accounts(), lambda: self._is_over(seen), STOPPED_WITHIN_S, "it to be stopped"
            )
        except TimedOut as error:
            self._problems.append(f"{one.patch}: {error}")
            self._daemon.run("rollout", "abort", within_s=COMMAND_WITHIN_S)
        events = asked.tail(self._home, 1)[0].seq - first
        self.settle()
        told = self.rollout()
        problem = self.astray([])
        if not problem and seen["phase"] != one.stops_in:
            problem = f"it was stopped in {seen['phase']}, not in {one.stops_in}"
        if problem:
            self._problems.append(f"{one.patch}: {problem}")
        seconds = (self._clock.steady_ns() - began) / SECOND_NS
        self._say("stopped", f"in {seen['phase']} after {seconds:.0f} s, by {told['why']}")
        return {
            "patch": one.patch,
            "stopped_in": seen["phase"],
            "by": told["why"],
            "events": events,
            "seconds": round(seconds, 1),
        }

    def _is_over(self, seen: dict[str, str]) -> bool:
        """Remember the newest phase, until the way back is gone."""
        told = self.rollout()
        for now in told["phases"]:
            if now["state"] == "now":
                seen["phase"] = now["phase"]
        return bool(told["stage"] == "aborted")

    def _has_come(self, phase: str, seen: dict[str, str]) -> bool:
        return self._is_over(seen) or seen["phase"] == phase

    # --- a good one ---

    def _good(self) -> dict[str, Any]:
        self._say("rollout", f"{GOOD}: decides as {release()} does")
        began = self._clock.steady_ns()
        phases = [self._entered("canary", self.forward(GOOD, "canary"))]
        for percent in PERCENTS:
            self._dwell()
            self.percent(percent)
            phases.append(self._entered(percent, self.held_by(GOOD)))
        seconds = (self._clock.steady_ns() - began) / SECOND_NS
        return {"phases": phases, "minutes": round(seconds / 60, 1)}

    def _entered(self, phase: str, held: list[int]) -> dict[str, Any]:
        """Break a limit on the first and the last account that moved, and tell of the phase."""
        problem = self.unanswered(sorted({held[0], held[-1]})) if held else "nobody was moved"
        if problem:
            self._problems.append(f"phase {phase}: {problem}")
        told = {row["account"]: row for row in self.rollout()["accounts"]}
        smoked = sum(told[one]["smoke"] == "pass" for one in held)
        self._say(
            "phase",
            f"{phase}: {len(held)} of {len(CROWD.accounts())} accounts on {GOOD}, {smoked} looked"
            " at and well; a breach on two of them was met",
        )
        return {"phase": phase, "accounts": len(held), "looked_at": smoked}

    def _dwell(self) -> None:
        """Trade until the phase has lasted, and then tell what it was judged by."""
        self.stir(CROWD.accounts(), self._has_lasted, DWELT_WITHIN_S, "the phase to have lasted")
        self.settle()
        for one in self.rollout()["judged"]["verdicts"]:
            if one["says"] in ("pass", "inconclusive"):
                self._say(one["gate"], f"{one['says']}: {one['sentence']}")

    def _has_lasted(self) -> bool:
        now = [one for one in self.rollout()["phases"] if one["state"] == "now"]
        return bool(now) and all(
            one["dwell"]["wall_s"][0] >= one["dwell"]["wall_s"][1] for one in now
        )

    # --- back ---

    def _back(self) -> dict[str, Any]:
        steps = []
        for name, lines in STEPS:
            began = self._clock.steady_ns()
            for words in lines:
                done = self._daemon.run(*words, within_s=COMMAND_WITHIN_S)
                if done.code != 0 and words[:2] != ("alert", "send"):
                    self._problems.append(f"{' '.join(words)} ended with {done.code}: {done.err}")
            steps.append(round((self._clock.steady_ns() - began) / SECOND_NS, 1))
            self._say("back", f"{name}: {steps[-1]:g} s")
        held = [row["account"] for row in self.rows() if row["release"] == release()]
        if len(held) != len(CROWD.accounts()):
            self._problems.append(f"{len(held)} of {len(CROWD.accounts())} accounts are back")
        problem = self.unanswered([CROWD.accounts()[0], CROWD.accounts()[-1]])
        if problem:
            self._problems.append(f"after the way back: {problem}")
        total = round(sum(steps), 1)
        if total > BACK_MAX_S:
            self._problems.append(f"the way back took {total:g} s, allowed {BACK_MAX_S:g}")
        return {"accounts": len(held), "steps_s": steps, "total_s": total}


def in_words(verdict: dict[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    good, back = verdict["good"], verdict["rollback"]
    lines = [
        f"{one['patch']}: stopped in {one['stopped_in']} after {one['events']} records of the"
        f" stream, by {one['by']}"
        for one in verdict["bad"]
    ]
    reached = " → ".join(str(one["accounts"]) for one in good["phases"])
    lines += [
        f"{GOOD} went to {reached} accounts in {good['minutes']:g} minutes",
        f"{back['accounts']} accounts went back in {back['total_s']:g} s of {BACK_MAX_S:g}",
        f"{verdict['answered']} of {verdict['breaches']} breaches answered; an account was handed"
        f" over in {verdict['unprotected_ms']['p99']} ms (99 of 100)",
    ]
    lines += [f"problem: {text}" for text in verdict["problems"]]
    lines.append(
        "verdict: the good one arrived, the bad ones did not"
        if verdict["ok"]
        else "verdict: NOT ok"
    )
    return lines
