"""The daemon of a scratch home, driven by its own command line and seen as processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import psutil

from risk_daemon.errors import OperatorError
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.stage.gateway import LOOPBACK, Gateway, environment
from risk_daemon.stage.waiting import until
from risk_daemon.supervisor.children import Register
from risk_daemon.supervisor.spare import SPARE, WORD

COMMAND_WITHIN_S: Final = 60.0
FAST_ENOUGH_HASHES: Final = 100
KINDS: Final = ("supervisor", "journal", "link", "worker", "console", "protector")


class Done:
    """What a command answered."""

    def __init__(self, words: tuple[str, ...], code: int, out: str, err: str) -> None:
        self.words, self.code, self.out, self.err = words, code, out, err

    @property
    def data(self) -> Any:
        """The JSON object on stdout."""
        return json.loads(self.out)

    def ok(self) -> Done:
        """Return itself; OperatorError if the command did not end with 0."""
        if self.code != 0:
            raise OperatorError(
                f"{' '.join(self.words)} ended with {self.code}: {self.err}{self.out}"
            )
        return self


class Daemon:
    """One home and whatever runs in it. `source` puts another tree before the installed one."""

    def __init__(self, home: Path, source: Path | None = None) -> None:
        self.home = home
        #: Whose command line, and so whose daemon, it is.
        self.python = sys.executable
        self.environment = environment()
        if source is not None:
            self.environment["PYTHONPATH"] = str(source)

    def run(self, *words: str, within_s: float = COMMAND_WITHIN_S, **extra: str) -> Done:
        """Run a command of `risk-daemon-admin` on this home."""
        command = [self.python, "-m", "risk_daemon.programs.admin", *words]
        command += ["--home", str(self.home)]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=within_s,
            env=self.environment | extra,
            check=False,
        )
        return Done(words, done.returncode, done.stdout, done.stderr)

    def replay(self) -> Done:
        """Replay the journal of the stopped daemon in a fresh process."""
        words = ("-m", "risk_daemon.programs.worker", "--home", str(self.home), "--verify")
        done = subprocess.run(
            [self.python, *words],
            capture_output=True,
            text=True,
            timeout=COMMAND_WITHIN_S,
            env=self.environment,
            check=False,
        )
        return Done(words, done.returncode, done.stdout, done.stderr)

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and do not wait for it."""
        command = [self.python, "-m", "risk_daemon.programs.admin", *words]
        return subprocess.Popen(
            [*command, "--home", str(self.home)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )

    def found(self, gateway: Gateway, offset_s: float = 0.0) -> None:
        """Make the home for a simulated gateway, from the same file as the gateway itself."""
        self.init(gateway.config, gateway.url)
        self.settle(offset_s)

    def init(self, referee: Path, url: str) -> None:
        """Make the home from a referee's file, for a gateway at an address."""
        words = ("--environment", "demo", "--from-referee", str(referee), "--gateway", url)
        self.run("init", *words).ok()

    def settle(self, offset_s: float) -> None:
        """Write what a stage wants of its home: any port, its own clock, many hashes."""
        settings = self.home / "config" / "daemon.yaml"
        text = settings.read_text().replace("port: 8080", "port: 0")
        text += f"\nclock:\n  offset_s: {offset_s}\n" if "clock:" not in text else ""
        text += f"\nhash_every: {FAST_ENOUGH_HASHES}\n" if "hash_every" not in text else ""
        settings.write_text(text)

    def start(self) -> None:
        """Start, and wait until every account is enforced and every feed trusted."""
        self.run("start").ok()
        self.wait_healthy()

    def wait_healthy(self, within_s: float = 30.0) -> float:
        """Wait until `health` says so; return the seconds it took."""
        return until(lambda: self.run("health").code == 0, within_s, "every account to be guarded")

    def stop(self) -> None:
        """Stop; whatever did not stop is killed, for a stage leaves nothing behind."""
        if self.home.exists() and self.run("stop", "--yes", "--reason", "the play is over").code:
            self.kill_all()

    def kill_all(self) -> None:
        """Kill every process of this home."""
        for process in self.processes(spare=True).values():
            process.kill()

    def processes(self, *, spare: bool = False) -> dict[str, psutil.Process]:
        """Return the home's processes by name, found by their command lines.

        One that was a spare has the name it was given, as the supervisor wrote it down;
        `spare`: also those that wait.
        """
        found: dict[str, psutil.Process] = {}
        registered = Register(self.home / "run" / "processes.json").found()
        named = {running.pid: name for name, running in registered.items()}
        for process in psutil.process_iter(["cmdline", "status"]):
            words = process.info["cmdline"] or []
            if str(self.home) not in words or process.info["status"] == psutil.STATUS_ZOMBIE:
                continue
            name = named.get(process.pid) or _name(words)
            if name.endswith(SPARE):
                name += str(process.pid)  # what was loaded, and the part of it that waits
            if name and (spare or SPARE not in name):
                found[name] = process
        return found

    def kill(self, name: str) -> int:
        """Kill one process with -9, as a crash would; return its pid."""
        process = self.processes()[name]
        process.kill()
        return process.pid

    def api(self, path: str) -> Any:
        """Ask the console over HTTP, as a browser would."""
        port = json.loads((self.home / "run" / "console.json").read_text())["port"]
        with LOOPBACK.open(f"http://127.0.0.1:{port}{path}", timeout=COMMAND_WITHIN_S) as answer:
            return json.load(answer)

    def active_worker(self) -> str:
        """Return the worker that enforces now."""
        rows = asked.status(Home(self.home))["processes"]
        return str(next(row["name"] for row in rows if row["role"] == "active"))

    def memory_mb(self) -> dict[str, float]:
        """Return the proportional memory of each process, and the total."""
        sizes = {}
        for name, process in self.processes(spare=True).items():
            try:
                info = process.memory_full_info()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            sizes[name] = round(getattr(info, "pss", info.rss) / 1e6, 1)
        return {"total": round(sum(sizes.values()), 1), **dict(sorted(sizes.items()))}


def _name(words: list[str]) -> str:
    """Return what a process of the daemon is called in this home."""
    module = next((w for w in words if w.startswith("risk_daemon.programs.")), "")
    kind = module.rpartition(".")[2]
    if (
        kind not in ("supervisor", "journal", "link", "worker", "console", "protector")
        or "--verify" in words
    ):
        return ""
    if WORD in words:
        return f"{kind}{SPARE}"
    if kind == "link":
        return f"link-{words[words.index('--login') + 1]}"
    if kind == "worker" and "--name" in words:
        return words[words.index("--name") + 1]
    return kind
