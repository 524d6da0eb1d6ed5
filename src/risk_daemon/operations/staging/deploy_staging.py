"""`deploy staging`: the release that production is to get runs in staging first, and shows itself.

What can be refused is refused before anything is written. What runs in staging is started, moved
and looked at by the release's own command line, as a person would do it in production.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.clock import SECOND_NS
from risk_daemon.depot import making, staging
from risk_daemon.depot.manifest import LOCK, MANIFEST, decode
from risk_daemon.depot.store import Depot, Release
from risk_daemon.errors import Denied, OperatorError, Refused, TimedOut
from risk_daemon.journal.reader import Reader
from risk_daemon.operations import daemon
from risk_daemon.operations import home as homes
from risk_daemon.operations.accounts import own_session
from risk_daemon.operations.configuration import credentials
from risk_daemon.operations.configuration import loading as files
from risk_daemon.operations.configuration.founding import parse_gateway
from risk_daemon.operations.configuration.loading import Configuration
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import DONE, FAILED, Outcome
from risk_daemon.operations.releases import depot as releases
from risk_daemon.operations.releases import gating, staging_release
from risk_daemon.operations.releases.staging_release import Source
from risk_daemon.operations.releases.under_way import now_of
from risk_daemon.operations.rollouts import differences
from risk_daemon.operations.running import machine
from risk_daemon.operations.running.finding import FAIL
from risk_daemon.operations.running.lifecycle import Waiting
from risk_daemon.operations.staging import staging_gateway, staging_home, staging_plan
from risk_daemon.operations.staging.staging_plan import Compared, Wanted, Way
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.words import count, iso
from risk_daemon.rollout.gates import Said
from risk_daemon.rollout.row import PASS
from risk_daemon.settings import Gateway, Login, Settings
from risk_daemon.supervisor.release import is_worker

#: The whole of it; what has begun is not cut, and asking again is safe.
WITHIN_S: Final = 600.0
COMMAND_WITHIN_S: Final = 150.0
#: What a command that has a time of its own may take beyond it: to begin, and to say how it ended.
BEYOND_S: Final = 60.0
#: Of what a command said when it failed: its last lines name what is missing, and what to do.
TOLD_LINES: Final = 4
HISTORY_WITHIN_S: Final = 60.0
#: So many fills are a history: positions are held, and something was given back.
FILLS: Final = 10
RETIRED_WITHIN_S: Final = 15.0
LOOK_EVERY_S: Final = 0.25
TRADE: Final = "trade-seen"
#: The brief's lines, in its order; `health` is what `curl …/health` asks.
SMOKE: Final = (
    ("health",),
    ("test-connection",),
    ("status", "--show-events"),
    ("test-rule", "max-contracts"),
    ("test-persistence",),
)
_UNSET: Final = Gateway(
    api_url="http://127.0.0.1:1",
    user_hub_url="http://127.0.0.1:1/hubs/user",
    market_hub_url="http://127.0.0.1:1/hubs/market",
)


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person may say: a release of the depot, a key to sign with, another broker address."""

    version: str = ""
    key: Path | None = None
    gateway: str | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """All that was looked at before anything is written.

    `wanted` is None where the staging home's own settings stay as they are.
    """

    production: Home
    at: Home
    guarded: Configuration
    now: Configuration | None
    way: Way
    wanted: Wanted | None
    source: Source
    is_running: bool

    @property
    def settings(self) -> Settings | None:
        """What the staging home's files say now."""
        return self.now.settings if self.now is not None else None


def run(production: Home, wish: Wish, who: Who, waiting: Waiting, *, dry_run: bool) -> Outcome:
    """Deploy a release to staging, look at it, and say what is still red for production."""
    began = waiting.clock.steady_ns()
    depot = Depot(homes.depot_path())
    case = _look(production, depot, wish, waiting)
    waiting.say(f"staging home {case.at.path}, beside production {production.path}")
    waiting.say(f"broker: {_broker(case)}")
    if dry_run:
        return _would(case)
    act = releases.Act(waiting.clock.now_ns(), who.by, waiting.say)
    release = staging_release.brought(production, depot, case.source, act)
    staging_home.found(case.at, production, iso(act.at_ns))
    waiting.say(f"staging {release.version} ...")
    releases.stage(case.at, depot, release.version, act)
    live = _settle(case, release, who, waiting)
    deadline = began + int(WITHIN_S * SECOND_NS)
    _running(case.at, release.version, who, waiting, deadline)
    smoke = _smoke(case.at, release.version, waiting, deadline)
    history = _history(case, release.version, live, waiting)
    seconds = (waiting.clock.steady_ns() - began) / SECOND_NS
    return _outcome(case, release, smoke, history, live, seconds, waiting)


