"""`./dev proof`: the day of a deployment as it is written down, typed line by line into a shell.

Twenty accounts of four logins at a simulated gateway, two signed and staged releases, a home that
runs the older one. Every line of `stage.brief` is run as it stands there, from the folder of the
scripts; what it did is judged at the gateway, in the journal and by the processes themselves, not
by what it says. Between the chapters an account breaks its limit, and has to be answered.

What this run makes shorter is the unit of time of a dwell. What it leaves out is told in its
verdict: the gates of a release (they need the evidence of a whole test run), what a person must
have seen happen, and judging over days.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.core.events import AlarmRaised, PolicyAdopted
from risk_daemon.errors import DaemonError, TimedOut
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.releases.following import write_commands
from risk_daemon.operations.stored import entries
from risk_daemon.stage import brief, lasting, two_releases
from risk_daemon.stage.brief import Chapter, Line
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import Gateway, wednesday_offset_s
from risk_daemon.stage.handover import closes
from risk_daemon.stage.play import Say
from risk_daemon.stage.rehearsal import NOT_ROOTED, Rehearsal
from risk_daemon.stage.second_release import build, python_of, unpack
from risk_daemon.stage.shell import Shell
from risk_daemon.stage.two_releases import COLUMN, KINDS, SNAPSHOT
from risk_daemon.stage.upgrade import NOWHERE, TwoReleases
from risk_daemon.stage.waiting import until

CROWD: Final = Crowd(4, 5)
ALL: Final = len(CROWD.accounts())
FIRST: Final = CROWD.accounts()[0]
EXCESS: Final = 2
MORE: Final = LIMIT + 1
WITHIN_S: Final = 60.0
#: A daemon to which nothing happens writes a record each second.
PULSES_S: Final = 3.0
ROLLBACK_MAX_S: Final = 300.0
#: A dwell ends by itself; until then the next phase is refused, and asked for again.
DWELLS_S: Final = 60.0
#: A minute of a dwell takes 5 ms: 24 hours are 7.2 s, 48 are 14.4, a week is 50.4.
PLAN: Final = """\
minute: 5ms
gates: []
phases:
  - {name: shadow, wall: 10s, gates: [decisions], situations: [], events: 0, open_minutes: 0}
  - {name: canary, wall: 7200ms, risk_cap: 100, &seen}
  - {name: 10, wall: 14400ms, risk_cap: 100, &seen}
  - {name: 50, wall: 14400ms, risk_cap: 100, &seen}
  - {name: 100, wall: 100ms, &seen}
  - {name: soak, wall: 50400ms, &seen}
""".replace("&seen", "gates: [], situations: [], events: 0, open_minutes: 0")
#: From one account to all at once, and no dwell.
SHORT_PLAN: Final = """\
minute: 5ms
gates: []
phases:
  - {name: shadow, wall: 1s, gates: [decisions], situations: [], events: 0, open_minutes: 0}
  - {name: canary, wall: 100ms, &seen}
  - {name: 100, wall: 100ms, &seen}
  - {name: soak, wall: 50400ms, &seen}
""".replace("&seen", "gates: [], situations: [], events: 0, open_minutes: 0")
LEFT_OUT: Final = (
    "a release's own gates: they are read from the evidence of a whole test run",
    "records, open market and situations of a dwell; errors, latency, memory: judged over days",
    "staging stands beside a production home whose daemon does not run: its clock can't be set",
)


def _older(here: Path, there: Path) -> Path:
    return two_releases.changed(here, there, (), brief.INCUMBENT)


def _newer(here: Path, there: Path) -> Path:
    """Write the release that stores what the other one has never seen."""
    changes = (*KINDS, *SNAPSHOT, *COLUMN)
    return two_releases.changed(here, there, changes, brief.CANDIDATE)


def _configure(daemon: Daemon, plan: str) -> None:
    """Name the configuration that will be gone back to, and make a looser one after it."""
    config = daemon.home / "config"
    (config / "rollout.yaml").write_text(plan)
    daemon.run("config", "set-rule", "all", "daily-realized-loss", "limit=150000").ok()
    tag(config, brief.COMMIT)
    daemon.run("config", "set-rule", "all", "max-contracts", f"limit={MORE}").ok()


class _Staged(TwoReleases):
    """Both releases are built, signed, brought into a depot and staged, as anybody's are."""

    def __init__(self, home: Path, say: Say) -> None:
        super().__init__(home, say, (_older, _newer))

    def _before(self) -> None:
        _configure(self, PLAN)


