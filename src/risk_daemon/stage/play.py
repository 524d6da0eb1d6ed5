"""The demo: a minute of trading with something breaking every ten seconds, judged at the end."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.errors import OperatorError, TimedOut
from risk_daemon.operations.words import count
from risk_daemon.rules import CATALOG
from risk_daemon.stage import figures
from risk_daemon.stage.daemon import COMMAND_WITHIN_S, Daemon
from risk_daemon.stage.gateway import SCENARIOS, Gateway, wednesday_offset_s
from risk_daemon.stage.told import Told
from risk_daemon.stage.waiting import pause, until

SETTLE_S: Final = 6.0
LINES_EVERY_S: Final = 0.1
VIEWS_WITHIN_S: Final = 3.0
TOLD_EVERY_S: Final = 1.0
MEMORY_EVERY_S: Final = 5.0
#: An order of an operator may take this long to come through the command line, or longer where
#: a command that only asks took longer than a quarter of it.
GRACE_MS: Final = 900
COMMAND_VARIES: Final = 4
#: Whom the operator looks at first; the others are needed for what only they break.
WATCHED: Final = (9_000_000_101, 9_000_000_103, 9_000_000_302)
LATENCY_MS: Final = {"p95": 20.0, "p99": 60.0}
MEMORY_MB: Final = 400.0
BREACHES_LEAST: Final = 40
OUTSIDE_FAULTS_LEAST: Final = 0.6
#: The demo's own counts are only promised for a whole minute.
WHOLE_S: Final = 60

Say = Callable[[str, str], None]
#: Called every tenth of a second with the seconds played, by who draws a picture of it.
Look = Callable[[Gateway, Daemon, float], None]


class Play:
    """One run of the demo in a scratch folder."""

    settle_s = SETTLE_S

    def __init__(
        self,
        seconds: float,
        seed: int,
        say: Say,
        source: Path | None = None,
        *,
        quiet: bool = False,
        keep: Path | None = None,
        look: Look | None = None,
    ) -> None:
        self.seconds, self.seed, self._say = seconds, seed, say
        self._source, self._quiet, self._keep = source, quiet, keep
        self._look = look
        self._clock = Clock()
        self._seen = 0
        self._memory: dict[str, float] = {"total": 0.0}
        self._began = 0
        self._grace_ms: float = GRACE_MS
        self._commands: list[subprocess.Popen[str]] = []
        self._pressed: dict[int, subprocess.Popen[str]] = {}

    def run(self) -> dict[str, Any]:
        """Play, and return the verdict with figures."""
        with contextlib.ExitStack() as stack:
            folder = self._keep or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="risk-daemon-demo-"))
            )
            folder.mkdir(parents=True, exist_ok=True)
            gateway = self._gateway(folder)
            daemon = self._daemon(folder)
            try:
                return self._play(folder, gateway, daemon)
            finally:
                daemon.stop()
                gateway.stop()

    def _gateway(self, folder: Path) -> Gateway:
        config = folder / "referee.yaml"
        config.write_text(self._scenario())
        self._offset_s = self._offset()
        return Gateway(folder, config=config, seed=self.seed, offset_s=self._offset_s)

    def _daemon(self, folder: Path) -> Daemon:
        """Return the daemon that is to be played with; it is founded and started later."""
        return Daemon(folder / "home", self._source)

    def _scenario(self) -> str:
        """Write the accounts and limits; traders come in when the daemon is ready for them."""
        return (SCENARIOS / "demo.yaml").read_text().replace("traders: true", "traders: false")

    def _offset(self) -> float:
        """Return what makes the exchange's clock show the hour the play begins at."""
        return wednesday_offset_s(self._clock)

    def _play(self, folder: Path, gateway: Gateway, daemon: Daemon) -> dict[str, Any]:
        host = figures.host(folder)
        accounts = count(len(gateway.get("/truth")["accounts"]), "account")
        self._say("stage", f"a simulated broker with {accounts} is open")
        daemon.found(gateway, self._offset_s)
        daemon.start()
        self._grace_ms = self._time_of_a_command(daemon)
        self._say("stage", f"the daemon guards {accounts}; trading begins")
        self._began = self._clock.steady_ns()
        self._act_out(gateway, daemon)
        verdict: dict[str, Any] = gateway.post("/finish", settle_s=self.settle_s)
        verdict["problems"] += self._failed_commands() + differences(gateway, daemon)
        self._tell(gateway)
        self._measure(daemon)
        verdict["memory_mb"] = self._memory
        verdict["host"] = host
        return self._judged(verdict)

    def _judged(self, verdict: dict[str, Any]) -> dict[str, Any]:
        return judge(verdict, self.seconds)

    # --- the plot ------------------------------------------------------------

    def _act_out(self, gateway: Gateway, daemon: Daemon) -> None:
        gateway.post("/traders", on=True, end_in_s=self.seconds)
        plot, told, next_told = self._plot(), Told(daemon.home), 0.0
        next_memory = MEMORY_EVERY_S
        while (now_s := self._now_s()) < self.seconds:
            while plot and now_s >= plot[0][0]:
                plot.pop(0)[1](gateway, daemon)
            if now_s >= next_memory:
                next_memory += MEMORY_EVERY_S
                self._measure(daemon)
            self._tell(gateway)
            if self._look is not None:
                self._look(gateway, daemon, now_s)
            if now_s >= next_told and not self._quiet:
                next_told += TOLD_EVERY_S
                for line in told.lines():
                    self._say("daemon", line)
            pause(LINES_EVERY_S)

    def _now_s(self) -> float:
        return (self._clock.steady_ns() - self._began) / SECOND_NS

    def _plot(self) -> list[tuple[float, Callable[[Gateway, Daemon], None]]]:
        """Something breaks every ten seconds; between, an operator presses the button."""
        scenes = [self._drop, self._freeze, self._kill, self._throttle, self._close_with_error]
        plot: list[tuple[float, Callable[[Gateway, Daemon], None]]] = []
        at, turn = 10.0, 0
        while at <= self.seconds - 8.0:
            plot.append((at, scenes[turn % len(scenes)]))
            at, turn = at + 10.0, turn + 1
        plot += [(at, self._button) for at in (7.0, 17.0, 36.0) if at <= self.seconds - 8.0]
        return sorted(plot, key=lambda item: item[0])

    def _drop(self, gateway: Gateway, daemon: Daemon) -> None:
        del daemon
        self._say("fault", "the connection of login demo_north is reset")
        gateway.fault("hub_reset", login="demo_north")

    def _freeze(self, gateway: Gateway, daemon: Daemon) -> None:
        del daemon
        self._say("fault", "login demo_south freezes for 3 s: connected, and nothing comes")
        gateway.fault("freeze", login="demo_south", seconds=3)

    def _kill(self, gateway: Gateway, daemon: Daemon) -> None:
        name = daemon.active_worker()
        gateway.post("/window", login=None, seconds=1.0, why=f"kill -9 of {name}")
        self._say("fault", f"{name}, which enforces all accounts, is killed with -9")
        daemon.kill(name)

    def _throttle(self, gateway: Gateway, daemon: Daemon) -> None:
        del daemon
        self._say("fault", "the broker answers login demo_west with 429 for 3 s")
        gateway.fault("rate_limit", login="demo_west", seconds=3)

    def _close_with_error(self, gateway: Gateway, daemon: Daemon) -> None:
        del daemon
        self._say("fault", "the broker closes all hubs with an error")
        gateway.fault("hub_close_error")

    def _button(self, gateway: Gateway, daemon: Daemon) -> None:
        """A person locks an account that holds something."""
        held = [
            row["account"]
            for row in gateway.get("/truth")["accounts"]
            if row["positions"] and not row["is_locked"]
        ]
        account = next((n for n in (*WATCHED, *held) if n in held), None)
        if account is None:
            return
        self._say("act", f"an operator locks account {account}: flatten, nothing new")
        gateway.post(
            "/announce", account=account, act="flatten-lock", by="demo", grace_ms=self._grace_ms
        )
        words = ("--account", str(account), "--mode", "flatten-lock", "--reason", "demo")
        self._commands.append(daemon.begin("lockout", "set", *words))
        self._pressed[account] = self._commands[-1]

    def _ordered(self, gateway: Gateway) -> None:
        """Tell the referee when an operator's order has come through: from then on it counts."""
        for account, command in list(self._pressed.items()):
            if command.poll() is not None:
                del self._pressed[account]
                gateway.post("/announce", account=account, act="flatten-lock", by="demo")

    def _time_of_a_command(self, daemon: Daemon) -> float:
        """Return how long an order of an operator may take to come through on this host."""
        before = self._clock.steady_ns()
        daemon.run("health")
        return max(GRACE_MS, COMMAND_VARIES * (self._clock.steady_ns() - before) / 1e6)

    def _failed_commands(self) -> list[str]:
        """Take the answers of the commands that were not waited for; name those that failed."""
        failed = []
        for command in self._commands:
            out, err = command.communicate(timeout=COMMAND_WITHIN_S)
            if command.returncode != 0:
                failed.append(f"an operator's command ended with {command.returncode}: {err}{out}")
        return failed

    # --- what people see ----------------------------------------------------------

    def _tell(self, gateway: Gateway) -> None:
        for row in gateway.get(f"/happenings?after={self._seen}")["happenings"]:
            self._seen = max(self._seen, int(row["n"]))
            if not self._quiet:
                account = f"account {row['account']}: " if row.get("account") else ""
                self._say(str(row["kind"]), f"{account}{row['text']}")

    def _measure(self, daemon: Daemon) -> None:
        found = daemon.memory_mb()
        if found["total"] > self._memory["total"]:
            self._memory = found