def _broker(case: Case) -> str:
    if case.wanted is None and case.settings is not None:
        return f"{case.settings.gateway.api_url}, as the staging home's own files say"
    if case.way.is_simulated:
        return f"the simulated gateway, as {case.way.why}; live tests can't be measured there"
    return f"the test broker: {case.way.why}"


# --- looking, before anything is written ---


def _look(production: Home, depot: Depot, wish: Wish, waiting: Waiting) -> Case:
    about = homes.open_home(production)
    if about.environment != "production":
        raise Refused(
            f"{production.path} is a {about.environment} home; staging is made beside a production "
            "home; nothing was changed. Name that one with --home or RISK_DAEMON_HOME."
        )
    at = staging_home.find(production)
    guarded = files.load(production.config)
    now = staging_home.configured(at, guarded)
    source = staging_release.choose(production, depot, Path.cwd(), wish.version, wish.key)
    user, has_key = credentials.in_environment()
    way = staging_plan.way(guarded.settings, user, has_key=has_key)
    is_running = _is_running(at)
    wanted = _wanted(at, guarded, now, way, wish.gateway, waiting)
    case = Case(production, at, guarded, now, way, wanted, source, is_running)
    if wanted is not None:
        staging_home.draft(at, production, wanted)
    _refuse_port(case)
    return case


def _is_running(at: Home) -> bool:
    try:
        daemon.status(at)
    except OperatorError:
        return False
    return True


def _wanted(
    at: Home,
    guarded: Configuration,
    now: Configuration | None,
    way: Way,
    gateway: str | None,
    waiting: Waiting,
) -> Wanted | None:
    """What the staging home's settings are to be; None where its own stay."""
    settings = now.settings if now is not None else None
    written = settings.console_port if settings is not None else _copied_port(at)
    port = staging_plan.port(guarded.settings.console_port, written)
    if settings is not None and _is_own(at, settings, way):
        if settings.gateway.api_url.startswith("https"):
            staging_plan.refuse_shared(settings, guarded.settings.accounts())
        return None
    if way.is_simulated:
        before = settings.clock_offset_s if settings is not None else 0.0
        ahead = staging_gateway.offset_s(waiting.clock.now_ns(), before)
        known = staging_gateway.recorded(at).get("port")
        there = staging_gateway.gateway_at(int(known)) if known else _UNSET
        return Wanted(port, there, staging_plan.simulated_logins(guarded.settings), ahead)
    there = parse_gateway(gateway) if gateway else guarded.settings.gateway
    login = Login(name=staging_plan.LOGIN, user=way.user, credentials="env", accounts=())
    asked = Settings(environment="staging", gateway=there, logins=(login,))
    try:
        seen = own_session.accounts(at, asked, login)
    except OperatorError as error:
        raise Denied(f"{error.sentence.rstrip('.')}; nothing was changed.") from None
    own = staging_plan.own_accounts(way.user, seen, guarded.settings.accounts())
    return Wanted(port, there, staging_plan.own_login(way.user, own))


def _copied_port(at: Home) -> int | None:
    if not (at.config / "daemon.yaml").is_file():
        return None
    return files.load(at.config).settings.console_port


def _is_own(at: Home, settings: Settings, way: Way) -> bool:
    """Tell whether a staging home's settings stay: written by a person, or by us for this user."""
    ours = staging_gateway.recorded(at).get("port")
    if ours is not None and settings.gateway == staging_gateway.gateway_at(int(ours)):
        return False  # our own simulated gateway: looked at anew each time
    if settings.gateway.api_url.startswith("https"):
        return way.user in {login.user for login in settings.logins}
    return True


def _refuse_port(case: Case) -> None:
    """Refuse a port that another program has; our own console may have it."""
    wanted = case.wanted.port if case.wanted is not None else None
    before = case.settings.console_port if case.settings is not None else None
    port = wanted if wanted is not None else before
    if port is None or (case.is_running and port == before):
        return
    found = machine.port(port, is_ours=False)
    if found.state == FAIL:
        raise Refused(
            f"{found.text}; nothing was changed. Set console.port in "
            f"{case.at.config / 'daemon.yaml'} (0 takes any free one)."
        )


