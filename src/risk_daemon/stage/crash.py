"""`./dev crash`: kill -9 of each kind of process under load, and a count of what was lost.

Before each kill a limit is broken on purpose, and the kill comes while the
request that answers it is unsettled at the broker, where fills are made slow.
At the end five witnesses must agree: the referee (every breach answered), a
client that remembers what the journal acknowledged, the locks that stand, the
holder's state, and a replay.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.clock import Clock
from risk_daemon.core.events import Entry, LockEnded, LockPlaced
from risk_daemon.errors import OperatorError, TimedOut
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.accounts import looking
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import DONE
from risk_daemon.operations.stored import entries
from risk_daemon.stage import figures
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import SCENARIOS, Gateway, wednesday_offset_s
from risk_daemon.stage.play import Say
from risk_daemon.stage.waiting import until
from risk_daemon.stage.witness import Witness

KINDS: Final = ("journal", "link", "worker", "supervisor", "console")
#: The accounts whose limits are broken on purpose, by login.
OWN: Final = {"crash-north": 9_200_000_101, "crash-south": 9_200_000_201}
LOCKED_FOR_HOURS, LOCKED_UNTIL_ENDED = 9_200_000_203, 9_200_000_204
LIMIT: Final = 5
#: More than the account's own trader could take away again meanwhile.
EXCESS: Final = 3

WINDOW_S: Final = 5.0
SETTLE_S: Final = 10.0
UNSETTLED_WITHIN_S: Final = 4.0
HEALTHY_WITHIN_S: Final = 30.0
#: So often a limit is broken, where the account's own trader undoes it before anybody sees it.
BROKEN_AT_LAST: Final = 3
CALM_WITHIN_S: Final = 75.0
#: Of 200 in a minute; a restart of a link costs about thirty.
REQUESTS_USED_MAX: Final = 120
SLOW: Final = {"name": "demo", "fill_ms": [300, 500], "duplicates": 0.01}
FAST: Final = {"name": "demo"}

#: Why a lock without an end may end: a person, or what it was for is over.
_RIGHTFUL_ENDS: Final = (
    "ended by",
    "confirmed by",
    "known again",
    "the condition is false",
    "the platform lets",
)
_ON_TIME: Final = "its time is over"


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """One kill: who, with how many requests unsettled, and how long until all was well again."""

    kind: str
    name: str
    unsettled: int
    gap_ms: float
    enforced_ms: float | None = None


def too_much(positions: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the market order after which an account holds more than its limit, whatever it held.

    It is of the first contract and goes on in that one's own direction: one against it would take
    away from what is held.
    """
    held = sum(abs(int(row["q"])) for row in positions)
    first = positions[0] if positions else {"contract": "MNQ", "q": "1"}
    return {
        "contract": first["contract"],
        "side": "sell" if int(str(first["q"])) < 0 else "buy",
        "size": max(LIMIT - held, 0) + EXCESS,
    }


