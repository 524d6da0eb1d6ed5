"""`start` and `restart`: the supervisor is spawned, and nothing is claimed that was not seen.

The supervisor lives in a session (POSIX) or process group (Windows) of its own,
so that closing the terminal leaves it running.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.core.events import ProtectionEnabled
from risk_daemon.errors import NotReachable, OperatorError, Refused, TimedOut
from risk_daemon.operations import daemon, home, owner
from risk_daemon.operations.accounts import guard
from risk_daemon.operations.backup import restoring
from risk_daemon.operations.changing import adoption
from risk_daemon.operations.configuration import credentials
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import DONE, FAILED, UNREACHABLE, Outcome
from risk_daemon.operations.running import readiness, service
from risk_daemon.operations.words import count, duration
from risk_daemon.settings import Settings

#: While waiting; short, as a person waits too.
_LOOK_EVERY_S: Final = 0.1
RESTART_WITHIN_S: Final = 60.0

if sys.platform == "win32":
    _ALONE: Final = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS
else:
    _ALONE: Final = 0

type Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How waiting is done: with which clock, how long, and who hears about it."""

    clock: Timekeeper
    pause: Callable[[float], None]
    within_s: float
    say: Say


def start(at: Home, who: Who, waiting: Waiting, *, dry_run: bool) -> Outcome:
    """Start the daemon, and wait until every account is enforced or say what is missing."""
    running = _is_running(at)
    if not running and (note := restoring.finish(at)):
        waiting.say(note)
    settings, notes = _checked(at, is_running=running)
    for note in notes:
        waiting.say(note)
    if dry_run:
        lines = tuple(f"{n}: would be guarded" for n in settings.accounts())
        return Outcome(lines, data={"accounts": list(settings.accounts())})
    _commit_edits(at, who, waiting.say)
    process = None
    if not running:
        process = _begun(at, waiting.say)
    else:
        waiting.say("the supervisor is running already")
    try:
        return _wait(at, who, settings, waiting, process)
    finally:
        service.begun(at)


def _begun(at: Home, say: Say) -> subprocess.Popen[bytes] | None:
    """Start the supervisor: by the service manager where there is one, else by ourselves."""
    found = service.installed(at)
    if found is not None:
        why = service.begin(at, found)
        if not why:
            say(f"{found.name}.service is started by the service manager")
            return None
        if owner.is_anothers(at):
            raise Refused(
                f"{found.name}.service was not started ({why}), and a daemon of root's own would "
                f"lock the owner of {at.path} out of it; nothing was started. As that user "
                "`risk-daemon-admin start` starts it, with the service manager or without."
            )
        say(f"{found.name}.service was not started ({why}); nobody restarts this supervisor")
    process = spawn(at)
    say(f"supervisor started (process {process.pid})")
    return process


def _checked(at: Home, *, is_running: bool) -> tuple[Settings, list[str]]:
    """Refuse what can't start before anything does; a later start may go by the last good file."""
    settings, note = adoption.for_start(at)
    notes = [note] if note else []
    for login in settings.logins:
        said = credentials.resolve(at, login).note
        notes += [said] if said else []
    return settings, notes + readiness.notes(at, settings, is_running=is_running)


def _commit_edits(at: Home, who: Who, say: Say) -> None:
    """Commit what was edited by hand, as the person's who starts it."""
    # Imported here: dulwich is slow to load.
    from dulwich.errors import FileFormatException, NotGitRepository

    from risk_daemon.operations.configuration import history

    try:
        history.ensure(at.config, who.by, f"Edited by hand, adopted by start: {who.reason}")
    except (OSError, KeyError, ValueError, FileFormatException, NotGitRepository) as error:
        # A damaged history is no reason to leave accounts unprotected.
        say(f"the history of {at.config} could not be written: {error}")


def _is_running(at: Home) -> bool:
    try:
        daemon.status(at)
    except OperatorError:
        return False
    return True


def spawn(at: Home, *, python: str = sys.executable, version: str = "") -> subprocess.Popen[bytes]:
    """Start the supervisor detached; what it can't log goes to a file of its own.

    `python` and `version`: of another release than that of the command.
    """
    at.logs.mkdir(exist_ok=True, mode=0o700)
    words = [python, "-m", "risk_daemon.programs.supervisor", "--home", str(at.path)]
    words += ["--release", version] if version else []
    with (at.logs / "supervisor.out").open("ab") as out:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            creationflags=_ALONE,
        )


