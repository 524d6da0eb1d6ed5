"""`./dev bench handover --scale --rollout`: a rollout to half of a thousand accounts is aborted.

Real processes: a link for each login, both pairs of workers, half of the accounts in position. It
is planned, enters canary and half, is watched there for a while, and is taken back: each account
that had moved is looked at by the release before. Then some of them break their limits.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import SECOND_NS
from risk_daemon.operations.which_release import release
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.handover import OTHER
from risk_daemon.stage.play import Say
from risk_daemon.stage.rolled import Rolled
from risk_daemon.stage.scale import READY_WITHIN_S
from risk_daemon.stage.waiting import pause

PHASE: Final = "50"
#: So many of those that had moved break their limits afterwards: one window of the broker's.
BREACHES: Final = 20
ENTERED_WITHIN_S: Final = 300.0
DWELL_S: Final = 30.0
PLAN_MAX_S: Final = 5.0
BACK_MAX_S: Final = 30.0
#: Of one core, while nothing is switched: what the supervisor takes more than without a rollout.
CPU_MAX: Final = 0.05
#: Its minutes are whole ones: the row of a thousand accounts is stored once in each.
PLAN: Final = """\
production: false
gates: []
phases:
  - {name: shadow, wall: 1s, &seen}
  - {name: canary, wall: 0s, risk_cap: 100, &seen}
  - {name: 50, wall: 1h, risk_cap: 100, &seen}
  - {name: 100, wall: 0s, &seen}
  - {name: soak, wall: 0s, &seen}
""".replace("&seen", "situations: [], events: 0, open_minutes: 0, gates: []")


class ScaleRollout(Rolled):
    """One run: planned, to half of all, and back."""

    ready_within_s = READY_WITHIN_S

    def __init__(self, crowd: Crowd, say: Say, dwell_s: float = DWELL_S) -> None:
        super().__init__(say)
        self.crowd, self._dwell_s = crowd, dwell_s

    def run(self, keep: Path | None = None) -> dict[str, Any]:
        """Play, and return the verdict."""
        with contextlib.ExitStack() as stack:
            mine = self.crowd.accounts()
            self.open(stack, "scale-rollout", PLAN, {OTHER: ()}, keep, holding=mine[::2])
            first = str(mine[0])
            idle = self._cpu_for_a_while()
            plan_s = self._timed("deploy", "plan", OTHER, "--account", first)
            self._daemon.run("rollout", "approve", "start", "--by", "somebody").ok()
            canary_s = self._timed("deploy", "canary", "--account", first)
            half_s = self._timed("deploy", "percentage", "--percent", PHASE)
            moved = self.held_by(OTHER)
            self._say("stage", f"{len(moved)} of {len(mine)} accounts moved in {half_s:.1f} s")
            cpu = self._cpu_for_a_while()
            back_s = self._timed("rollout", "abort", "--reason", "seen enough")
            self._say("stage", f"all back and looked at in {back_s:.1f} s")
            astray = self.astray(moved)
            unmet = self.unanswered([one for one in moved if one in mine[::2]][:BREACHES])
            verdict = self._gateway.post("/finish", settle_s=10.0)
            self._daemon.run("stop", "--yes", "--reason", "it is over").ok()
        return judge(
            {
                "accounts": len(mine),
                "logins": self.crowd.logins,
                "plan_s": round(plan_s, 2),
                "canary_s": round(canary_s, 2),
                "half_s": round(half_s, 2),
                "moved": len(moved),
                "back_s": round(back_s, 2),
                "idle_cpu": round(idle, 4),
                "dwelling_cpu": round(cpu, 4),
                **{name: verdict[name] for name in ("reversed", "increased", "duplicate", "late")},
            },
            [one for one in (astray, unmet) if one],
        )

    def _timed(self, *words: str) -> float:
        began = self._clock.steady_ns()
        self._daemon.run(*words, within_s=ENTERED_WITHIN_S).ok()
        return (self._clock.steady_ns() - began) / SECOND_NS

    def _cpu_for_a_while(self) -> float:
        """Return the share of a core that the supervisor takes while nothing is switched."""
        supervisor = self._daemon.processes()["supervisor"]
        before, began = sum(supervisor.cpu_times()[:2]), self._clock.steady_ns()
        pause(self._dwell_s)
        took_s = (self._clock.steady_ns() - began) / SECOND_NS
        return (sum(supervisor.cpu_times()[:2]) - before) / took_s


def judge(told: dict[str, Any], found: list[str]) -> dict[str, Any]:
    """Hold the figures against what is promised; `found` is what is wrong already."""
    problems = list(found)
    if told["plan_s"] > PLAN_MAX_S:
        problems.append(f"planned in {told['plan_s']} s, allowed {PLAN_MAX_S:g}")
    if told["back_s"] > BACK_MAX_S:
        problems.append(
            f"all were back and looked at in {told['back_s']} s, {BACK_MAX_S:g} allowed"
        )
    own = told["dwelling_cpu"] - told["idle_cpu"]
    if own > CPU_MAX:
        problems.append(f"{own:.1%} of a core while dwelling, {CPU_MAX:.0%} allowed")
    if told["moved"] * 2 != told["accounts"]:
        problems.append(f"{told['moved']} of {told['accounts']} accounts were moved, not half")
    zero = ("reversed", "increased", "duplicate", "late")
    problems += [f"{name}: {told[name]}" for name in zero if told[name]]
    return {"ok": not problems, **told, "release": release(), "problems": problems}


def in_words(verdict: dict[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    lines = [
        f"{verdict['accounts']} accounts of {verdict['logins']} logins: planned in"
        f" {verdict['plan_s']} s, {verdict['moved']} moved in {verdict['half_s']} s, back and"
        f" looked at in {verdict['back_s']} s",
        f"the supervisor takes {verdict['dwelling_cpu']:.1%} of a core while nothing is switched,"
        f" {verdict['idle_cpu']:.1%} without a rollout",
    ]
    lines += [f"problem: {text}" for text in verdict["problems"][:20]]
    lines.append("verdict: ok" if verdict["ok"] else "verdict: NOT ok")
    return lines
