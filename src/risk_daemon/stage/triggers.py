"""Six reasons to go back at once, each made to happen in the canary and at half of the accounts.

Releases that are bad in one way, from the moment on at which a file lies there: so each passes its
shadow, is given accounts, and then shows what it is. Nobody gives a command (but for the incident,
which somebody has to report). Counted is from the moment it turns bad until every account is back
and was looked at; judged at the gateway, where an account that breaks its limit must be met.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.errors import TimedOut
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.releases import release
from risk_daemon.stage.crowd import Crowd, hold
from risk_daemon.stage.handover import closes
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.play import Say
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until

CROWD: Final = Crowd(2, 5)
FIRST: Final = CROWD.accounts()[0]
PHASES: Final = ("canary", "50")
#: Each holds so many contracts of two that are allowed.
HELD, EXCESS = 1, 2
BACK_WITHIN_S: Final = 120.0
ENTERED_WITHIN_S: Final = 120.0
ANSWERED_WITHIN_S: Final = 30.0
#: Between two orders of a trader: some twenty facts a second.
STIRS_EVERY_S: Final = 0.1
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
    change: tuple[str, str, str] | None


_FOLDS: Final = '        """Fold one record; return what it makes necessary, in a fixed order."""\n'
_OVER: Final = "        if exposure > self.limit:\n"
_ASKS: Final = "            finding = rule.check(self.world, account)\n"
_PAYS: Final = "    booked.net = gross - trade.fees - trade.commissions\n"
FAULTS: Final = (
    Fault(
        "error rate > 1 %",
        "v9.1.0",
        (
            "core/engine.py",
            _ASKS,
            "            if self.world.seq % 20 == 0 and LIT:\n"
            '                raise ValueError("one of twenty")\n' + _ASKS,
        ),
    ),
    Fault(
        "crash in production",
        "v9.2.0",
        ("core/engine.py", _FOLDS, _FOLDS + "        if LIT:\n            os._exit(23)\n"),
    ),
    Fault(
        "rules not triggering correctly",
        "v9.3.0",
        (
            "rules/max_contracts.py",
            _OVER,
            _OVER.replace("self.limit:", "self.limit and not LIT:"),
        ),
    ),
    Fault(
        "state corruption",
        "v9.4.0",
        ("core/account.py", _PAYS, _PAYS + "    booked.net += 1_000_000_000 * LIT\n"),
    ),
    Fault(
        "performance -50 %",
        "v9.5.0",
        ("core/engine.py", _FOLDS, _FOLDS + "        if LIT:\n            time.sleep(0.002)\n"),
    ),
    Fault("security incident", "v9.6.0", None),
)


class Triggers:
    """One run over some faults and phases; each is a rollout of its own."""

    def __init__(
        self, say: Say, faults: Sequence[Fault] = FAULTS, phases: Sequence[str] = PHASES
    ) -> None:
        self._say, self._clock = say, Clock()
        self._faults, self._phases = faults, phases

    def run(self, keep: Path | None = None) -> list[dict[str, Any]]:
        """Play each, and return what came of it: a problem, or none."""
        with contextlib.ExitStack() as stack:
            self._gateway, self._daemon = open_all(stack, "triggers", CROWD, 5, keep)
            self._home = Home(self._daemon.home)
            self._fuse = self._daemon.home.parent / "bad"
            for fault in self._faults:
                install(self._daemon.home, fault.release, *self._changes(fault))
            (self._daemon.home / "config" / "rollout.yaml").write_text(PLAN)
            self._daemon.start()
            hold(self._gateway, CROWD.accounts(), HELD)
            return [self._row(fault, phase) for phase in self._phases for fault in self._faults]

    def _changes(self, fault: Fault) -> list[tuple[str, str, str]]:
        """Write the change with its fuse; what it needs is imported where it stands."""
        if fault.change is None:
            return []
        file, old, new = fault.change
        lit = f'__import__("os").path.exists({str(self._fuse)!r})'
        for name in ("os", "time"):
            new = new.replace(f" {name}.", f' __import__("{name}").')
        return [(file, old, new.replace("LIT", lit))]

    # --- one rollout ---

    def _row(self, fault: Fault, phase: str) -> dict[str, Any]:
        self._say("trigger", f"{fault.trigger}, in phase {phase}")
        try:
            row = self._played(fault, phase)
        except TimedOut as error:
            told = self._rollout()
            row = {
                "problem": f"{error}; the rollout is {told.get('stage')}, {told.get('why') or 'ok'}"
            }
            self._daemon.run("rollout", "abort", "--reason", "it was not seen")
        finally:
            self._fuse.unlink(missing_ok=True)
        row = {"trigger": fault.trigger, "phase": phase, "problem": "", **row}
        self._say("problem" if row["problem"] else "trigger", row["problem"] or _told(row))
        return row

    def _played(self, fault: Fault, phase: str) -> dict[str, Any]:
        moved = self._forward(fault.release, phase)
        self._fuse.touch()
        began = self._clock.steady_ns()
        self._happens(fault, moved)
        self._stir(moved)
        seconds = (self._clock.steady_ns() - began) / SECOND_NS
        self._fuse.unlink(missing_ok=True)
        self._settles()
        told = self._rollout()
        return {
            "by": told["why"],
            "accounts": len(moved),
            "seconds": round(seconds, 1),
            "problem": self._problem(moved),
        }

    def _forward(self, version: str, phase: str) -> list[int]:
        """Have a release enter a phase; return who it holds then."""
        run = self._daemon.run
        run("deploy", "plan", version, "--account", str(FIRST)).ok()
        run("rollout", "approve", "start", "--by", "somebody").ok()
        run("deploy", "canary", "--account", str(FIRST), within_s=ENTERED_WITHIN_S).ok()
        if phase != "canary":
            run("deploy", "percentage", "--percent", phase, within_s=ENTERED_WITHIN_S).ok()
        return [row["account"] for row in self._rows() if row["release"] == version]

    def _happens(self, fault: Fault, moved: list[int]) -> None:
        """Do what makes it show, where traders trading does not."""
        if fault.change is None:
            self._daemon.run("rollout", "incident", "--reason", "a key was seen elsewhere").ok()
        elif fault.trigger.startswith("rules"):
            for account in moved:
                self._order(account, "buy", EXCESS)

    def _stir(self, moved: list[int]) -> None:
        """Trade on the accounts that were moved until every account is back."""
        turns = iter(range(1 << 30))

        def is_back() -> bool:
            turn = next(turns)
            account = moved[turn // 2 % len(moved)]
            self._order(account, "sell" if turn % 2 else "buy", 1)
            return turn % 10 == 9 and self._rollout()["stage"] == "aborted"

        until(is_back, BACK_WITHIN_S, "every account to be back", every_s=STIRS_EVERY_S)

    def _settles(self) -> None:
        """Have every account hold again what it held at first."""
        for account, quantity in self._held().items():
            if quantity != HELD:
                side = "sell" if quantity > HELD else "buy"
                self._order(account, side, abs(quantity - HELD))
        until(
            lambda: set(self._held().values()) == {HELD},
            ANSWERED_WITHIN_S,
            "each to hold as before",
        )

    # --- judging ---

    def _problem(self, moved: list[int]) -> str:
        """Say what is not as it should be, with every account back; empty if all is."""
        told = self._rollout()["accounts"]
        elsewhere = [row["account"] for row in told if row["release"] != release()]
        if elsewhere:
            return f"not back: {', '.join(map(str, elsewhere))}"
        asked_of = {row["account"]: row for row in told}
        unseen = [n for n in moved if asked_of[n]["smoke"] != "pass"]
        if unseen:
            return f"back, and not looked at: {', '.join(map(str, unseen))}"
        idle = [row["account"] for row in self._rows() if not row["enforcing"]]
        if idle:
            return f"nobody enforces {', '.join(map(str, idle))}"
        return self._unanswered(moved)

    def _unanswered(self, moved: list[int]) -> str:
        before = {account: self._closed(account) for account in moved}
        for account in moved:
            self._order(account, "buy", EXCESS)
        try:
            until(
                lambda: all(self._closed(n) > before[n] for n in moved),
                ANSWERED_WITHIN_S,
                "each of the moved accounts to be met",
            )
            self._settles()
        except TimedOut as error:
            return str(error)
        return ""

    def _closed(self, account: int) -> int:
        return len(closes(self._gateway.get("/requests")["requests"]).get(account, ()))

    def _held(self) -> dict[int, int]:
        rows = self._gateway.get("/truth")["accounts"]
        return {row["account"]: sum(p["q"] for p in row["positions"]) for row in rows}

    def _rows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = asked.status(self._home)["accounts"]
        return found

    def _rollout(self) -> dict[str, Any]:
        found: dict[str, Any] = asked.ask(self._home, asked.SUPERVISOR, "rollout", {}, 10.0)
        return found

    def _order(self, account: int, side: str, size: int) -> None:
        order = {"account": account, "contract": "MNQ", "side": side, "type": "market"}
        self._gateway.post("/order", **order, size=size)


def _told(row: dict[str, Any]) -> str:
    return f"{row['accounts']} back in {row['seconds']:g} s: {row['by']}"