def _wait(
    at: Home,
    who: Who,
    settings: Settings,
    waiting: Waiting,
    process: subprocess.Popen[bytes] | None,
) -> Outcome:
    """Wait until every account is enforced, or the supervisor dies, or the time is over."""
    wanted, enabled, told = set(settings.accounts()), False, ""
    for _ in _looks(waiting):
        if process is not None and process.poll() is not None:
            if not _is_anothers(at, process.returncode):
                return _died(at, process.returncode)
            waiting.say("another supervisor runs already: that one is waited for")
            process = None
        enabled = enabled or _enable(at, who)
        missing = _missing(at, wanted)
        if enabled and not missing:
            return Outcome(
                (f"every account is guarded: {count(len(wanted), 'account')}",),
                data={"accounts": sorted(wanted), "missing": {}},
                next_command="risk-daemon-admin test-connection",
            )
        text = f"waiting for {count(len(missing), 'account')}: {next(iter(missing.values()), '')}"
        if text != told:
            waiting.say(text)
            told = text
    return _late(at, wanted, _missing(at, wanted), waiting.within_s)


def _late(at: Home, wanted: set[int], missing: dict[int, str], within_s: float) -> Outcome:
    """The time is over: which accounts were waited for in vain, why, and how to wait on."""
    told = (
        f"waited {within_s:g} s for {count(len(wanted), 'account')}, {len(missing)} not guarded; "
        f"what was started goes on by itself: `risk-daemon-admin start --home {at.path}` waits on"
    )
    return Outcome(
        tuple(f"{account}: NOT GUARDED: {why}" for account, why in sorted(missing.items())),
        TimedOut.exit_code,
        {"accounts": sorted(wanted), "missing": {str(n): why for n, why in missing.items()}},
        below=(told,),
        next_command="risk-daemon-admin status --show-events",
    )


def _looks(waiting: Waiting) -> Iterator[None]:
    """Look, pause, look again, until the time is over."""
    until = waiting.clock.steady_ns() + int(waiting.within_s * SECOND_NS)
    while waiting.clock.steady_ns() < until:
        yield
        waiting.pause(_LOOK_EVERY_S)


def _is_anothers(at: Home, code: int) -> bool:
    """Whether ours ended since the home has one: begun at the same time, or too busy to answer."""
    if code != Refused.exit_code:
        return False
    try:
        home.lock(at).release()
    except Refused:
        return True
    return False


def _died(at: Home, code: int) -> Outcome:
    """The supervisor is gone: show its own last words."""
    said = (at.logs / "supervisor.out").read_text(errors="replace").strip().splitlines()[-3:]
    lines = (f"the supervisor ended with exit {code}; nothing is running", *said)
    return Outcome(lines, code if 0 < code <= UNREACHABLE else FAILED, {"exit": code})


def _enable(at: Home, who: Who) -> bool:
    """Clear the mark that protection is off; False while the journal is not up yet."""
    try:
        marks = daemon.tail(at, 1, ("protection-disabled", "protection-enabled"))
        if marks and marks[-1].kind == "protection-disabled":
            daemon.append(at, ProtectionEnabled(by=who.by, reason=who.reason))
    except OperatorError:
        return False
    return True


def _missing(at: Home, wanted: set[int]) -> dict[int, str]:
    """Accounts that are not guarded yet, each with why: by the supervisor and by its worker."""
    try:
        rows = {row["account"]: row for row in daemon.status(at).get("accounts", [])}
        views = daemon.views(at, sorted(wanted))
    except OperatorError as silent:
        return dict.fromkeys(sorted(wanted), silent.sentence.rstrip("."))
    found = {
        number: guard.objection(rows.get(number, {}), views.get(number))
        for number in sorted(wanted)
    }
    return {number: why for number, why in found.items() if why}


def restart(at: Home, who: Who, *, dry_run: bool) -> Outcome:
    """Restart the processes one after the other, protected throughout; says each one's gap."""
    home.read(at)
    names = [str(row["name"]) for row in daemon.status(at).get("processes", [])]
    if dry_run:
        lines = tuple(f"{name}: would be restarted" for name in names)
        return Outcome(lines, data={"processes": names}, notes=("nothing was done",))
    asked = {"by": who.by, "reason": who.reason}
    answer = daemon.ask(at, daemon.SUPERVISOR, "restart", asked, RESTART_WITHIN_S)
    gaps = answer.get("gaps", [])
    lines = tuple(f"{row['process']}: restarted, gap {duration(row['gap_ms'])}" for row in gaps)
    if not lines:
        raise NotReachable("the supervisor restarted nothing.")
    return Outcome(lines, DONE, dict(answer), next_command="risk-daemon-admin test-connection")