def differences(gateway: Gateway, daemon: Daemon) -> list[str]:
    """Compare what the daemon shows with the broker's books; views are up to a moment old."""
    try:
        until(lambda: not _differences(gateway, daemon), VIEWS_WITHIN_S, "the books to agree")
    except TimedOut:
        return _differences(gateway, daemon)
    return []


def _differences(gateway: Gateway, daemon: Daemon) -> list[str]:
    """Name each position and each day's P&L, to the cent, that differs."""
    shown = {row["account"]: row for row in daemon.api("/api/v1/accounts")["accounts"]}
    found = []
    for truth in gateway.get("/truth")["accounts"]:
        view = shown[truth["account"]]
        held = {row["contract"]: row["q"] for row in truth["positions"] if row["q"]}
        seen = {row["contract"]: row["quantity"] for row in view["positions"]}
        for what, ours, theirs in (
            ("positions", seen, held),
            ("realized P&L", round(float(view["realized"]), 2), round(truth["realized"], 2)),
        ):
            if ours != theirs:
                found.append(
                    f"account {truth['account']}: the daemon shows {what} {ours},"
                    f" the broker's books {theirs}"
                )
    return found


def judge(verdict: dict[str, Any], seconds: float) -> dict[str, Any]:
    """Add what the demo promises beyond the referee's word; each broken promise is a problem."""
    problems = list(verdict.get("problems", []))
    breaches, in_faults = verdict["breaches"], verdict["breaches_in_faults"]
    if seconds >= WHOLE_S:
        if breaches < BREACHES_LEAST:
            problems.append(f"only {breaches} breaches, {BREACHES_LEAST} make a demo")
        if breaches and (breaches - in_faults) / breaches < OUTSIDE_FAULTS_LEAST:
            problems.append(f"{in_faults} of {breaches} breaches fell into fault windows")
        problems += [f"{rule} was not judged" for rule in CATALOG if rule not in verdict["by_rule"]]
        problems += [
            f"{rule} was broken {row['breaches']} times, at least twice makes a demo"
            for rule, row in verdict["by_rule"].items()
            if row["breaches"] < 2
        ]
        problems += [
            f"account {account} had no breach"
            for account, row in verdict["by_account"].items()
            if not row["breaches"]
        ]
    if verdict["memory_mb"]["total"] >= MEMORY_MB:
        problems.append(f"memory is {verdict['memory_mb']['total']} MB, the limit is {MEMORY_MB:g}")
    verdict["problems"] = problems
    verdict["ok"] = bool(verdict["ok"]) and not problems
    return verdict