def _would(case: Case) -> Outcome:
    settings = case.wanted
    accounts = (
        [number for login in settings.logins for number in login.accounts]
        if settings is not None
        else list(case.settings.accounts() if case.settings is not None else ())
    )
    lines = (
        f"{case.source.told} would be staged in {case.at.path}",
        f"{count(len(accounts), 'account')} would be guarded: {', '.join(map(str, accounts))}",
    )
    data = {
        "home": str(case.at.path),
        "version": case.source.version,
        "simulated": case.way.is_simulated,
        "why": case.way.why,
        "accounts": accounts,
    }
    return Outcome(lines, data=data, notes=("nothing was done",))


# --- making it so ---


def _settle(
    case: Case, release: Release, who: Who, waiting: Waiting
) -> staging_gateway.Running | None:
    """Have the broker there, and the settings that name it; a daemon with others is stopped."""
    wanted, live = case.wanted, None
    if wanted is None:
        return None
    if case.way.is_simulated:
        live = _gateway(case, wanted, release, waiting)
        wanted = Wanted(wanted.port, live.gateway, wanted.logins, wanted.offset_s)
    else:
        staging_gateway.stop(case.at, waiting)
    if case.settings is not None and wanted.is_as(case.settings):
        return live
    made = staging_home.draft(case.at, case.production, wanted)
    if case.is_running:
        waiting.say("its settings change: the staging daemon is stopped ...")
        _told(case.at, release.version, "stop", "--yes", "--reason", "staging is deployed anew")
    staging_home.write(case.at, made, who.by)
    return live


def _gateway(
    case: Case, wanted: Wanted, release: Release, waiting: Waiting
) -> staging_gateway.Running:
    keys = staging_home.keys(case.at, wanted.logins)
    policies = {one.account: one for one in case.guarded.policies}
    text = staging_gateway.referee_text(wanted.logins, policies, keys, wanted.offset_s)
    python = staging.python_of(case.at.releases / release.version)
    live = staging_gateway.ensure(case.at, python, text, waiting)
    waiting.say(f"the simulated gateway listens on port {live.port} (process {live.pid})")
    return live


@dataclass(frozen=True, slots=True)
class Done:
    """What a command of the release came to; `told` is its last line."""

    words: tuple[str, ...]
    code: int
    seconds: float
    told: str