class Crashes:
    """One run: a home, a gateway, and so many kills of each kind."""

    def __init__(self, per_kind: int, seed: int, say: Say, kinds: tuple[str, ...] = KINDS) -> None:
        self._per_kind, self._seed, self._say, self._kinds = per_kind, seed, say, kinds
        self._clock = Clock()
        self._problems: list[str] = []
        self._kills: list[Kill] = []

    def run(self, keep: Path | None = None) -> dict[str, Any]:
        """Kill, and return the verdict."""
        with contextlib.ExitStack() as stack:
            folder = keep or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="risk-daemon-crash-"))
            )
            folder.mkdir(parents=True, exist_ok=True)
            offset_s = wednesday_offset_s(self._clock)
            self._gateway = Gateway(
                folder, config=SCENARIOS / "crash.yaml", seed=self._seed, offset_s=offset_s
            )
            stack.callback(self._gateway.stop)
            self._daemon = Daemon(folder / "home")
            self._home = Home(self._daemon.home)
            stack.callback(self._daemon.stop)
            self._daemon.found(self._gateway, offset_s)
            self._daemon.start()
            return self._under_witness()

    def _under_witness(self) -> dict[str, Any]:
        witness = Witness(self._home.run)
        witness.begin()
        try:
            self._lock_two()
            self._gateway.post("/profile", **SLOW)
            self._gateway.post("/traders", on=True)
            for turn in range(self._per_kind):
                for kind in self._kinds:
                    self._one(kind, turn)
            verdict = self._gateway.post("/finish", settle_s=SETTLE_S)
        finally:
            witness.end()
        self._judge(verdict, witness)
        return self._told(verdict, witness)

    # --- the kills -------------------------------------------------------------------

    def _one(self, kind: str, turn: int) -> None:
        login = list(OWN)[turn % len(OWN)]
        name = self._name(kind, login)
        before = self._pids()
        epochs = self._epochs()
        self._gateway.post("/window", login=None, seconds=WINDOW_S, why=f"kill -9 of {name}")
        unsettled = self._break_a_limit(OWN[login])
        began = self._clock.steady_ns()
        self._daemon.kill(name)
        enforced_ms = self._enforced_again(login, began) if kind == "worker" else None
        if kind == "supervisor":
            self._start_again(before, epochs)
        self._wait(name, before.get(name), f"the accounts to be guarded after {name} was killed")
        gap_ms = round((self._clock.steady_ns() - began) / 1e6, 1)
        self._kills.append(
            Kill(kind=kind, name=name, unsettled=unsettled, gap_ms=gap_ms, enforced_ms=enforced_ms)
        )
        self._say("kill", _in_words(self._kills[-1]))
        self._calm_down()

    def _name(self, kind: str, login: str) -> str:
        if kind == "link":
            return f"link-{login}"
        return self._daemon.active_worker() if kind == "worker" else kind

    def _break_a_limit(self, account: int) -> int:
        """Buy too much; return how many requests are unsettled when the first one is."""
        self._buy_too_much(account)
        try:
            until(self._has_unsettled, UNSETTLED_WITHIN_S, "")
        except TimedOut:
            return 0  # answered between two looks; counted as a kill without one
        return int(self._gateway.get("/unsettled")["n"])

    def _has_unsettled(self) -> bool:
        return bool(self._gateway.get("/unsettled")["n"])

    def _buy_too_much(self, account: int) -> None:
        order = too_much(self._truth(account)["positions"])
        told = self._gateway.post("/order", account=account, type="market", **order)
        if told["code"]:
            self._problems.append(f"the broker refused account {account} an order: {told['text']}")

    def _truth(self, account: int) -> dict[str, Any]:
        rows = self._gateway.get("/truth")["accounts"]
        found: dict[str, Any] = next(row for row in rows if row["account"] == account)
        return found

    def _enforced_again(self, login: str, killed_ns: int) -> float | None:
        """Break a limit at once, on an account nothing is open on; when does its close arrive?

        Its trader may turn round meanwhile, and the referee then counts no breach: so once more.
        """
        account = next(number for name, number in OWN.items() if name != login)
        self._gateway.post("/profile", **FAST)
        try:
            for _ in range(BROKEN_AT_LAST):
                broken = self._breaches(account)
                arrived = self._first_close(account)
                if arrived is not None:
                    return round(arrived - killed_ns / 1e6, 1)
                if self._breaches(account) > broken:
                    break
        finally:
            self._gateway.post("/profile", **SLOW)
        self._problems.append(f"account {account} was not answered after a fail-over")
        return None

    def _breaches(self, account: int) -> int:
        row = self._gateway.get("/verdict")["by_account"].get(str(account), {})
        return int(row.get("breaches", 0))

    def _first_close(self, account: int) -> float | None:
        """Buy too much; return when the first close arrived there, in ms; None: none came."""
        after = max((row["n"] for row in self._gateway.get("/requests")["requests"]), default=0)
        self._buy_too_much(account)
        arrived: list[float] = []

        def look() -> bool:
            rows = self._gateway.get(f"/requests?after={after}")["requests"]
            arrived[:] = [
                row["mono_ms"]
                for row in rows
                if row["account"] == account
                and row["path"].startswith("/Position/")
                and "lose" in row["path"]
            ]
            return bool(arrived)

        try:
            until(look, HEALTHY_WITHIN_S, "a close")
        except TimedOut:
            return None
        return arrived[0]

    def _start_again(self, before: dict[str, int], epochs: dict[int, int]) -> None:
        """Nobody watches the supervisor here: a person starts it, and it finds the others alive."""
        self._daemon.run("start").ok()
        after = self._pids()
        for name, pid in before.items():
            if after.get(name) != pid:
                self._problems.append(
                    f"{name} was process {pid}, and {after.get(name)} after the supervisor's start"
                )
        moved = {n for n, epoch in self._epochs().items() if epoch != epochs.get(n)}
        if moved:
            self._problems.append(
                f"a new supervisor took {len(moved)} accounts from a holder that was alive"
            )

    # --- waiting ---------------------------------------------------------------------

    def _wait(self, name: str, killed: int | None, what: str) -> None:
        until(lambda: self._is_guarded(name, killed), HEALTHY_WITHIN_S, what)

    def _is_guarded(self, name: str, killed: int | None) -> bool:
        """Every account is enforced and connected, and what was killed is there again."""
        try:
            status = asked.status(self._home)
        except OperatorError:
            return False
        pids = {row["name"]: row["pid"] for row in status["processes"]}
        if killed is not None and pids.get(name) in (None, killed):
            return False
        if not all(row["enforcing"] for row in status["accounts"]):
            return False
        return self._links_trusted() and looking.health(self._home).ok

    def _links_trusted(self) -> bool:
        names = [asked.link_name(login) for login in OWN]
        answers = asked.ask_each(self._home, names, "status", {}, 1.0)
        return all(
            not isinstance(answer, OperatorError)
            and answer["state"] == "trusted"
            and answer["journal"]
            for answer in answers.values()
        )

    def _calm_down(self) -> None:
        """Before the next kill: both workers ready, nothing of ours in flight, requests to spare.

        Each kill is to be one crash, not part of a storm that eats the broker's rate limit.
        """

        def calm() -> bool:
            rows = asked.status(self._home)["processes"]
            beating = [row for row in rows if row["heartbeat_age_ms"] is not None]
            return len(beating) == 2 and not self._own_open() and self._has_budget()

        until(
            calm,
            CALM_WITHIN_S,
            "both workers to be ready, ours to be settled and requests to be left",
        )

    def _has_budget(self) -> bool:
        rows = self._gateway.get("/budget").values()
        return all(row["used"] <= REQUESTS_USED_MAX for row in rows)

    def _own_open(self) -> bool:
        closes = self._gateway.get("/unsettled")["closes"]
        held = [sum(abs(int(p["q"])) for p in self._truth(n)["positions"]) for n in OWN.values()]
        return bool(closes) or any(size > LIMIT for size in held)

    def _pids(self) -> dict[str, int]:
        rows = asked.status(self._home)["processes"]
        return {row["name"]: row["pid"] for row in rows}

    def _epochs(self) -> dict[int, int]:
        return {row["account"]: row["epoch"] for row in asked.status(self._home)["accounts"]}

    # --- the judgement -----------------------------------------------------------------

    def _lock_two(self) -> None:
        """Two locks of a person stand from the beginning: with an end, and without."""
        for account, span in ((LOCKED_FOR_HOURS, ("--for", "2h")), (LOCKED_UNTIL_ENDED, ())):
            self._gateway.post("/announce", account=account, act="flatten-lock", by="crash")
            words = ("--account", str(account), "--mode", "flatten-lock", "--reason", "crash")
            self._daemon.run("lockout", "set", *words, *span).ok()

    def _judge(self, verdict: dict[str, Any], witness: Witness) -> None:
        self._problems += verdict["problems"]
        if not verdict["ok"] and not verdict["problems"]:
            self._problems.append("the referee is not content")
        verified = self._daemon.run("verify-state", "--json")
        if verified.code != DONE:
            self._problems.append(f"verify-state: {verified.out}{verified.err}")
        views = asked.views(self._home, asked_accounts(self._home))
        standing = {(n, lock.lock) for n, view in views.items() for lock in view.locks}
        self._daemon.run("stop", "--yes", "--reason", "the crash run is over").ok()
        replayed = self._daemon.replay()
        if replayed.code != DONE:
            self._problems.append(f"replay: {replayed.out}{replayed.err}")
        file = self._home.path / "state" / "journal.db"
        self._problems += witness.contradictions(file)
        self._problems += shortened_locks(entries(file, ("lock-placed", "lock-ended")), standing)

    def _told(self, verdict: dict[str, Any], witness: Witness) -> dict[str, Any]:
        kinds = {kind: self._kind(kind) for kind in self._kinds}
        for kind, row in kinds.items():
            if row["unsettled"] * 2 < row["kills"]:
                self._problems.append(
                    f"{kind}: only {row['unsettled']} of {row['kills']} kills met a request"
                )
        return {
            "ok": not self._problems,
            "kinds": kinds,
            "breaches": verdict["breaches"],
            "answered": verdict["answered"],
            "acknowledged": len(witness.acknowledged),
            "problems": self._problems,
        }

    def _kind(self, kind: str) -> dict[str, Any]:
        mine = [kill for kill in self._kills if kill.kind == kind]
        row: dict[str, Any] = {
            "kills": len(mine),
            "unsettled": sum(kill.unsettled > 0 for kill in mine),
            "gap_ms": figures.summary([kill.gap_ms for kill in mine]),
        }
        enforced = [kill.enforced_ms for kill in mine if kill.enforced_ms is not None]
        if enforced:
            row["enforced_ms"] = figures.summary(enforced)
        return row


