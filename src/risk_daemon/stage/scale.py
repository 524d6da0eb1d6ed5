"""`./dev bench handover --scale`: a thousand accounts go back to the release they came from.

Real processes: a link for each login, both pairs of workers, half of the accounts in position.
After the way back every account breaks its limit, and has to be answered by the old release.
Times are of the journal's own order: from the first drain of the way back to each grant.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.core.events import DrainAsked, LeaseGranted
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.stored import entries
from risk_daemon.operations.which_release import release
from risk_daemon.stage import figures
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.handover import OTHER, move
from risk_daemon.stage.handover import answered as answered_by
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.play import Say
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until

LOGINS, EACH = 20, 50
EXCESS: Final = 3
#: Twenty links and their SDKs begin on whatever cores there are.
READY_WITHIN_S: Final = 300.0
MOVED_WITHIN_S: Final = 120.0
#: Half of a login's accounts break their limits in one window of the broker's, and then the rest.
ANSWERED_WITHIN_S: Final = 180.0
ALL_MAX_S: Final = 30.0
MOST_MAX_S: Final = 3.0
MOST: Final = 0.9


class Scale:
    """One run: many accounts, there and back, and a breach of each afterwards."""

    def __init__(self, crowd: Crowd, seed: int, say: Say) -> None:
        self._crowd, self._seed, self._say = crowd, seed, say
        self._clock = Clock()

    def run(self, keep: Path | None = None) -> dict[str, Any]:
        """Play, and return the verdict."""
        with contextlib.ExitStack() as stack:
            self._gateway, self._daemon = open_all(stack, "scale", self._crowd, self._seed, keep)
            self._home = Home(self._daemon.home)
            install(self._daemon.home, OTHER)
            return self._played()

    def _played(self) -> dict[str, Any]:
        mine = self._crowd.accounts()
        began = self._clock.steady_ns()
        within = f"{READY_WITHIN_S:g}"
        self._daemon.run("start", "--timeout", within, within_s=READY_WITHIN_S + 60).ok()
        self._daemon.wait_healthy(READY_WITHIN_S)
        took_s = (self._clock.steady_ns() - began) / SECOND_NS
        self._say("stage", f"{len(mine)} accounts of {self._crowd.logins} logins in {took_s:.0f} s")
        hold(self._gateway, mine[::2], LIMIT)
        there_s = self._moved(OTHER)
        back_s = self._moved(release())
        self._say("stage", f"there in {there_s:.1f} s, back in {back_s:.1f} s")
        answered = self._breaches(mine)
        verdict = self._gateway.post("/finish", settle_s=10.0)
        self._daemon.run("stop", "--yes", "--reason", "the rounds are over").ok()
        times = way_back(self._home.path / "state" / "journal.db", release())
        return judge(
            {
                "accounts": len(mine),
                "logins": self._crowd.logins,
                "promote_all_s": round(there_s, 2),
                "rollback_all_s": round(back_s, 2),
                "first_90_percent_s": round(figures.quantile(times, MOST) or 0.0, 2),
                "moved_back": len(times),
                "answered_by_the_old": answered,
                **{name: verdict[name] for name in ("reversed", "increased", "duplicate", "late")},
                "host": figures.host(self._home.path),
            }
        )

    def _moved(self, to: str) -> float:
        began = self._clock.steady_ns()
        move(self._home, to, MOVED_WITHIN_S)
        return (self._clock.steady_ns() - began) / SECOND_NS

    def _breaches(self, mine: list[int]) -> int:
        """Break each account's limit, and count those answered under a lease of this release."""
        for account in mine:
            order = {"account": account, "contract": "MNQ", "side": "buy", "size": EXCESS}
            self._gateway.post("/order", **order, type="market")
        try:
            until(
                lambda: answered_by(self._gateway, mine) == mine,
                ANSWERED_WITHIN_S,
                "each answer",
                every_s=1.0,
            )
        finally:
            rows = {row["account"]: row for row in asked.status(self._home)["accounts"]}
            shut = answered_by(self._gateway, mine)
            self._say("stage", f"{len(shut)} of {len(mine)} breaches answered")
        return sum(rows[account]["release"] == release() for account in shut)


def way_back(file: Path, to: str) -> list[float]:
    """Return, for each lease of the last move to a release, the seconds since its first drain."""
    began = 0
    found: list[float] = []
    for entry in entries(file, ("drain-asked", "lease-granted")):
        match entry.fact:
            case DrainAsked(release=heir):
                if heir != to:
                    began = 0
                elif not began:
                    began, found = entry.at, []
            case LeaseGranted(release=heir) if heir == to and began:
                found.append((entry.at - began) / SECOND_NS)
            case _:
                pass
    return found


def judge(told: dict[str, Any]) -> dict[str, Any]:
    """Hold the figures against what is promised."""
    problems = []
    if told["rollback_all_s"] > ALL_MAX_S:
        problems.append(f"all went back in {told['rollback_all_s']} s, allowed {ALL_MAX_S:g}")
    if told["first_90_percent_s"] > MOST_MAX_S:
        problems.append(
            f"90 % had gone back after {told['first_90_percent_s']} s, allowed {MOST_MAX_S:g}"
        )
    problems += [
        f"{name.replace('_', ' ')}: {told[name]} of {told['accounts']}"
        for name in ("moved_back", "answered_by_the_old")
        if told[name] != told["accounts"]
    ]
    zero = ("reversed", "increased", "duplicate", "late")
    problems += [f"{name}: {told[name]}" for name in zero if told[name]]
    return {"ok": not problems, **told, "problems": problems}


def in_words(verdict: dict[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    lines = [
        f"{verdict['accounts']} accounts of {verdict['logins']} logins: all back in"
        f" {verdict['rollback_all_s']} s, 90 % in {verdict['first_90_percent_s']} s",
        f"a breach of each afterwards: {verdict['answered_by_the_old']} answered by the old one",
    ]
    lines += [f"problem: {text}" for text in verdict["problems"][:20]]
    lines.append("verdict: ok" if verdict["ok"] else "verdict: NOT ok")
    return lines
