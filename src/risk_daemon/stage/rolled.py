"""A crowd of accounts at the simulated gateway, a daemon, and releases that are rolled out to them.

What rollouts that are played share: they are asked for by the commands, traders trade meanwhile,
and what became of it is judged at the gateway and by the workers' own word.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import Clock
from risk_daemon.errors import TimedOut
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.which_release import release
from risk_daemon.stage.crowd import Crowd, hold
from risk_daemon.stage.handover import closes
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.play import Say
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until

#: Each holds so many contracts of two that are allowed.
HELD, EXCESS = 1, 2
ENTERED_WITHIN_S: Final = 120.0
ANSWERED_WITHIN_S: Final = 30.0
#: Between two orders of a trader: some twenty facts a second.
STIRS_EVERY_S: Final = 0.1

type Change = tuple[str, str, str]


class Rolled:
    """A daemon of this release with others beside it, and traders who trade on request."""

    crowd: Crowd
    #: How long all of it may take to start, where that is longer than usual.
    ready_within_s: float = 0.0

    def __init__(self, say: Say) -> None:
        self._say, self._clock = say, Clock()
        self._turns = 0
        #: Who holds nothing all along.
        self._flat: frozenset[int] = frozenset()

    def open(
        self,
        stack: contextlib.ExitStack,
        name: str,
        plan: str,
        releases: Mapping[str, Sequence[Change]],
        keep: Path | None = None,
        holding: Sequence[int] = (),
    ) -> None:
        """Begin: gateway, home, releases, daemon, and a position of each account (`holding`)."""
        self._gateway, self._daemon = open_all(stack, name, self.crowd, 5, keep)
        self._home = Home(self._daemon.home)
        for version, changes in releases.items():
            install(self._daemon.home, version, *changes)
        (self._daemon.home / "config" / "rollout.yaml").write_text(plan)
        self._begin_guarding()
        mine = self.crowd.accounts()
        self._flat = frozenset(mine).difference(holding or mine)
        hold(self._gateway, holding or mine, HELD)

    def _begin_guarding(self) -> None:
        if not self.ready_within_s:
            self._daemon.start()
            return
        within = f"{self.ready_within_s:g}"
        self._daemon.run("start", "--timeout", within, within_s=self.ready_within_s + 60).ok()
        self._daemon.wait_healthy(self.ready_within_s)

    # --- asking ---

    def planned(self, version: str) -> None:
        """Plan a rollout of a release and agree to its start."""
        first = str(self.crowd.accounts()[0])
        self._daemon.run("deploy", "plan", version, "--account", first).ok()
        self._daemon.run("rollout", "approve", "start", "--by", "somebody").ok()

    def forward(self, version: str, phase: str) -> list[int]:
        """Have a release enter a phase; return who it holds then."""
        self.planned(version)
        first = str(self.crowd.accounts()[0])
        canary = ("deploy", "canary", "--account", first)
        self._daemon.run(*canary, within_s=ENTERED_WITHIN_S).ok()
        if phase != "canary":
            self.percent(phase)
        return self.held_by(version)

    def percent(self, phase: str) -> None:
        """Enter the phase of a percentage."""
        self._daemon.run("deploy", "percentage", "--percent", phase, within_s=ENTERED_WITHIN_S).ok()

    # --- trading ---

    def order(self, account: int, side: str, size: int) -> None:
        """Have a trader buy or sell."""
        order = {"account": account, "contract": "MNQ", "side": side, "type": "market"}
        self._gateway.post("/order", **order, size=size)

    def stir(
        self, accounts: Sequence[int], is_over: Callable[[], bool], within_s: float, what: str
    ) -> None:
        """Buy one and sell one on an account after the other until it is over."""

        def turned() -> bool:
            turn, self._turns = self._turns, self._turns + 1
            self.order(accounts[turn // 2 % len(accounts)], "sell" if turn % 2 else "buy", 1)
            return turn % 10 == 9 and is_over()

        until(turned, within_s, what, every_s=STIRS_EVERY_S)

    def settle(self) -> None:
        """Have every account hold again what it held at first."""
        as_before = {one: HELD * (one not in self._flat) for one in self.crowd.accounts()}
        for account, quantity in self.positions().items():
            if quantity != as_before[account]:
                side = "sell" if quantity > as_before[account] else "buy"
                self.order(account, side, abs(quantity - as_before[account]))
        until(
            lambda: self.positions() == as_before,
            ANSWERED_WITHIN_S,
            "what each had held",
        )

    # --- judging ---

    def unanswered(self, accounts: Sequence[int]) -> str:
        """Break the limit of accounts; say what is wrong, empty if each was met."""
        before = {account: self._closed(account) for account in accounts}
        for account in accounts:
            self.order(account, "buy", EXCESS)
        try:
            until(
                lambda: all(self._closed(n) > before[n] for n in accounts),
                ANSWERED_WITHIN_S,
                "each account that broke its limit to be met",
            )
            self.settle()
        except TimedOut as error:
            return str(error)
        return ""

    def astray(self, moved: Sequence[int]) -> str:
        """Say what is not as it should be once every account is back; empty if all is."""
        told = self.rollout()["accounts"]
        elsewhere = [row["account"] for row in told if row["release"] != release()]
        if elsewhere:
            return f"not back: {', '.join(map(str, elsewhere))}"
        looked_at = {row["account"] for row in told if row["smoke"] == "pass"}
        unseen = sorted(set(moved) - looked_at)
        if unseen:
            return f"back, and not looked at: {', '.join(map(str, unseen))}"
        idle = [row["account"] for row in self.rows() if not row["enforcing"]]
        return f"nobody enforces {', '.join(map(str, idle))}" if idle else ""

    # --- looking ---

    def _closed(self, account: int) -> int:
        return len(closes(self._gateway.get("/requests")["requests"]).get(account, ()))

    def positions(self) -> dict[int, int]:
        """What each account holds, by the gateway's books."""
        rows = self._gateway.get("/truth")["accounts"]
        return {row["account"]: sum(p["q"] for p in row["positions"]) for row in rows}

    def rows(self) -> list[dict[str, Any]]:
        """Who enforces each account."""
        found: list[dict[str, Any]] = asked.status(self._home)["accounts"]
        return found

    def held_by(self, version: str) -> list[int]:
        """The accounts that a release holds."""
        return [row["account"] for row in self.rows() if row["release"] == version]

    def rollout(self) -> dict[str, Any]:
        """The rollout as it stands."""
        found: dict[str, Any] = asked.ask(self._home, asked.SUPERVISOR, "rollout", {}, 10.0)
        return found
