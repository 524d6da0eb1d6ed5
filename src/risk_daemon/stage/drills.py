"""`./dev drill`: each disaster for real, with a breach in the midst of it.

Twenty accounts of four logins in position at a simulated gateway, one of them locked by a person,
a large state file, real processes. Each half of a drill breaks something and, at the same moment,
one account's limit; the clock runs from there to the closing request that answers it, as the
gateway saw it. What a person types is typed line by line, without a pause to think.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.errors import OperatorError, TimedOut
from risk_daemon.journal.swap import ASIDE
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.which_release import release
from risk_daemon.stage import brief, figures, large, small_disk
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.drill_book import (
    FILE,
    Drill,
    Half,
    Typed,
    failed,
    judge,
    verdict,
    words_of,
)
from risk_daemon.stage.every_file import treat
from risk_daemon.stage.handover import (
    CLOSES,
    DISK,
    LEFT,
    OTHER,
    REQUESTS_USED_MAX,
    STAYED_UP_S,
    fill_disk,
)
from risk_daemon.stage.lost_state import empty, ruin
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.play import Say
from risk_daemon.stage.proof import tag
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until

CROWD: Final = Crowd(4, 5)
SIZE_MB: Final = 200
EXCESS: Final = 2
#: A drill that takes longer is ended, and has failed.
ENDS_WITHIN_S: Final = 600.0
#: A minute until the broker's window has room again, and what a restart takes.
CALM_WITHIN_S: Final = 150.0
LOOK_EVERY_S: Final = 0.2
#: For so long the broker is gone.
CUT_OFF_S: Final = 5.0
#: Room for so many state files, beside what a start asks for.
COPIES: Final = 4
#: What a person frees room with, and what else fills the disk.
ROOM: Final = "risk-daemon-admin backup prune --keep 3 --yes"
DOES_NOT_TRIP: Final = (
    "rules/max_contracts.py",
    "if exposure > self.limit:",
    "if exposure > 9 * self.limit:",
)
LOCK_REASON: Final = "to be found again"

type Act = Callable[[], None]


def nothing() -> None:
    """Where nothing is to be done."""


class Drills:
    """One run: a home at a gateway, and one drill after the other.

    `stayed_up_s`: what ends sooner is started again later each time, as is what never worked.
    """

    def __init__(
        self,
        say: Say,
        *,
        size_mb: int = SIZE_MB,
        seed: int = 5,
        stayed_up_s: float = STAYED_UP_S,
    ) -> None:
        self._say, self._size_mb, self._seed = say, size_mb, seed
        self._stayed_up_s = stayed_up_s
        self._clock = Clock()
        self._turn = 0
        self._stands_for: dict[str, str] = {}
        #: What a person does beside a line, which no line of ours can.
        self._after: dict[str, Act] = {}

    def run(self, drills: Sequence[Drill], keep: Path | None = None) -> dict[str, Any]:
        """Play them in order, and return the verdict. One that fails ends the run."""
        with contextlib.ExitStack() as stack:
            self._gateway, self._daemon = open_all(stack, "drill", CROWD, self._seed, keep)
            self._home = Home(self._daemon.home)
            self._prepare()
            rows = []
            for drill in drills:
                rows.append(self._one(drill))
                if not rows[-1]["ok"] and not self._is_whole():
                    rows += [failed(one, "not begun") for one in drills[len(rows) :]]
                    break
            size = sum(one.stat().st_size for one in self._home.state.glob("journal.db*"))
            return verdict(
                rows, size_mb=round(size / large.MB, 1), host=figures.host(self._home.path)
            )

    def _prepare(self) -> None:
        accounts = CROWD.accounts()
        self._daemon.start()
        hold(self._gateway, accounts[:1], LIMIT)
        self._locked = accounts[0]
        words = ("--account", str(self._locked), "--mode", "reduce-only", "--reason", LOCK_REASON)
        self._daemon.run("lockout", "set", *words).ok()
        if self._size_mb:
            large.caught_up(
                self._daemon, self._size_mb, CROWD, lambda text: self._say("grow", text)
            )
        # Not before: every quote of the large file would be weighed for every position.
        hold(self._gateway, accounts[1:], LIMIT)
        self._say("stage", f"{len(accounts)} accounts in position, one of them locked")

    def _one(self, drill: Drill) -> dict[str, Any]:
        self._say(drill.name, f"{drill.broken} ...")
        try:
            row = judge(drill, list(PLAYS[drill.name](self, drill)))
        except OperatorError as error:
            row = failed(drill, error.sentence)
        except subprocess.TimeoutExpired as hung:
            row = failed(drill, f"a command did not end: {hung}")
        self._say(drill.name, _in_words(row))
        return row

    # --- the drills -------------------------------------------------------------------

    def crash(self, drill: Drill) -> Iterable[Half]:
        """Kill all that the supervisor starts again; then everything, and nobody starts it."""
        yield self._half(self._kill_its_children)
        yield self._half(self._kill_all, drill.lines)

    def _kill_its_children(self) -> None:
        for name, process in self._daemon.processes(spare=True).items():
            if name != "supervisor":
                process.kill()

    def _kill_all(self) -> None:
        self._daemon.kill_all()
        until(lambda: not self._daemon.processes(), CALM_WITHIN_S, "everything to be gone")

    def disconnect(self, drill: Drill) -> Iterable[Half]:
        """Lose the broker for a while; afterwards, what a person looks at."""
        yield self._half(self._cut_off)
        yield self._only_typed(drill.lines)

    def _cut_off(self) -> None:
        for kind in ("hub_refuse", "rest_error"):
            self._gateway.fault(kind, seconds=CUT_OFF_S)
        self._gateway.fault("hub_reset")

    def config(self, drill: Drill) -> Iterable[Half]:
        """Overwrite the configuration in use; then all is killed while it lies there."""
        yield self._half(self._spoil)
        yield self._half(self._kill_all, drill.lines)

    def _spoil(self) -> None:
        for name in ("daemon.yaml", "policy.yaml"):
            treat(self._home.config / name, "corrupt")

    def database(self, drill: Drill) -> Iterable[Half]:
        """Ruin the state file in use; then at rest, and have a person rebuild it."""
        self._have_backup()
        yield self._half(self._ruin_in_use)
        yield self._half(self._ruin_at_rest, drill.lines)

    def _ruin_in_use(self) -> None:
        ruin(self._home)
        self._daemon.kill("journal")

    def _ruin_at_rest(self) -> None:
        self._kill_all()
        ruin(self._home)

    def restore(self, drill: Drill) -> Iterable[Half]:
        """Lose the state with everything, and have a person bring a backup back."""
        self._have_backup()
        yield self._half(self._lose, drill.lines)

    def _lose(self) -> None:
        self._kill_all()
        empty(self._home)

    def _have_backup(self) -> None:
        if not Path(self._stands_for.get(FILE, "none")).is_file():
            self._say("stage", "a backup is made, and restored once to be sure ...")
            self._stands_for[FILE] = str(large.backed_up(self._daemon))

    def disk(self, drill: Drill) -> Iterable[Half]:
        """Fill the disk of the home; a person makes room."""
        with self._on_a_small_disk():
            self._after[ROOM] = lambda: small_disk.free(self._home.path)
            yield self._half(lambda: fill_disk(self._home), drill.lines)

    @contextlib.contextmanager
    def _on_a_small_disk(self) -> Iterator[None]:
        """Move the home onto a file system of its own that can be filled, and back."""
        if not small_disk.is_possible(self._home.path.parent):
            raise OperatorError("this system lets nobody mount a small file system: not drilled")
        aside = self._home.path.with_name("home-aside")
        self._move_home(aside)
        self._home.path.mkdir()
        small_disk.mount(DISK + COPIES * self._size_mb * large.MB, self._home.path)
        try:
            self._copy_back(aside)
            self._daemon.start()
            small_disk.fill(self._home.path, LEFT)
            yield
        finally:
            self._daemon.stop()
            until(lambda: not self._daemon.processes(), CALM_WITHIN_S, "everything to be gone")
            small_disk.free(self._home.path)
            shutil.rmtree(aside)
            shutil.copytree(self._home.path, aside, symlinks=True)
            small_disk.unmount(self._home.path)
            self._home.path.rmdir()
            aside.rename(self._home.path)
        self._daemon.start()

    def _move_home(self, aside: Path) -> None:
        self._daemon.run("stop", "--yes", "--reason", "the home moves to a small disk").ok()
        until(lambda: not self._daemon.processes(), CALM_WITHIN_S, "everything to be gone")
        self._home.path.rename(aside)

    def _copy_back(self, aside: Path) -> None:
        """Copy what a home needs; what was set aside of it would only take room."""
        left_out = shutil.ignore_patterns(ASIDE)
        shutil.copytree(aside, self._home.path, symlinks=True, ignore=left_out, dirs_exist_ok=True)

    def rollback(self, drill: Drill) -> Iterable[Half]:
        """Have a release hold all accounts that does not trip, and go back from it."""
        install(self._daemon.home, OTHER, DOES_NOT_TRIP)
        tag(self._home.config, brief.COMMIT)
        self._stands_for[brief.INCUMBENT] = release()
        until(self._is_promoted, large.CAUGHT_UP_WITHIN_S, "all accounts to be with the other one")
        yield self._half(nothing, drill.lines)
        self._daemon.run("retire", OTHER).ok()

    def _is_promoted(self) -> bool:
        """Ask until it is so: a release that has no snapshot folds everything first."""
        words = ("promote", "--all", "--to-version", OTHER)
        return self._daemon.run(*words, within_s=ENDS_WITHIN_S).code == 0

    # --- one half ---------------------------------------------------------------------

    def _half(self, break_it: Act, lines: Sequence[Typed] = ()) -> Half:
        """Break something and a limit, type what there is to type, and see both mended."""
        account = self._next_account()
        self._calm()
        began = self._clock.steady_ns()
        break_it()
        self._order(account, EXCESS)
        typed = tuple(self._typed(line) for line in lines)
        typed_s = self._since(began) if lines else 0.0
        until(lambda: self._is_met(account, began), ENDS_WITHIN_S, "the breach's answer")
        answered_s = self._answered_ms(account, began) / 1e3
        until(self._is_healthy, ENDS_WITHIN_S, "every account to be guarded", every_s=LOOK_EVERY_S)
        healthy_s = self._since(began)
        self._say("half", f"breach answered after {answered_s:.1f} s, healthy {healthy_s:.1f} s")
        problems = [row["problem"] for row in typed if row["problem"]]
        return Half(
            answered_s=answered_s,
            healthy_s=healthy_s,
            typed_s=max(typed_s, healthy_s) if lines else 0.0,
            typed=typed,
            problems=(*problems, *self._lost_lock()),
        )

    def _only_typed(self, lines: Sequence[Typed]) -> Half:
        """Type lines where nothing is broken any more."""
        began = self._clock.steady_ns()
        typed = tuple(self._typed(line) for line in lines)
        until(self._is_healthy, ENDS_WITHIN_S, "every account to be guarded", every_s=LOOK_EVERY_S)
        problems = tuple(row["problem"] for row in typed if row["problem"])
        return Half(typed_s=self._since(began), typed=typed, problems=problems)

    def _since(self, began: int) -> float:
        return (self._clock.steady_ns() - began) / SECOND_NS

    def _next_account(self) -> int:
        """Take another account each time, of another login; never the locked one."""
        self._turn += 1
        mine = CROWD.accounts_of(self._turn % CROWD.logins)
        return mine[1 + self._turn // CROWD.logins % (len(mine) - 1)]

    def _order(self, account: int, size: int) -> None:
        order = {"account": account, "contract": "MNQ", "side": "buy", "type": "market"}
        self._gateway.post("/order", **order, size=size)

    def _typed(self, line: Typed) -> dict[str, Any]:
        """Type one line; what it ended with is a problem where it may not."""
        began = self._clock.steady_ns()
        try:
            words = words_of(line.text, self._stands_for)
            done = self._daemon.run(*words, within_s=ENDS_WITHIN_S)
            code, said = done.code, done.err + done.out
        except subprocess.TimeoutExpired:
            code, said = -1, "it did not end"
        self._after.get(line.text, nothing)()
        seconds = self._since(began)
        self._say("typed", f"{seconds:6.2f} s  exit {code}  {line.text}")
        problem = ""
        if code not in line.exits:
            problem = f"`{line.text}` ended with {code}: {' '.join(said.split())[:300]}"
        return {"line": line.text, "exit": code, "seconds": round(seconds, 2), "problem": problem}

    # --- judged at the gateway --------------------------------------------------------

    def _is_met(self, account: int, began: int) -> bool:
        """The account is back at its limit, by a request that was taken."""
        return self._held(account) == LIMIT and self._answered_ms(account, began) > 0

    def _answered_ms(self, account: int, began: int) -> float:
        rows = self._gateway.get("/requests")["requests"]
        return first_answer(rows, account, began / 1e6)

    def _held(self, account: int) -> int:
        rows = self._gateway.get("/truth")["accounts"]
        found = next(row["positions"] for row in rows if row["account"] == account)
        return sum(int(one["q"]) for one in found)

    def _is_healthy(self) -> bool:
        return self._daemon.run("health").code == 0

    def _lost_lock(self) -> tuple[str, ...]:
        locks = asked.views(self._home, [self._locked])[self._locked].locks
        if any(LOCK_REASON in lock.reason for lock in locks):
            return ()
        return (f"the lock of a person on account {self._locked} was lost",)

    # --- between ----------------------------------------------------------------------

    def _calm(self) -> None:
        """Wait for requests to spare, and for every process to have stayed up for a while."""
        until(self._is_calm, CALM_WITHIN_S, "the stage to be calm", every_s=LOOK_EVERY_S)

    def _is_calm(self) -> bool:
        used = [row["used"] for row in self._gateway.get("/budget").values()]
        return max(used) <= REQUESTS_USED_MAX and self._have_stayed_up() and self._is_healthy()

    def _have_stayed_up(self) -> bool:
        try:
            rows = asked.status(self._home)["processes"]
        except OperatorError:
            return False
        return all(row["since_s"] >= self._stayed_up_s for row in rows)

    def _is_whole(self) -> bool:
        """Tell whether another drill may begin."""
        with contextlib.suppress(TimedOut, OperatorError):
            self._calm()
            return True
        return False


type Play = Callable[[Drills, Drill], Iterable[Half]]
PLAYS: Final[dict[str, Play]] = {
    "crash": Drills.crash,
    "disconnect": Drills.disconnect,
    "config": Drills.config,
    "database": Drills.database,
    "disk": Drills.disk,
    "rollback": Drills.rollback,
    "restore": Drills.restore,
}


def first_answer(rows: Iterable[dict[str, Any]], account: int, since_ms: float) -> float:
    """Return how long after a moment an account's first close was taken (ms); 0 if none was."""
    found = (
        row["mono_ms"] - since_ms
        for row in rows
        if row["account"] == account
        and row["path"] in CLOSES
        and row["mono_ms"] >= since_ms
        and row["status"] == 200
        and row["code"] == 0
    )
    return min(found, default=0.0)


def _in_words(row: dict[str, Any]) -> str:
    end = "ok" if row["ok"] else f"NOT ok: {row['problem']}"
    return f"{end}; breach {row['seconds']} s, by hand {row['by_hand_s']} s"
