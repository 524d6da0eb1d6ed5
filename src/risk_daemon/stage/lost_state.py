"""`./dev bench restore`: a large state file is lost, or ruined, and everyone is protected again.

Real processes, half of the accounts in position, one of them locked by a person. The clock runs
from the loss to the closing request that answers a breach sent at that moment, as the broker sees
both; and to `health`.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.operations.home import Home
from risk_daemon.operations.state_file import FILE
from risk_daemon.stage import figures, large
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.handover import closes, first_shown
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.play import Say
from risk_daemon.stage.waiting import until

SIZE_MB: Final = 200
LIMIT_S: Final = 60.0
BACK_WITHIN_S: Final = 300.0
PAGE: Final = 4_096
CROWD: Final = Crowd(2, 10)
PLACES: Final = ("-wal", "-shm", "")


class LostState:
    """One run: a home whose state file is made large, then lost in each of two ways."""

    def __init__(self, size_mb: int, seed: int, say: Say) -> None:
        self._size_mb, self._seed, self._say = size_mb, seed, say
        self._clock = Clock()

    def run(self, keep: Path | None = None) -> dict[str, Any]:
        """Play, and return the verdict."""
        with contextlib.ExitStack() as stack:
            self._gateway, self._daemon = open_all(stack, "lost", CROWD, self._seed, keep)
            self._home = Home(self._daemon.home)
            return self._played()

    def _played(self) -> dict[str, Any]:
        accounts = CROWD.accounts()
        self._daemon.start()
        hold(self._gateway, accounts[::2], LIMIT)
        self._locked = accounts[1]
        self._daemon.run(
            "lockout", "set", "--account", str(self._locked), "--mode", "reduce-only",
            "--reason", "to be found again",
        ).ok()  # fmt: skip
        records = self._grown()
        backup, backup_s = self._timed(self._backed_up)
        self._say("stage", f"a backup made and verified in {backup_s:.1f} s")
        ways = {
            "ruined while it runs": self._way(accounts[0], self._ruin, lambda: None),
            "lost with everything": self._way(
                accounts[2], self._lose, lambda: self._restore(backup)
            ),
        }
        return judge(
            {
                "size_mb": round((self._home.state / FILE).stat().st_size / large.MB, 1),
                "records": records,
                "backup_s": round(backup_s, 1),
                "ways": ways,
                "host": figures.host(self._home.path),
            }
        )

    def _grown(self) -> int:
        """Make the file large, and have the worker keep a snapshot near its end."""
        return large.caught_up(
            self._daemon, self._size_mb, CROWD, lambda text: self._say("grow", text)
        )

    def _backed_up(self) -> Path:
        done = self._daemon.run(
            "backup", "create", "--json", within_s=large.CAUGHT_UP_WITHIN_S
        ).ok()
        return Path(done.data["data"]["file"])

    def _timed[T](self, what: Callable[[], T]) -> tuple[T, float]:
        began = self._clock.steady_ns()
        found = what()
        return found, (self._clock.steady_ns() - began) / SECOND_NS

    # --- the two ways -----------------------------------------------------------------

    def _way(
        self, account: int, lose: Callable[[], None], recover: Callable[[], None]
    ) -> dict[str, Any]:
        """Lose the state while a limit is broken, and time who is protected again when."""
        lines = len(self._gateway.get("/happenings")["happenings"])
        began = self._clock.steady_ns()
        lose()
        order = {"account": account, "contract": "MNQ", "side": "buy", "size": LIMIT}
        self._gateway.post("/order", **order, type="market")
        recover()
        until(lambda: self._closed(account, lines) > 0, BACK_WITHIN_S, "the breach's answer")
        answered_s = (self._closed(account, lines) - began / 1e6) / 1e3
        self._daemon.wait_healthy(BACK_WITHIN_S)
        healthy_s = (self._clock.steady_ns() - began) / SECOND_NS
        rows = {row["account"]: row for row in self._daemon.api("/api/v1/accounts")["accounts"]}
        return {
            "answered_s": round(answered_s, 1),
            "healthy_s": round(healthy_s, 1),
            "lock_stands": bool(rows[self._locked]["locks"]),
        }

    def _closed(self, account: int, lines: int) -> float:
        """Return when the first closing request after the breach came (ms, monotonic), or 0."""
        shown = first_shown(self._gateway.get(f"/happenings?after={lines}")["happenings"])
        if account not in shown:
            return 0.0
        found = closes(self._gateway.get("/requests")["requests"]).get(account, [])
        return min((at for at in found if at >= shown[account]), default=0.0)

    def _ruin(self) -> None:
        """Ruin it under the journal, which ends at the latest now."""
        ruin(self._home)
        self._daemon.kill("journal")

    def _lose(self) -> None:
        """Kill everything, and empty the state's folder."""
        self._daemon.kill_all()
        until(lambda: not self._daemon.processes(), BACK_WITHIN_S, "everything to be gone")
        empty(self._home)

    def _restore(self, backup: Path) -> None:
        """Do what a person would type."""
        restore = ("restore", "--backup-file", str(backup), "--reason", "the disk was replaced")
        self._daemon.run(*restore, within_s=BACK_WITHIN_S).ok()
        self._daemon.run("start", "--timeout", f"{BACK_WITHIN_S:g}", within_s=BACK_WITHIN_S).ok()


def ruin(home: Home) -> None:
    """Overwrite the beginning of every page of the state file and of its log."""
    for ending in PLACES[::2]:
        path = home.state / f"{FILE}{ending}"
        if path.exists():
            with path.open("r+b") as file:
                for place in range(0, path.stat().st_size, PAGE):
                    file.seek(place)
                    file.write(b"\xff" * 64)


def empty(home: Home) -> None:
    """Remove whatever is in the state's folder: files, and folders with what is in them."""
    for found in home.state.iterdir():
        if found.is_dir() and not found.is_symlink():
            shutil.rmtree(found)
        else:
            found.unlink()


def judge(told: dict[str, Any]) -> dict[str, Any]:
    """Hold the times against what is promised."""
    problems = []
    for way, row in told["ways"].items():
        slowest = max(row["answered_s"], row["healthy_s"])
        if slowest > LIMIT_S:
            problems.append(f"{way}: protected after {slowest} s, allowed {LIMIT_S:g}")
        if not row["lock_stands"]:
            problems.append(f"{way}: a person's lock was lost")
    return {"ok": not problems, **told, "problems": problems}


def in_words(verdict: dict[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    lines = [
        f"{verdict['size_mb']} MB, {verdict['records']} records:"
        f" a backup made and verified in {verdict['backup_s']} s"
    ]
    lines += [
        f"{way}: a breach answered after {row['answered_s']} s, healthy after {row['healthy_s']} s"
        for way, row in verdict["ways"].items()
    ]
    lines += [f"problem: {text}" for text in verdict["problems"]]
    lines.append("verdict: ok" if verdict["ok"] else "verdict: NOT ok")
    return lines
