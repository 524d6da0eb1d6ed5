"""`./dev proof --own`: a release takes over from the one before by its own rollout, and gives back.

The one before is the commit before this one, made, signed, staged and running as any release is.
This checkout, made the same way, goes from one account to all and is marked complete; then journal,
links, console and supervisor are handed over too. After that all of it goes back. In between an
account of whoever holds it breaks its limit, and must be met.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.errors import OperatorError
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.which_release import release
from risk_daemon.stage import two_releases
from risk_daemon.stage.crowd import Crowd, hold
from risk_daemon.stage.gateway import Gateway, wednesday_offset_s
from risk_daemon.stage.rolled import HELD, Rolled
from risk_daemon.stage.triggers import PLAN
from risk_daemon.stage.upgrade import TwoReleases

CROWD: Final = Crowd(2, 3)
#: What the commit before is called here: it may bear our own version.
BEFORE: Final = "v0.0.1"
PERCENTS: Final = ("50", "100")
COMMAND_WITHIN_S: Final = 120.0


class OwnRollout(Rolled):
    """One run: there by a rollout, and back by a rollback."""

    crowd = CROWD

    def run(self, keep: Path | None = None) -> dict[str, Any]:
        """Play, and return the verdict: a row for each step, and what is wrong with it."""
        self._rows: list[dict[str, Any]] = []
        mine, steps = release(), dict[str, Callable[[], str]]()
        with contextlib.ExitStack() as stack:
            self._begin(stack, keep)
            steps["the canary"] = lambda: self._held(self.forward(mine, "canary"), 1)
            for percent in PERCENTS:
                steps[f"{percent} %"] = partial(self._percent, percent, mine)
            steps["complete"] = self._complete
            steps["everything else follows"] = lambda: self._follows(mine)
            steps["every account goes back"] = self._back
            steps["everything else goes back"] = lambda: self._follows(BEFORE)
            for name, step in steps.items():
                if not self._step(name, step):
                    break
            found = self._gateway.post("/finish", settle_s=5.0)
        problems = [f"{row['step']}: {row['problem']}" for row in self._rows if row["problem"]]
        zero = ("reversed", "increased", "duplicate", "late")
        problems += [f"{name}: {found[name]}" for name in zero if found[name]]
        return {
            "ok": not problems,
            "releases": [BEFORE, mine],
            "breaches": found["breaches"],
            "answered": found["answered"],
            "steps": self._rows,
            "problems": problems,
        }

    def _begin(self, stack: contextlib.ExitStack, keep: Path | None) -> None:
        """Have the release before guard the crowd, and this one staged beside it."""
        folder = keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="risk-daemon-own-"))
        )
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "own.yaml"
        config.write_text(self.crowd.scenario())
        daemon = TwoReleases(folder / "home", self._say, (_before, _mine))
        daemon.prepare(config)
        offset_s = wednesday_offset_s(Clock())
        self._gateway = Gateway(folder, config=config, seed=5, offset_s=offset_s)
        stack.callback(self._gateway.stop)
        stack.callback(daemon.stop)
        daemon.found(self._gateway, offset_s)
        (daemon.home / "config" / "rollout.yaml").write_text(PLAN)
        daemon.start()
        self._daemon, self._home = daemon, Home(daemon.home)
        hold(self._gateway, self.crowd.accounts(), HELD)

    def _step(self, name: str, step: Callable[[], str]) -> bool:
        began = self._clock.steady_ns()
        try:
            problem = step()
        except OperatorError as error:
            problem = error.sentence
        seconds = round((self._clock.steady_ns() - began) / SECOND_NS, 1)
        self._rows.append({"step": name, "seconds": seconds, "problem": problem})
        self._say("problem" if problem else "step", f"{name}: {problem or 'done'}, {seconds} s")
        return not problem

    # --- the steps ---

    def _percent(self, percent: str, version: str) -> str:
        self.percent(percent)
        wanted = len(self.crowd.accounts()) * int(percent) // 100
        return self._held(self.held_by(version), wanted)

    def _held(self, accounts: list[int], wanted: int) -> str:
        if len(accounts) != wanted:
            return f"{len(accounts)} of {wanted} accounts are held by it"
        return self.unanswered(accounts[:1])

    def _complete(self) -> str:
        self._typed("rollout", "promote", "soak")
        self._typed("rollout", "complete")
        return ""

    def _follows(self, version: str) -> str:
        self._typed("hand-over", "--to-version", version)
        told = asked.status(self._home)
        # Whose workers are warm beside is another thing: the way back is short because of them.
        others = [one for one in told["processes"] if not one["name"].startswith("worker")]
        runs = {"supervisor": told["release"]} | {one["name"]: one["release"] for one in others}
        if set(runs.values()) != {version}:
            return f"not all of it is {version}: {runs}"
        self._typed("verify-state")
        return self.unanswered(self.crowd.accounts()[:1])

    def _back(self) -> str:
        self._typed("rollback", "--all", "--to-version", BEFORE)
        return self._held(self.held_by(BEFORE), len(self.crowd.accounts()))

    def _typed(self, *words: str) -> None:
        self._daemon.run(*words, within_s=COMMAND_WITHIN_S).ok()


def _before(here: Path, there: Path) -> Path:
    return two_releases.previous(here, there, BEFORE)


def _mine(here: Path, there: Path) -> Path:
    return two_releases.changed(here, there, (), release())


def in_words(verdict: dict[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    before, mine = verdict["releases"]
    end = "there and back by its own rollout" if verdict["ok"] else "not as it should be"
    return [
        f"{before} (the commit before) and {mine} (this checkout): {end}",
        f"{verdict['answered']} of {verdict['breaches']} breaches answered",
        *(f"problem: {text}" for text in verdict["problems"]),
    ]