class _Unpacked(Daemon):
    """Both releases are wheels that were only unpacked: quicker, and the packages are ours."""

    def __init__(self, home: Path, say: Say) -> None:
        super().__init__(home)
        self._say = say

    def prepare(self, referee: Path) -> None:
        """Make the home and both releases, and have it run the older one."""
        self.init(referee, NOWHERE)
        _configure(self, SHORT_PLAN)
        checkout = two_releases.checkout_of(Path(__file__).parent)
        for make in (_older, _newer):
            made = make(checkout, self.home.parent / make.__name__)
            unpack(self.home, build(made, self.home.parent / "wheels"))
            two_releases.forget(made)
        write_commands(Home(self.home))
        self.python = str(python_of(self.home, brief.INCUMBENT))

    def found(self, gateway: Gateway, offset_s: float = 0.0) -> None:
        """Point the prepared home at the gateway."""
        settings = self.home / "config" / "daemon.yaml"
        settings.write_text(settings.read_text().replace(NOWHERE, gateway.url))
        self.settle(offset_s)


class Proof:
    """One run from the first canary to the last emergency; `port` is the console's.

    `short`: without a depot, 10 % and 50 %, and with the smoke lines once; seconds are told and
    held against nothing.
    """

    def __init__(self, say: Say, *, short: bool = False, port: int = brief.PORT) -> None:
        self._say, self._clock, self._short, self._port = say, Clock(), short, port
        self._done: list[dict[str, Any]] = []
        self._problems: list[str] = []
        self._left_out = list(LEFT_OUT)
        self._rehearsal: Rehearsal | None = None

    def run(self, keep: Path | None = None) -> dict[str, Any]:
        """Play, and return the verdict."""
        with contextlib.ExitStack() as stack:
            scratch = tempfile.TemporaryDirectory(prefix="risk-daemon-proof-")
            folder = keep or Path(stack.enter_context(scratch))
            folder.mkdir(parents=True, exist_ok=True)
            self._open(stack, folder)
            if not self._short:
                self._rehearse(folder)
            path = f"{self._daemon.home / 'bin'}{os.pathsep}{os.environ['PATH']}"
            home = {"RISK_DAEMON_HOME": str(self._daemon.home), "PATH": path}
            scripts = two_releases.checkout_of(Path(__file__).parent)
            self._shell = Shell(str(scripts), self._daemon.environment | home)
            deployment = brief.SHORT if self._short else brief.DEPLOYMENT
            for chapter in (*deployment, *brief.ROLLBACK, *brief.EMERGENCY):
                self._chapter(chapter)
            return self._verdict()

    def _rehearse(self, folder: Path) -> None:
        """Have the day before typed, beside a home of its own, and leave nothing of it."""
        assert isinstance(self._daemon, TwoReleases)
        self._rehearsal = Rehearsal(folder, self._daemon)
        self._say("stage", "a production home, with the older release staged ...")
        self._rehearsal.prepare()
        self._shell = self._rehearsal.shell()
        if not self._rehearsal.is_rooted:
            self._left_out.append(NOT_ROOTED)
        try:
            for chapter in brief.BEFORE:
                self._chapter(chapter)
        finally:
            self._rehearsal.stop()

    def _open(self, stack: contextlib.ExitStack, folder: Path) -> None:
        config = folder / "proof.yaml"
        named = f"{{id: {FIRST}, name: {brief.TEST_ACCOUNT}}}"
        plain = f"{{id: {FIRST}, name: HAND-{FIRST}}}"
        config.write_text(CROWD.scenario().replace(plain, named))
        make = _Unpacked if self._short else _Staged
        self._daemon = make(folder / "home", self._say)
        self._daemon.prepare(config)
        offset_s = wednesday_offset_s(Clock())
        self._gateway = Gateway(folder, config=config, seed=5, offset_s=offset_s)
        stack.callback(self._gateway.stop)
        stack.callback(self._daemon.stop)
        self._daemon.found(self._gateway, offset_s)
        settings = self._daemon.home / "config" / "daemon.yaml"
        settings.write_text(settings.read_text().replace("port: 0", f"port: {self._port}"))
        self._home = Home(self._daemon.home)
        self._daemon.start()
        hold(self._gateway, CROWD.accounts(), LIMIT)

    # --- typing ---

    def _chapter(self, chapter: Chapter) -> None:
        self._say("chapter", chapter.name)
        for line in chapter.lines:
            if line.judge == "moved" and line.argument > 1 and line.exit == 0:
                self._dwelt()
            self._type(chapter, line)

    def _dwelt(self) -> None:
        """Wait as a person does, until the phase before has lasted."""

        def is_over() -> bool:
            told = self._daemon.run("rollout", "status", "--json").data["data"]
            now = [one for one in told.get("phases", ()) if one["state"] == "now"]
            return bool(now) and all(
                one["dwell"]["wall_s"][0] > one["dwell"]["wall_s"][1] for one in now
            )

        with contextlib.suppress(TimedOut):
            until(is_over, DWELLS_S, "the dwell of the phase before", every_s=1.0)

    def _type(self, chapter: Chapter, line: Line) -> None:
        self._requests = len(self._sent())
        self._seq = self._last_seq()
        began = self._clock.steady_ns()
        code, out = self._shell.type(self._text(line), line.within_s)
        seconds = (self._clock.steady_ns() - began) / SECOND_NS
        problem = self._problem(line, code, out, seconds)
        row = {
            "chapter": chapter.name,
            "line": line.text,
            "exit": code,
            "seconds": round(seconds, 2),
            "within": line.within_s,
            "judged_by": judged_by(line),
            "problem": problem,
        }
        self._done.append(row)
        self._say("line", f"{seconds:6.2f} s of {line.within_s:g}  exit {code}  {line.text}")
        if problem:
            self._problems.append(f"{line.text}: {problem}")
            self._say("problem", problem)

    def _text(self, line: Line) -> str:
        text = line.text.replace(f":{brief.PORT}/", f":{self._port}/")
        return self._rehearsal.text(text) if self._rehearsal is not None else text

    def _problem(self, line: Line, code: int, out: str, seconds: float) -> str:
        """Say what is not as it should be; empty if all is."""
        if code != line.exit:
            return f"ended with {code}, not {line.exit}: {' '.join(out.split())[-300:]}"
        if seconds > line.within_s and not self._short:
            return f"took {seconds:.2f} s, allowed {line.within_s:g}"
        try:
            return JUDGES[line.judge](self, line, out)
        except (DaemonError, OSError) as error:
            return f"could not be judged: {error}"

    # --- judging ---

    def _sent(self) -> list[dict[str, Any]]:
        """Return what reached the gateway that changes anything."""
        found: list[dict[str, Any]] = self._gateway.get("/requests")["requests"]
        return [one for one in found if one["path"].startswith(("/api/Order/", "/api/Position/c"))]

    def _last_seq(self) -> int:
        with contextlib.suppress(DaemonError):
            return asked.tail(self._home, 1)[0].seq
        return 0

    def _held(self) -> dict[int, int]:
        rows = self._gateway.get("/truth")["accounts"]
        return {row["account"]: sum(p["q"] for p in row["positions"]) for row in rows}

    def copied(self, line: Line, out: str) -> str:
        """Staging's configuration is production's, file by file."""
        del line, out
        assert self._rehearsal is not None
        return self._rehearsal.copied()

    def exported(self, line: Line, out: str) -> str:
        """The next line has it."""
        del out
        name = line.text.removeprefix("export ").partition("=")[0]
        return "" if self._shell.has(name) else f"the next line would not have {name}"

    def rehearsed(self, line: Line, out: str) -> str:
        """Staging runs the newest release on its own port, parity is said, no file has the key."""
        del line
        assert self._rehearsal is not None
        return self._rehearsal.deployed(out) or self._rehearsal.holds(brief.KEY)

    def healthy(self, line: Line, out: str) -> str:
        """Every account is in the answer, and the gateway's books are as they were."""
        del line
        named = sum(str(account) in out for account in CROWD.accounts())
        return "" if named == ALL else f"{named} of {ALL} accounts are named"

    def nothing_sent(self, line: Line, out: str) -> str:
        """Nothing that changes anything reached the gateway."""
        del line, out
        more = self._changing(self._sent()[self._requests :])
        return f"{more} requests reached the gateway" if more else ""

    @staticmethod
    def _changing(rows: Sequence[dict[str, Any]]) -> int:
        return sum("search" not in row["path"].lower() for row in rows)

    def advances(self, line: Line, out: str) -> str:
        """Records go on being written: one a second, if nothing else happens."""
        del line, out
        try:
            until(lambda: self._last_seq() > self._seq, PULSES_S, "a record")
        except TimedOut:
            return "the stream stood still"
        return ""

    def moved(self, line: Line, out: str) -> str:
        """So many accounts are the new release's, and one that breaks its limit is met."""
        del out
        wanted = line.argument
        rows = asked.status(self._home)["accounts"]
        on = sum(row["release"] == brief.CANDIDATE and row["enforcing"] for row in rows)
        idle = [row["account"] for row in rows if not row["enforcing"]]
        if idle:
            return f"nobody enforces {', '.join(map(str, idle))}"
        if on != wanted:
            return f"{on} accounts are with {brief.CANDIDATE}, wanted {wanted}"
        return self._answered()

    def answers(self, line: Line, out: str) -> str:
        """An account that breaks its limit is met."""
        del line, out
        return self._answered()

    def _answered(self) -> str:
        """Break the limit of the first account and of the last one, as the gateway sees it."""
        for account in (FIRST, CROWD.accounts()[-1]):
            limit = self._limit_of(account)
            try:
                self._trade(account, limit - self._held()[account])
                until(lambda: self._held()[account] == limit, WITHIN_S, "the limit")  # noqa: B023
                before = self._closed(account)
                self._trade(account, EXCESS)
                until(lambda: self._closed(account) > before, WITHIN_S, "a close")  # noqa: B023
                until(lambda: self._held()[account] == limit, WITHIN_S, "its end")  # noqa: B023
            except TimedOut:
                return f"account {account} broke its limit and was not met"
        return ""

    def _closed(self, account: int) -> int:
        return len(closes(self._gateway.get("/requests")["requests"]).get(account, ()))

    def _trade(self, account: int, size: int) -> None:
        """Buy so much, or sell it: what is above a tighter limit already is nobody's breach."""
        if size:
            side = "buy" if size > 0 else "sell"
            order = {"account": account, "contract": "MNQ", "side": side, "type": "market"}
            self._gateway.post("/order", **order, size=abs(size))

    def _limit_of(self, account: int) -> int:
        facts = [one.fact for one in entries(self._file(), ("policy-adopted",))]
        found = [f for f in facts if isinstance(f, PolicyAdopted) and f.account == account]
        rules = {rule.rule: rule.params for rule in found[-1].rules}
        return int(str(rules["max-contracts"]["limit"]))

    def _file(self) -> Path:
        return self._daemon.home / "state" / "journal.db"

    def policy(self, line: Line, out: str) -> str:
        """The journal has the limits of that commit for every account."""
        del line, out
        wrong = [one for one in CROWD.accounts() if self._limit_of(one) != LIMIT]
        return f"{len(wrong)} accounts have another limit than the commit's" if wrong else ""

    def version(self, line: Line, out: str) -> str:
        """The first line is the version, and nothing else."""
        del line
        first = out.splitlines()[0] if out else ""
        return "" if first == brief.INCUMBENT else f"it says {first!r}"

    def as_the_broker(self, line: Line, out: str) -> str:
        """What each account's worker shows is what the gateway has."""
        del line, out
        views = asked.views(self._home, CROWD.accounts())
        shown = {n: sum(p.quantity for p in one.positions) for n, one in views.items()}
        return "" if shown == self._held() else "positions differ from the gateway's"

    def told(self, line: Line, out: str) -> str:
        """The message is in the journal, for every audience."""
        del out
        text = line.text.partition('"')[2].rstrip('"')
        facts = [one.fact for one in entries(self._file(), ("alarm-raised",))]
        found = any(isinstance(one, AlarmRaised) and text in one.text for one in facts)
        return "" if found else "the journal does not have it"

    def flat(self, line: Line, out: str) -> str:
        """The gateway holds nothing for anybody."""
        del line, out
        left = {account: q for account, q in self._held().items() if q}
        return f"not flat: {left}" if left else ""

    def off(self, line: Line, out: str) -> str:
        """No process of the daemon is left, and whoever asks is told."""
        del line, out
        left = sorted(self._daemon.processes())
        return f"still there: {', '.join(left)}" if left else ""

    # --- the verdict ---

    def _verdict(self) -> dict[str, Any]:
        timed = {chapter.name for chapter in brief.ROLLBACK if chapter.is_timed}
        total = sum(row["seconds"] for row in self._done if row["chapter"] in timed)
        verdict = self._gateway.post("/finish", settle_s=5.0)
        zero = ("reversed", "increased", "duplicate")
        self._problems += [f"{name}: {verdict[name]}" for name in zero if verdict[name]]
        if total > ROLLBACK_MAX_S and not self._short:
            self._problems.append(f"the rollback took {total:.0f} s, allowed {ROLLBACK_MAX_S:g}")
        return {
            "ok": not self._problems,
            "lines": self._done,
            "rollback_total_s": round(total, 1),
            "left_out": self._left_out,
            "problems": self._problems,
        }


