"""`./dev crash --files`: every file of a home damaged, cut and deleted, in use and at rest.

After each the account must be guarded again within a minute, by whatever means: a breach is made
and must be answered. A person's lock on a second account must stand throughout. Only credentials
are left out: without them nothing can guard, and the refusal says so.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.clock import Clock
from risk_daemon.errors import OperatorError, TimedOut
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway, wednesday_offset_s
from risk_daemon.stage.play import Say
from risk_daemon.stage.waiting import until

GUARDED, LOCKED = 9_700_000_001, 9_700_000_002
LIMIT, EXCESS = 2, 2
WITHIN_S: Final = 60.0
ANSWERED_WITHIN_S: Final = 20.0
SCENARIO: Final = f"""\
seed: 11
traders: false
profile: calm
logins:
  - user: every-file
    api_key: a-key-of-every-file
    accounts: [{{id: {GUARDED}, name: FILE-1}}, {{id: {LOCKED}, name: FILE-2}}]
limits:
  default: {{max_contracts: {LIMIT}, daily_realized_loss: "200000.00"}}
"""
TREATMENTS: Final = ("corrupt", "cut", "delete")
#: What a treatment leaves out: keys; what is not a file of content; copies of what was before.
LEFT_OUT: Final = ("credentials", "releases", "set-aside", "backups")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One file, what was done to it and when, and how long until a breach was answered."""

    file: str
    how: str
    is_running: bool
    seconds: float
    problem: str = ""