def _command(
    at: Home, version: str, words: Sequence[str], within_s: float = COMMAND_WITHIN_S
) -> subprocess.CompletedProcess[str]:
    python = str(staging.python_of(at.releases / version))
    command = [python, "-m", "risk_daemon.programs.admin", *words, "--home", str(at.path)]
    try:
        return subprocess.run(
            command,
            env=making.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TimedOut(
            f"`{' '.join(words)}` of {version} did not end within {within_s:g} s in {at.path}; "
            f"look at `risk-daemon-admin status --home {at.path}`; it is safe to deploy again."
        ) from None


def _told(at: Home, version: str, *words: str, within_s: float = COMMAND_WITHIN_S) -> None:
    """Run a command that must succeed. Raises OperatorError with what it said."""
    done = _command(at, version, words, within_s)
    if done.returncode != 0:
        raise OperatorError(
            f"`{words[0]}` of {version} failed in {at.path} (exit {done.returncode}): "
            f"{_why(done)}. Look at `risk-daemon-admin status --home {at.path}`; it is safe to "
            "deploy again.",
            done.returncode,
        )


def _why(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a command that failed told people; what it said while it waited is older."""
    told = done.stdout.splitlines()[-TOLD_LINES:] or [_last(done)]
    return "; ".join(line.rstrip(".") for line in told)


def _last(done: subprocess.CompletedProcess[str]) -> str:
    lines = [
        line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("next: ")
    ]
    said = lines[-1] if lines else "it says nothing"
    return said.removeprefix("risk-daemon-admin: ")


def _running(at: Home, version: str, who: Who, waiting: Waiting, deadline: int) -> None:
    """Have the daemon run, every account and process of it in this release."""
    reason = ("--reason", who.reason)
    if not _is_running(at):
        waiting.say(f"starting {version} ...")
        _start(at, version, reason, (deadline - waiting.clock.steady_ns()) / SECOND_NS)
    _refuse_late(at, waiting, deadline)
    found = daemon.status(at)
    others = {str(row["release"]) for row in found["accounts"]} - {version, ""}
    if others:
        waiting.say(f"moving every account from {', '.join(sorted(others))} to {version} ...")
        _told(at, version, "promote", "--all", "--to-version", version, *reason)
    _refuse_late(at, waiting, deadline)
    rest = {str(row.get("release") or version) for row in found["processes"]} - {version, ""}
    if rest:
        waiting.say(f"handing the other processes over to {version} ...")
        _told(at, version, "hand-over", "--to-version", version)
    # What has the same code in both is not handed over, and keeps its release.
    kept = {
        str(row.get("release"))
        for row in daemon.status(at)["processes"]
        if not is_worker(str(row["name"]))
    }
    for other in sorted((others | rest) - kept):
        _retire(at, version, other, who, waiting)


def _start(at: Home, version: str, reason: Sequence[str], left_s: float) -> None:
    """Start the daemon: a dead supervisor ends the wait at once, a slow machine does not."""
    within_s = staging_plan.start_within_s(left_s)
    words = ("start", "--timeout", f"{within_s:g}", *reason)
    _told(at, version, *words, within_s=within_s + BEYOND_S)


def _retire(at: Home, version: str, other: str, who: Who, waiting: Waiting) -> None:
    """Let the release before go: what is staged is the way back, and two workers more are not.

    What was loaded for the next journal and link may be of it for some seconds.
    """
    until = waiting.clock.steady_ns() + int(RETIRED_WITHIN_S * SECOND_NS)
    words = ("retire", other, "--reason", who.reason)
    done = _command(at, version, words)
    while done.returncode != DONE and waiting.clock.steady_ns() < until:
        waiting.pause(LOOK_EVERY_S)
        done = _command(at, version, words)
    if done.returncode != DONE:
        waiting.say(f"{other} stays warm: {_last(done)}")


def _refuse_late(at: Home, waiting: Waiting, deadline: int) -> None:
    if waiting.clock.steady_ns() > deadline:
        raise TimedOut(
            f"staging was not deployed within {WITHIN_S:g} s; what is done stays "
            f"(`risk-daemon-admin status --home {at.path}`), and it is safe to repeat."
        )


def _smoke(at: Home, version: str, waiting: Waiting, deadline: int) -> list[Done]:
    """Run the brief's lines; each that fails is tried again while what it looks at comes up."""
    found = []
    for words in SMOKE:
        _refuse_late(at, waiting, deadline)
        began = waiting.clock.steady_ns()
        done = _command(at, version, words)
        until = began + 20 * SECOND_NS
        while done.returncode != 0 and waiting.clock.steady_ns() < until:
            waiting.pause(LOOK_EVERY_S)
            done = _command(at, version, words)
        seconds = (waiting.clock.steady_ns() - began) / SECOND_NS
        found.append(Done(words, done.returncode, seconds, _last(done)))
        waiting.say(_smoke_line(found[-1]))
    return found


def _smoke_line(one: Done) -> str:
    said = "ok" if one.code == DONE else f"FAILED (exit {one.code}): {one.told}"
    return f"smoke {' '.join(one.words)}: {said}, {one.seconds:.1f} s"


# --- history ---


def _history(
    case: Case, version: str, live: staging_gateway.Running | None, waiting: Waiting
) -> dict[str, Any]:
    """Load what an account has lived through: production's recorded days, and traders' fills."""
    told: dict[str, Any] = {"recorded": _recorded(case, version, waiting)}
    told["fills"] = _fills(case.at)
    if live is not None:
        waiting.say(f"traders trade until the journal holds {FILLS} fills ...")
        until = waiting.clock.steady_ns() + int(HISTORY_WITHIN_S * SECOND_NS)
        while told["fills"] < FILLS and waiting.clock.steady_ns() < until:
            waiting.pause(LOOK_EVERY_S)
            told["fills"] = _fills(case.at)
    return told


def _fills(at: Home) -> int:
    if not (at.state / FILE).is_file():
        return 0
    with closing(Reader(at.state / FILE)) as reader:
        found = reader.records(1, (1 << 62) - 1, (TRADE,), FILLS)
    return len(found.records)


def _recorded(case: Case, version: str, waiting: Waiting) -> dict[str, Any]:
    """Have the release decide production's recorded days again; the file is only read."""
    file = case.production.state / FILE
    if not file.is_file():
        return {"firings": 0, "differing": 0, "why": "production has no recorded day"}
    waiting.say("production's recorded days are decided again ...")
    try:
        found = differences.recorded(case.at, version, file)
    except OperatorError as error:
        return {"firings": 0, "differing": 0, "why": error.sentence}
    differing = sum(one.verdict not in ("agrees", "unseen") for one in found)
    return {"firings": len(found), "differing": differing, "why": ""}


def _history_line(history: dict[str, Any]) -> str:
    recorded = history["recorded"]
    days = recorded["why"] or (
        f"{count(recorded['firings'], 'firing')} of production's recorded days decided again, "
        f"{recorded['differing']} differ"
    )
    many = "or more" if history["fills"] >= FILLS else "so far"
    return f"history: {history['fills']} fills {many} in the journal; {days}"


# --- what is shown ---


def parity(production: Home, at: Home, release: Release) -> tuple[Compared, ...]:
    """Compare what the brief wants to be alike. Where both are of one host, most of it is."""
    folder = at.releases / release.version
    there = production.releases / release.version
    newest = there if there.is_dir() else _newest(production)
    try:
        lock = decode((folder / MANIFEST).read_bytes()).part(LOCK).sha256
    except (OSError, KeyError):
        lock = ""
    mine, theirs = gating.alike(production, at)[::-1]
    return (
        Compared("system", making.system_name(), making.system_name()),
        Compared("Python", gating.python_of(folder), gating.python_of(newest or folder)),
        Compared("lock", lock, release.manifest.part(LOCK).sha256),
        Compared("configuration", mine, theirs),
    )


def _newest(production: Home) -> Path | None:
    names = list(staging.staged_in(production.releases))
    return production.releases / names[-1] if names else None


def _outcome(
    case: Case,
    release: Release,
    smoke: Sequence[Done],
    history: dict[str, Any],
    live: staging_gateway.Running | None,
    seconds: float,
    waiting: Waiting,
) -> Outcome:
    version, at = release.version, case.at
    settings = files.load(at.config).settings
    compared = parity(case.production, at, release)
    now = now_of(case.production, waiting.clock)
    said = gating.judge(case.production, version, now, at.releases / version)
    red = [one for one in said if one.says != PASS]
    failed = [one for one in smoke if one.code != DONE]
    below = [one.told for one in compared]
    below += [f"gate {one.gate}: {one.says.upper()}: {one.told}" for one in red]
    below.append(f"{len(red)} of {len(said)} gates are red" if red else "every gate is green")
    if live is not None:
        below.append(f"the simulated gateway runs on as process {live.pid}: end it with a signal")
    head = f"{version} runs in staging: {at.path}, port {settings.console_port}, {seconds:.1f} s"
    if failed:
        head = f"{version} runs in staging, and {count(len(failed), 'smoke line')} failed"
    return Outcome(
        (*map(_smoke_line, smoke), _history_line(history)),
        FAILED if failed else DONE,
        _data(case, version, settings, smoke, history, compared, said, seconds),
        above=(head, f"broker: {_broker(case)}"),
        below=tuple(below),
        next_command=_next(case, version, bool(failed)),
    )


def _data(
    case: Case,
    version: str,
    settings: Settings,
    smoke: Sequence[Done],
    history: dict[str, Any],
    compared: Sequence[Compared],
    said: Sequence[Said],
    seconds: float,
) -> dict[str, Any]:
    return {
        "version": version,
        "home": str(case.at.path),
        "port": settings.console_port,
        "simulated": case.way.is_simulated and case.wanted is not None,
        "why": _broker(case),
        "accounts": list(settings.accounts()),
        "seconds": round(seconds, 1),
        "smoke": [
            {"line": " ".join(one.words), "exit": one.code, "seconds": round(one.seconds, 1)}
            for one in smoke
        ],
        "history": history,
        "parity": [
            {
                "what": one.what,
                "staging": one.staging,
                "production": one.production,
                "same": one.is_same,
            }
            for one in compared
        ],
        "gates": [msgspec.to_builtins(one) for one in said],
        "red": [one.gate for one in said if one.says != PASS],
    }


def _next(case: Case, version: str, is_failed: bool) -> str:
    if is_failed:
        return f"risk-daemon-admin status --show-events --home {case.at.path}"
    if case.production.path != homes.choose(None).path:
        return f"risk-daemon-admin deploy gates {version} --home {case.production.path}"
    return f"scripts/deploy_canary.sh --account {case.guarded.settings.accounts()[0]}"