type Judge = Callable[[Proof, Line, str], str]
JUDGES: Final[dict[str, Judge]] = {
    "copied": Proof.copied,
    "exported": Proof.exported,
    "rehearsed": Proof.rehearsed,
    "healthy": Proof.healthy,
    "nothing sent": Proof.nothing_sent,
    "advances": Proof.advances,
    "moved": Proof.moved,
    "answers": Proof.answers,
    "policy": Proof.policy,
    "version": Proof.version,
    "as the broker": Proof.as_the_broker,
    "told": Proof.told,
    "flat": Proof.flat,
    "off": Proof.off,
}


def judged_by(line: Line) -> str:
    """Say in a sentence what a line is judged by."""
    said = JUDGES[line.judge].__doc__ or ""
    return said.strip().rstrip(".")


def tag(repository: Path, name: str) -> None:
    """Give the newest commit of a repository a name."""
    # Imported here: dulwich is slow to load.
    from dulwich import porcelain

    porcelain.tag_create(str(repository), name)


#: The verdict of a run that types no line.
NOTHING_TYPED: Final[dict[str, Any]] = {
    "ok": True,
    "lines": [],
    "rollback_total_s": 0.0,
    "left_out": [],
    "problems": [],
}


def with_triggers(verdict: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Add what became of each trigger to a verdict."""
    found = [f"{row['trigger']}, {row['phase']}: {row['problem']}" for row in rows]
    problems = [
        *verdict["problems"],
        *(text for text, row in zip(found, rows, strict=True) if row["problem"]),
    ]
    return verdict | {"ok": not problems, "triggers": list(rows), "problems": problems}


def with_lasting(verdict: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Add what became of the releases that are bad only after a while."""
    problems = [
        *verdict["problems"],
        *(f"{row['release']}: {row['problem']}" for row in rows if row["problem"]),
    ]
    return verdict | {"ok": not problems, "lasting": list(rows), "problems": problems}


def in_words(verdict: dict[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    lines = []
    if verdict["lines"]:
        took = f"{verdict['rollback_total_s']} s of {ROLLBACK_MAX_S:g}"
        lines.append(f"{len(verdict['lines'])} lines typed; the rollback took {took}")
    if rows := verdict.get("triggers", ()):
        back = [row["seconds"] for row in rows if not row["problem"]]
        lines.append(
            f"{len(back)} of {len(rows)} times every account was back by itself, after"
            f" {max(back, default=0):g} s at the most"
        )
    lines += lasting.in_words(verdict.get("lasting", ()))
    lines += [f"not in this run: {text}" for text in verdict["left_out"]]
    lines += [f"problem: {text}" for text in verdict["problems"]]
    lines.append("verdict: every line does what it says" if verdict["ok"] else "verdict: NOT ok")
    return lines