def treat(path: Path, how: str) -> None:
    """Do it to a file: the middle half overwritten, the second half cut off, or gone."""
    if how == "delete":
        path.unlink()
        return
    size = path.stat().st_size
    with path.open("r+b") as file:
        if how == "cut":
            file.truncate(size // 2)
        else:
            file.seek(size // 4)
            file.write(b"\xa5" * max(size // 2, 1))


def files_of(home: Path) -> list[str]:
    """Return every file of a home that a treatment may take, by its name in the home."""
    names = [path.relative_to(home) for path in sorted(home.rglob("*")) if path.is_file()]
    return [
        name.as_posix()
        for name in names
        if name.parts[0] not in LEFT_OUT and ".git" not in name.parts
    ]


class EveryFile:
    """One run."""

    def __init__(
        self,
        say: Say,
        *,
        only: Callable[[str], bool] = lambda _: True,
        treatments: Iterable[str] = TREATMENTS,
        moments: Iterable[bool] = (True, False),
    ) -> None:
        self._say, self._only = say, only
        self._treatments, self._moments = tuple(treatments), tuple(moments)
        self._clock = Clock()
        self._cases: list[Case] = []

    def run(self, keep: Path | None = None) -> dict[str, Any]:
        """Treat every file, and return the verdict."""
        with contextlib.ExitStack() as stack:
            folder = keep or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="risk-daemon-files-"))
            )
            folder.mkdir(parents=True, exist_ok=True)
            config = folder / "files.yaml"
            config.write_text(SCENARIO)
            self._offset_s = wednesday_offset_s(self._clock)
            self._gateway = Gateway(folder, config=config, seed=11, offset_s=self._offset_s)
            stack.callback(self._gateway.stop)
            self._daemon = Daemon(folder / "home")
            stack.callback(self._daemon.stop)
            self._begin()
            names = [name for name in files_of(self._daemon.home) if self._only(name)]
            for is_running in self._moments:
                for name in names:
                    for how in self._treatments:
                        self._one(name, how, is_running)
        problems = [
            f"{one.file}, {one.how}, {'in use' if one.is_running else 'at rest'}: {one.problem}"
            for one in self._cases
            if one.problem
        ]
        return {
            "ok": not problems and bool(self._cases),
            "files": len({one.file for one in self._cases}),
            "cases": len(self._cases),
            "worst_s": max((one.seconds for one in self._cases), default=0.0),
            "problems": problems,
        }

    def _begin(self) -> None:
        """Make the home anew, start it, and lock the second account."""
        shutil.rmtree(self._daemon.home, ignore_errors=True)
        self._sell_all()
        self._daemon.found(self._gateway, self._offset_s)
        self._daemon.start()
        self._gateway.post("/announce", account=LOCKED, act="flatten-lock", by="crash")
        lock = ("--account", str(LOCKED), "--mode", "flatten-lock", "--reason", "every file")
        self._daemon.run("lockout", "set", *lock).ok()
        until(self._is_locked, WITHIN_S, "the person's lock")

    def _one(self, name: str, how: str, is_running: bool) -> None:
        path = self._daemon.home / name
        if not path.is_file() or path.is_symlink():
            return
        before = path.read_bytes()
        if not is_running:
            self._daemon.kill_all()
            until(lambda: not self._daemon.processes(), WITHIN_S, "everything to be gone")
            if not path.is_file():
                return
        began = self._clock.steady_ns()
        treat(path, how)
        problem = self._ends_guarded(is_running)
        seconds = (self._clock.steady_ns() - began) / 1e9
        case = Case(
            file=name, how=how, is_running=is_running, seconds=round(seconds, 1), problem=problem
        )
        self._cases.append(case)
        self._say("file", _in_words(case))
        if problem:
            self._daemon.kill_all()
            until(lambda: not self._daemon.processes(), WITHIN_S, "everything to be gone")
            self._begin()
        elif not name.startswith(("state/", "run/", "logs/")):
            path.write_bytes(before)

    def _ends_guarded(self, is_running: bool) -> str:
        """Return what is wrong after a minute; empty where a breach is answered."""
        if not is_running:
            done = self._daemon.run("start")
            if done.code:
                return f"start ended with {done.code}: {(done.err + done.out).strip()[-300:]}"
        try:
            until(self._is_guarded, WITHIN_S, "every account to be guarded", every_s=0.1)
            self._breach_is_answered()
        except (TimedOut, OperatorError) as error:
            return str(error)
        try:
            until(self._is_locked, ANSWERED_WITHIN_S, "the person's lock to stand")
        except TimedOut as error:
            return str(error)
        return ""

    def _is_guarded(self) -> bool:
        return self._daemon.run("health").code == 0

    def _breach_is_answered(self) -> None:
        order = {"account": GUARDED, "contract": "MNQ", "side": "buy", "type": "market"}
        self._gateway.post("/order", **order, size=LIMIT + EXCESS)
        until(lambda: self._held() > 0, ANSWERED_WITHIN_S, "the order to fill")
        until(lambda: self._held() == LIMIT, ANSWERED_WITHIN_S, "the breach to be answered")
        self._gateway.post("/order", **(order | {"side": "sell"}), size=LIMIT)
        until(lambda: self._held() == 0, ANSWERED_WITHIN_S, "the rest to be sold")

    def _sell_all(self) -> None:
        """Begin flat: no limit acts upon what it found broken when it was adopted."""
        order = {"account": GUARDED, "contract": "MNQ", "side": "sell", "type": "market"}
        if self._held() > 0:
            self._gateway.post("/order", **order, size=self._held())
            until(lambda: self._held() == 0, ANSWERED_WITHIN_S, "everything to be sold")

    def _held(self) -> int:
        rows = self._gateway.get("/truth")["accounts"]
        (mine,) = [row["positions"] for row in rows if row["account"] == GUARDED]
        return sum(int(one["q"]) for one in mine)

    def _is_locked(self) -> bool:
        try:
            views = asked.views(Home(self._daemon.home), [LOCKED])
        except OperatorError:
            return False
        return any(
            "every file" in lock.reason and lock.mode == "full"
            for view in views.values()
            for lock in view.locks
        )


def _in_words(case: Case) -> str:
    when = "in use" if case.is_running else "at rest"
    end = case.problem or f"guarded after {case.seconds} s"
    return f"{case.file}, {case.how}, {when}: {end}"


def in_words(verdict: dict[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    lines = [
        f"{verdict['files']} files, {verdict['cases']} cases; guarded again after"
        f" {verdict['worst_s']} s at worst"
    ]
    lines += [f"problem: {text}" for text in verdict["problems"]]
    lines.append("verdict: every file may be lost" if verdict["ok"] else "verdict: NOT ok")
    return lines