def asked_accounts(home: Home) -> list[int]:
    """Return every account the daemon guards."""
    return [row["account"] for row in asked.status(home)["accounts"]]


def shortened_locks(entries: Iterable[Entry], standing: set[tuple[int, str]]) -> list[str]:
    """Return each lock that ended before its time, or that its holder does not know any more."""
    open_locks: dict[tuple[int, str], LockPlaced] = {}
    problems: list[str] = []
    for entry in entries:
        fact = entry.fact
        if isinstance(fact, LockPlaced):
            open_locks.setdefault((fact.account, fact.lock), fact)
        elif isinstance(fact, LockEnded):
            placed = open_locks.pop((fact.account, fact.lock), None)
            if placed is not None and not _may_end(placed, fact, entry.at):
                problems.append(
                    f"lock {fact.lock} of account {fact.account} ended before its time: {fact.why}"
                )
    problems += [
        f"lock {lock} of account {account} was placed, never ended, and is not in force"
        for account, lock in sorted(set(open_locks) - standing)
    ]
    return problems


def _may_end(placed: LockPlaced, ended: LockEnded, at: int) -> bool:
    if ended.why.startswith(_RIGHTFUL_ENDS):
        return True
    return ended.why == _ON_TIME and placed.until is not None and at >= placed.until


def _in_words(kill: Kill) -> str:
    first = f", first close after {kill.enforced_ms:.0f} ms" if kill.enforced_ms else ""
    return (
        f"{kill.name} with {kill.unsettled} unsettled: guarded again after"
        f" {kill.gap_ms:.0f} ms{first}"
    )


def in_words(verdict: dict[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    lines = []
    for kind, row in verdict["kinds"].items():
        gap = row["gap_ms"]
        line = (
            f"{kind}: {row['kills']} kills, {row['unsettled']} with a request unsettled; guarded"
            f" again after {gap['p50']} ms (median), {gap['max']} ms (worst)"
        )
        first = row.get("enforced_ms")
        lines.append(line + (f"; first close after {first['p50']} ms" if first else ""))
    lines.append(
        f"{verdict['breaches']} breaches, {verdict['answered']} answered;"
        f" {verdict['acknowledged']} promises acknowledged"
    )
    lines += [f"problem: {text}" for text in verdict["problems"][:20]]
    lines.append("verdict: nothing was lost" if verdict["ok"] else "verdict: NOT ok")
    return lines
