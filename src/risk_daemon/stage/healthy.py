"""`./dev proof --healthy N`: the same release against itself, N times from one account to all.

Nothing is wrong with it, so nothing may be said against it: each rollout has to get to its end
without a hold, an override or a way back, while traders trade and break limits in every phase.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import SECOND_NS
from risk_daemon.errors import OperatorError
from risk_daemon.operations.which_release import release
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.play import Say
from risk_daemon.stage.rolled import Rolled
from risk_daemon.stage.triggers import PLAN

CROWD: Final = Crowd(2, 5)
SAME: Final = "v9.0.0"
PERCENTS: Final = ("50", "100")
#: Trading in each phase, and how long what it leads to is waited for.
TRADED_S, WITHIN_S = 8, 60.0
COMMAND_WITHIN_S: Final = 120.0


class Healthy(Rolled):
    """So many rollouts of a release that differs in nothing but its name."""

    crowd = CROWD

    def __init__(self, say: Say, rounds: int) -> None:
        super().__init__(say)
        self._rounds = rounds

    def run(self, keep: Path | None = None) -> dict[str, Any]:
        """Play, and return the verdict: what was said against each."""
        with contextlib.ExitStack() as stack:
            self.open(stack, "healthy", PLAN, {SAME: ()}, keep)
            rows = [self._row(number) for number in range(1, self._rounds + 1)]
            found = self._gateway.post("/finish", settle_s=5.0)
        problems = [f"round {row['round']}: {row['problem']}" for row in rows if row["problem"]]
        zero = ("reversed", "increased", "duplicate", "late")
        problems += [f"{name}: {found[name]}" for name in zero if found[name]]
        return {
            "ok": not problems,
            "rounds": len(rows),
            "complete": sum(not row["problem"] for row in rows),
            "breaches": found["breaches"],
            "answered": found["answered"],
            "rows": rows,
            "problems": problems,
        }

    def _row(self, number: int) -> dict[str, Any]:
        began = self._clock.steady_ns()
        try:
            problem = self._played()
        except OperatorError as error:
            problem = error.sentence.splitlines()[-1]
        told = self.rollout()
        if told["stage"] != "done":
            problem = f"it is {told['stage']}: {told['why'] or told['holds'] or problem}"
        self._daemon.run("rollback", "--all", "--to-version", release(), within_s=COMMAND_WITHIN_S)
        self.settle()
        seconds = round((self._clock.steady_ns() - began) / SECOND_NS, 1)
        self._say(
            "problem" if problem else "healthy", f"{number}: {problem or 'done'}, {seconds} s"
        )
        return {"round": number, "seconds": seconds, "problem": problem}

    def _played(self) -> str:
        self._traded(self.forward(SAME, "canary"))
        for percent in PERCENTS:
            self.percent(percent)
            self._traded(self.held_by(SAME))
        enter = ("rollout", "promote", "soak")
        self._daemon.run(*enter, within_s=COMMAND_WITHIN_S).ok()
        self._traded(self.held_by(SAME))
        self._daemon.run("rollout", "complete", within_s=COMMAND_WITHIN_S).ok()
        return ""

    def _traded(self, held: list[int]) -> None:
        """Trade for a while, and break a limit; nothing may be held or gone back meanwhile."""
        until_ns = self._clock.steady_ns() + TRADED_S * SECOND_NS
        self.stir(held, lambda: self._clock.steady_ns() > until_ns, WITHIN_S, "the trading to end")
        self.settle()
        problem = self.unanswered(held[:1])
        if problem:
            raise OperatorError(problem)


def in_words(verdict: dict[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    lines = [
        f"{verdict['complete']} of {verdict['rounds']} healthy rollouts came to their end",
        f"{verdict['answered']} of {verdict['breaches']} breaches answered",
    ]
    lines += [f"problem: {text}" for text in verdict["problems"]]
    return lines