def is_noisy(verdict: dict[str, Any]) -> bool:
    """Tell whether the host's own flushes were too slow to judge a latency."""
    return bool(verdict["host"]["fsync_p95_ms"] > figures.NOISY_FSYNC_MS)


def judge_timing(verdict: dict[str, Any]) -> dict[str, Any]:
    """Hold the latency, of one run or of all of them together, against what was promised."""
    if is_noisy(verdict):
        return verdict | {"timing": "not judged: host noisy"}
    slow = [
        f"{name} {verdict['latency_ms'][name]} ms, the limit is {limit:g} ms"
        for name, limit in LATENCY_MS.items()
        if (verdict["latency_ms"][name] or 0) >= limit
    ]
    return verdict | {
        "timing": "; ".join(slow) or "within its limits",
        "problems": verdict["problems"] + slow,
        "ok": bool(verdict["ok"]) and not slow,
    }


def pooled(verdicts: list[dict[str, Any]]) -> dict[str, Any]:
    """Join runs: counts added, latencies pooled, the noisiest host, ok only if each was."""
    joined = dict(verdicts[-1])
    joined["seed"] = [verdict["seed"] for verdict in verdicts]
    joined["ok"] = all(verdict["ok"] for verdict in verdicts)
    joined["problems"] = [text for verdict in verdicts for text in verdict["problems"]]
    joined["host"] = max((v["host"] for v in verdicts), key=lambda host: host["fsync_p95_ms"])
    for key, value in verdicts[0].items():
        if isinstance(value, int) and not isinstance(value, bool) and key != "seed":
            joined[key] = sum(verdict[key] for verdict in verdicts)
    for key in ("latency_ms", "after_cancel_ms", "timer_ms"):
        joined[key] = figures.summary([x for v in verdicts for x in v["samples"][key]])
    return joined


def in_words(verdict: dict[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    latency = verdict["latency_ms"]
    lines = [
        f"{verdict['breaches']} breaches, {verdict['answered']} answered,"
        f" {verdict['late']} late, {verdict['breaches_in_faults']} while something was broken",
        f"breach to close request: median {latency['p50']} ms, 95 % within {latency['p95']} ms,"
        f" worst {latency['max']} ms ({latency['n']} measured; {verdict['timing']})",
        f"positions reversed {verdict['reversed']}, raised {verdict['increased']}, closed twice"
        f" {verdict['duplicate']}, closed without reason {verdict['false']}, orders left behind"
        f" {verdict['orphan_orders']}",
        f"memory of the daemon: {verdict['memory_mb']['total']} MB",
    ]
    lines += [f"problem: {text}" for text in verdict["problems"][:20]]
    lines.append("verdict: every breach was answered" if verdict["ok"] else "verdict: NOT ok")
    return lines


def refuse_short(seconds: float) -> None:
    """Refuse a demo too short to show anything."""
    if seconds < 5:
        raise OperatorError(f"--seconds {seconds:g} is too short; at least 5", 2)
