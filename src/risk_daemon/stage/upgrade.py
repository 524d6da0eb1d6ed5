"""`./dev demo upgrade`: a release, a really different one, and back, while traders trade.

Both releases are made from this checkout, signed, brought into a depot of their own and staged.
The daemon is the previous commit's; all accounts are given to the changed release, its active
worker is killed with -9, and all accounts go back. The referee judges the whole of it, as he
judges a day without an upgrade.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.depot.staging import python_of
from risk_daemon.errors import OperatorError
from risk_daemon.operations.releases import gaps
from risk_daemon.stage import figures, two_releases
from risk_daemon.stage.daemon import Daemon, Done
from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.play import Look, Play, Say

type Make = Callable[[Path, Path], Path]

#: When what happens, as a share of the time that is played.
PROMOTE_AT, KILL_AT, ROLL_BACK_AT = 0.2, 0.5, 0.7
MOVE_WITHIN_S: Final = 90.0
STAGED_WITHIN_S: Final = 240.0
MEMORY_MB: Final = 500.0
SHORTEST_S: Final = 30
#: The rule that the two decide differently: it alerts, and closes nothing.
ALERT: Final = "daily-combined-loss"
ALERT_AT: Final = "60.00"
#: Until the gateway is open.
NOWHERE: Final = "http://127.0.0.1:9"


class TwoReleases(Daemon):
    """A daemon of the first of two staged releases; both are made when it is founded.

    `makes`: for each, what writes its checkout from this one into a folder.
    """

    def __init__(
        self,
        home: Path,
        say: Say,
        makes: tuple[Make, ...] = (two_releases.previous, two_releases.changed),
    ) -> None:
        super().__init__(home)
        self._say, self._makes = say, makes
        self.environment["RISK_DAEMON_DEPOT"] = str(home.parent / "depot")
        self.releases: list[str] = []
        self.digests: dict[str, str] = {}

    def prepare(self, referee: Path) -> None:
        """Make the home and both releases, and have it run the first of them.

        Before the gateway opens: its day begins with it, and this takes a minute or two.
        """
        self.init(referee, NOWHERE)
        self._before()
        folder = self.home.parent
        checkout = two_releases.checkout_of(Path(__file__).parent)
        key = folder / "release.key"
        words = ("--out", str(key), "--json")
        public = self.run_anywhere("release", "keygen", *words).ok().data["data"]["public"]
        (self.home / "trusted.keys").write_text(f"{public}\n")
        for number, make in enumerate(self._makes):
            made = make(checkout, folder / "made" / f"release-{number}")
            self._stage(made, key)
            two_releases.forget(made)
        self.python = str(python_of(self.home / "releases" / self.releases[0]))

    def found(self, gateway: Gateway, offset_s: float = 0.0) -> None:
        """Point the prepared home at the gateway."""
        settings = self.home / "config" / "daemon.yaml"
        settings.write_text(settings.read_text().replace(NOWHERE, gateway.url))
        self.settle(offset_s)

    def _before(self) -> None:
        """Give every account a limit that only alerts, so that nothing else hangs on it."""
        self.run("config", "set-rule", "all", ALERT, f"limit={ALERT_AT}", "mode=alert").ok()

    def _stage(self, checkout: Path, key: Path) -> None:
        out = self.home.parent / "made" / f"{checkout.name}.tar"
        self._say("release", f"{checkout.name}: making it, and unpacking it for 20 to 60 s ...")
        words = ("--from", str(checkout), "--key", str(key), "--out", str(out), "--json")
        made = self.run_anywhere("release", "build", *words).ok().data["data"]
        version = str(made["version"])
        self.run("release", "add", str(out), within_s=STAGED_WITHIN_S).ok()
        self.run("release", "stage", version, within_s=STAGED_WITHIN_S).ok()
        out.unlink()
        self.releases.append(version)
        self.digests[version] = str(made["digest"])
        self._say("release", f"{version}: digest {str(made['digest'])[:16]}, signed, staged")

    def run_anywhere(self, *words: str) -> Done:
        """Run a command that needs no home."""
        done = subprocess.run(
            [self.python, "-m", "risk_daemon.programs.admin", *words],
            capture_output=True,
            text=True,
            timeout=STAGED_WITHIN_S,
            env=self.environment,
            check=False,
        )
        return Done(words, done.returncode, done.stdout, done.stderr)

    def judged_by(self, release: str) -> dict[str, Any]:
        """Have a release decide the whole journal again, in a process of its own."""
        return self._judged(python_of(self.home / "releases" / release), release)

    def judged_here(self, release: str) -> dict[str, Any]:
        """Have this checkout's code do so in the name of a release."""
        return self._judged(Path(sys.executable), release)

    def _judged(self, python: Path, release: str) -> dict[str, Any]:
        words = ["-m", "risk_daemon.programs.worker", "--home", str(self.home), "--verify"]
        done = subprocess.run(
            [str(python), *words, "--release", release],
            capture_output=True,
            text=True,
            timeout=STAGED_WITHIN_S,
            env=self.environment,
            check=False,
        )
        if not done.stdout:
            raise OperatorError(f"{release} did not decide the journal again: {done.stderr[-300:]}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found


class Upgrade(Play):
    """One run: there and back under load, with a kill between."""

    def __init__(
        self,
        seconds: float,
        seed: int,
        say: Say,
        *,
        keep: Path | None = None,
        look: Look | None = None,
    ) -> None:
        super().__init__(seconds, seed, say, keep=keep, look=look)
        self._moves: dict[str, dict[int, float]] = {}
        self._wrong: list[str] = []
        self._moving: tuple[str, subprocess.Popen[str]] | None = None

    def _gateway(self, folder: Path) -> Gateway:
        referee = folder / "referee.yaml"
        referee.write_text(self._scenario())
        self._two = TwoReleases(folder / "home", self._say)
        self._two.prepare(referee)
        return super()._gateway(folder)

    def _daemon(self, folder: Path) -> Daemon:
        del folder
        return self._two

    def _scenario(self) -> str:
        """Leave the rule that differs to the alert: what only alerts is not the referee's."""
        lines = super()._scenario().splitlines(keepends=True)
        return "".join(line for line in lines if "daily_combined_loss" not in line)

    # --- the plot ------------------------------------------------------------

    def _plot(self) -> list[tuple[float, Callable[[Gateway, Daemon], None]]]:
        old, new = self._two.releases
        return [
            (PROMOTE_AT * self.seconds, lambda _, daemon: self._move(daemon, "promote", new)),
            (KILL_AT * self.seconds, self._kill_the_heir),
            (ROLL_BACK_AT * self.seconds, lambda _, daemon: self._move(daemon, "rollback", old)),
        ]

    def _move(self, daemon: Daemon, verb: str, release: str) -> None:
        self._arrived()
        self._say("act", f"{verb} of all accounts to {release}")
        command = daemon.begin(verb, "--all", "--to-version", release, "--json")
        self._moving = (verb, command)

    def _arrived(self) -> None:
        """Take the answer of the move under way: a gap for each account, or why it stayed."""
        if self._moving is None:
            return
        verb, command = self._moving
        self._moving = None
        out, err = command.communicate(timeout=MOVE_WITHIN_S)
        try:
            rows = json.loads(out)["data"]["accounts"]
        except (ValueError, KeyError, TypeError):
            self._wrong.append(f"the {verb} ended with {command.returncode}: {err}{out}")
            return
        gaps = self._moves.setdefault(verb, {})
        for row in rows:
            if row["moved"] and row.get("gap_ms") is not None:
                gaps[row["account"]] = row["gap_ms"]
                line = f"handed over in {row['gap_ms']} ms to {row['holder']}, epoch {row['epoch']}"
            else:
                line = f"was not handed over: {row['why']}"
                self._wrong.append(f"{verb}: account {row['account']} {line}")
            self._say("moved", f"account {row['account']} {line}")

    def _kill_the_heir(self, gateway: Gateway, daemon: Daemon) -> None:
        self._arrived()
        self._kill(gateway, daemon)

    def _act_out(self, gateway: Gateway, daemon: Daemon) -> None:
        super()._act_out(gateway, daemon)
        self._arrived()

    # --- the verdict ---------------------------------------------------------

    def _play(self, folder: Path, gateway: Gateway, daemon: Daemon) -> dict[str, Any]:
        verdict = super()._play(folder, gateway, daemon)
        daemon.run("stop", "--yes", "--reason", "the upgrade was shown").ok()
        old, new = self._two.releases
        judged = {release: self._two.judged_by(release) for release in (old, new)}
        verdict["releases"] = {
            release: {
                "digest": self._two.digests[release],
                "decisions": found["decisions"],
                "decided": found["digest"],
            }
            for release, found in judged.items()
        }
        # A commit from before a judge told such decisions apart is judged by this one's.
        is_told = "elsewhere" in judged[old]
        verdict["differing"] = differing(judged[old] if is_told else self._two.judged_here(old))
        file = self._two.home / "state" / "journal.db"
        verdict["gap_from_journal_ms"] = {
            release: msgspec.to_builtins(gaps.of_release(file, release)) for release in (old, new)
        }
        return told(verdict)

    def _judged(self, verdict: dict[str, Any]) -> dict[str, Any]:
        verdict["gaps_ms"] = {
            verb: {str(account): gap for account, gap in sorted(rows.items())}
            for verb, rows in self._moves.items()
        }
        verdict["gap_ms"] = {
            verb: figures.summary(list(rows.values())) for verb, rows in self._moves.items()
        }
        verdict["problems"] += self._wrong
        accounts = len(verdict["by_account"])
        for verb in ("promote", "rollback"):
            if len(self._moves.get(verb, {})) != accounts:
                found = len(self._moves.get(verb, {}))
                verdict["problems"].append(f"{verb}: {found} of {accounts} accounts have a gap")
        return verdict


def differing(judged: dict[str, Any]) -> list[str]:
    """Say what the other release decided and this one does not, in their order."""
    return [line for line in judged["elsewhere"] if "BreachFound" in line]


def told(verdict: dict[str, Any]) -> dict[str, Any]:
    """Add what an upgrade promises beyond the referee's word; each broken promise is a problem."""
    problems = verdict["problems"]
    if verdict["memory_mb"]["total"] >= MEMORY_MB:
        problems.append(f"memory is {verdict['memory_mb']['total']} MB, the limit is {MEMORY_MB:g}")
    decided = {row["decided"] for row in verdict["releases"].values()}
    if len(decided) < 2 or not verdict["differing"]:
        problems.append("the two releases decided the same: no difference was shown")
    if not verdict["breaches"]:
        problems.append("nobody broke a limit: nothing was shown")
    verdict["ok"] = bool(verdict["ok"]) and not problems
    return verdict


def in_words(verdict: dict[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    lines = [
        f"{release}: digest {row['digest'][:16]}; the same records, {row['decisions']} decisions,"
        f" digest {row['decided'][:16]}"
        for release, row in verdict["releases"].items()
    ]
    lines += [f"one differing decision: {text}" for text in verdict["differing"][:1]]
    for verb, gap in verdict["gap_ms"].items():
        lines.append(
            f"{verb}: {gap['n']} accounts, from silence to the heir's own word median"
            f" {gap['p50']} ms, worst {gap['max']} ms"
        )
    lines += [
        f"{verdict['breaches']} breaches, {verdict['answered']} answered, {verdict['late']} late",
        f"memory of the daemon, both releases warm: {verdict['memory_mb']['total']} MB at its most",
    ]
    lines += [f"problem: {text}" for text in verdict["problems"][:20]]
    lines.append(
        "verdict: there and back, every breach answered" if verdict["ok"] else "verdict: NOT ok"
    )
    return lines


def refuse_short(seconds: float) -> None:
    """Refuse an upgrade too short to go there and back."""
    if seconds < SHORTEST_S:
        raise OperatorError(f"--seconds {seconds:g} is too short; at least {SHORTEST_S}", 2)
