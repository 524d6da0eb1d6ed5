"""`service install | uninstall | status`: the daemon under a service manager; and what that runs.

Nothing here guards anything: with or without a service manager `start` starts the daemon. Where
one is installed it is asked first, so that somebody watches the supervisor too.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from risk_daemon.clock import Clock
from risk_daemon.core.events import AlarmRaised
from risk_daemon.errors import Denied, NotFound, OperatorError, Refused, UsageError
from risk_daemon.operations import daemon, home, owner, pending, state_file
from risk_daemon.operations.accounts import emergency
from risk_daemon.operations.alerts import channel_file, sending
from risk_daemon.operations.alerts.outbox import Alarm, Place
from risk_daemon.operations.backup import restoring
from risk_daemon.operations.changing import contacts
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import DONE, FAILED, Outcome
from risk_daemon.operations.releases import following
from risk_daemon.operations.running import service_unit
from risk_daemon.operations.running.service_unit import MUST_NOT_START, Service
from risk_daemon.operations.words import both_times, count, iso
from risk_daemon.wire.address import SOCKET_PATH_MAX

SYSTEMD: Final = "systemd"
NSSM: Final = "nssm"
UNITS: Final = Path("/etc/systemd/system")
#: In the home: which service it is, so that `start` asks the one who watches it.
FILE: Final = "service.json"
#: While a person's `start` is under way the mark of the last `stop` does not count.
WANTED: Final = "start-wanted"
NEVER_RUN: Final = "these commands have never been run by us: docs/guides/install.md"
_WITHIN_S: Final = 30.0
_LONGEST_SOCKET: Final = "worker-2@v10.10.10-4194304.sock"
_SHOWN: Final = ("ActiveState", "SubState", "UnitFileState", "MainPID", "NRestarts", "Result")


@dataclass(frozen=True, slots=True)
class Installed:
    """What a home knows of its service."""

    name: str
    units: Path


def of_platform() -> str:
    """Return the service manager of this platform."""
    return NSSM if sys.platform == "win32" else SYSTEMD


def described(at: Home, name: str | None) -> Service:
    """Return a home as a service: its owner's, by the launcher that follows its release."""
    about = home.read(at)
    usual = (
        "risk-daemon" if about.environment == "production" else f"risk-daemon-{about.environment}"
    )
    given = name or usual
    if not given.replace("-", "").replace("_", "").isalnum():
        raise UsageError(f"--name {given!r}: allowed are letters, digits, - and _.")
    launcher = at.path / "bin" / following.NAME
    command = (str(launcher),) if launcher.is_file() else _this()
    return Service(given, str(at.path), about.environment, _owner(at.path), command)


def _this() -> tuple[str, ...]:
    return (sys.executable, "-m", "risk_daemon.programs.admin")


def _owner(path: Path) -> str:
    if sys.platform == "win32":
        return "LocalService"
    try:
        return path.owner()
    except KeyError:  # an owner without a name
        return str(path.stat().st_uid)


def installed(at: Home) -> Installed | None:
    """Return the service of a home; None where it has none."""
    try:
        found = json.loads((at.path / FILE).read_text())
        return Installed(str(found["name"]), Path(found["units"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


# --- install -------------------------------------------------------------------


def install(
    at: Home, name: str | None, keeper: str, units: Path, who: Who, *, dry_run: bool
) -> Outcome:
    """Put the daemon under a service manager; it is started by `start`, and at boot."""
    home.read(at)
    if not dry_run and following.staged(at):
        following.write_commands(at)
    one = described(at, name)
    if keeper == NSSM:
        return _to_type(service_unit.nssm_commands(one))
    if len(os.fsencode(f"{at.path}/run/{_LONGEST_SOCKET}")) > SOCKET_PATH_MAX:
        raise Refused(
            f"the path {at.path} is too long for sockets inside of it, and a service has a /tmp of "
            "its own; nothing was done. Move the home, such as to /var/lib/risk-daemon."
        )
    texts = {
        one.unit: service_unit.service_unit(one),
        one.caller: service_unit.calling_unit(one),
    }
    data: dict[str, Any] = {"unit": one.unit, "units": str(units), "files": texts}
    if dry_run:
        shown = tuple(f"--- {units / file} ---\n{text}" for file, text in texts.items())
        return Outcome((), data=data, notes=("nothing was done",), above=shown)
    if shutil.which("systemctl") is None:
        raise Refused(
            "there is no systemctl on this machine; nothing was done. `service install --dry-run` "
            "shows the units; without them `risk-daemon-admin start` starts the daemon as well."
        )
    _write(units, texts)
    (at.path / FILE).write_text(json.dumps({"name": one.name, "units": str(units)}) + "\n")
    owner.give_back(at)
    lines = [f"{units / file}: written" for file in texts]
    failed = _all(("daemon-reload",), ("enable", one.unit))
    notes = [f"installed by {who.by}: {who.reason}"]
    if failed:
        lines.append(f"{one.unit}: NOT ENABLED: {failed}")
    else:
        lines.append(f"{one.unit}: enabled: started at boot, unless it was switched off on purpose")
    if one.user == "root":
        notes.append("the home is root's, so the daemon runs as root; better is a user of its own")
    if _runs(at):
        notes.append(
            "the daemon runs already, and not under the service manager: `stop` and `start` once"
        )
    code = FAILED if failed else DONE
    return Outcome(tuple(lines), code, data, tuple(notes), "risk-daemon-admin start")


def _to_type(commands: tuple[str, ...]) -> Outcome:
    """Show what a person on Windows has to type."""
    note = f"nothing was done: type these into an elevated prompt; {NEVER_RUN}"
    return Outcome((), data={"commands": list(commands)}, notes=(note,), above=commands)


def _write(units: Path, texts: dict[str, str]) -> None:
    try:
        for file, text in texts.items():
            (units / file).write_text(text)
    except PermissionError:
        raise Denied(
            f"you may not write into {units}; nothing was done. Run it as root, with --home."
        ) from None
    except OSError as error:
        raise Refused(
            f"{units} can't be written into: {error.strerror}; nothing was done."
        ) from None


def _systemctl(*words: str) -> tuple[str, str]:
    """Run systemctl; what it says, and why it failed."""
    try:
        done = subprocess.run(
            ["systemctl", *words],  # noqa: S607 - wherever the system has it
            capture_output=True,
            text=True,
            check=False,
            timeout=_WITHIN_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        return done.stdout, said[-1] if said else f"exit {done.returncode}"
    return done.stdout, ""


def _all(*commands: tuple[str, ...]) -> str:
    """Run one after the other; why the first failed that did."""
    return next((why for words in commands if (why := _systemctl(*words)[1])), "")


def _runs(at: Home) -> bool:
    try:
        daemon.status(at)
    except OperatorError:
        return False
    return True


# --- uninstall -----------------------------------------------------------------


def open_positions(at: Home) -> tuple[str, ...]:
    """Return what is open, as far as somebody can tell."""
    return emergency.held_positions(at, in_force(at).accounts())


def uninstall(at: Home, keeper: str, who: Who, *, dry_run: bool) -> Outcome:
    """Take the service away; protection ends, on purpose and durably. The home stays as it is."""
    found = installed(at)
    if keeper == NSSM:
        return _to_type(service_unit.nssm_removal(described(at, None)))
    if found is None:
        raise NotFound(f"{at.path} has no service; nothing was done.")
    one = described(at, found.name)
    held = open_positions(at)
    warned = tuple(f"OPEN, and nobody will protect it: {line}" for line in held)
    stays = tuple(_stays(at))
    data = {"unit": one.unit, "positions": list(held), "stays": list(stays)}
    if dry_run:
        would = f"{one.unit}: would be stopped and removed"
        return Outcome((would, *warned, *stays), data=data, notes=("nothing was done",))
    lines = []
    if _runs(at):
        off = emergency.switch_off(at, who, alarm=False)
        lines.append(off.lines[0])
        if off.exit_code != DONE:
            return Outcome((*off.lines, "the service was left as it is"), FAILED, data)
    failed = _all(("disable", one.unit))
    for file in (one.unit, one.caller):
        (found.units / file).unlink(missing_ok=True)
    failed = failed or _all(("daemon-reload",))
    (at.path / FILE).unlink(missing_ok=True)
    lines.append(f"{one.unit}: removed{f', but: {failed}' if failed else ''}")
    return Outcome(
        (*lines, *warned, *stays),
        FAILED if failed else DONE,
        data,
        next_command="risk-daemon-admin start",
    )


def _stays(at: Home) -> list[str]:
    """Name what an uninstall leaves where it is, because it is the traders' and the record's."""
    try:
        standing = state_file.standing(at)
        locks = f"{count(len(standing.locks), 'lock')} in force: they hold again at the next start"
    except OperatorError:
        locks = "no lock is known"
    return [
        f"stays: {at.state} (the journal; {locks})",
        f"stays: {at.config} (the configuration and its history)",
        f"stays: {at.path / 'credentials'} (keys), {at.path / 'backups'}, {at.logs}",
    ]


# --- status --------------------------------------------------------------------


def status(at: Home) -> Outcome:
    """Say whether the service runs, and whether its unit is what this release would write."""
    found = installed(at)
    if found is None:
        raise NotFound(
            f"{at.path} has no service: nobody starts the daemon at boot, and nobody restarts its "
            "supervisor. `risk-daemon-admin service install --dry-run` shows what it would be."
        )
    one = described(at, found.name)
    said, failed = _systemctl("show", one.unit, f"--property={','.join(_SHOWN)}")
    states = service_unit.states(said)
    off = _off(at)
    is_active = states.get("ActiveState") == "active"
    lines = [
        f"{one.unit}: {states.get('ActiveState', 'unknown')} ({states.get('SubState', failed)}), "
        f"process {states.get('MainPID', 'unknown')}, {states.get('NRestarts', '?')} restarts, "
        f"at boot: {states.get('UnitFileState') or 'unknown'}"
    ]
    if off:
        lines.append(f"switched off on purpose: {off}; it is not started before `start`")
    changed = _changed(one, found.units)
    if changed:
        lines.append(f"{found.units / changed} is not what this release would write")
    is_beside = not is_active and _runs(at)
    if is_beside:
        lines.append("the daemon runs beside it: nobody restarts its supervisor")
    data = {
        "unit": one.unit,
        "active": is_active,
        "systemd": states,
        "off": off,
        "changed": changed,
        "beside": is_beside,
    }
    well = is_active and not changed
    hint = "risk-daemon-admin service install" if changed else "risk-daemon-admin status"
    return Outcome(tuple(lines), DONE if well else FAILED, data, next_command=hint)


def _changed(one: Service, units: Path) -> str:
    wanted = {
        one.unit: service_unit.service_unit(one),
        one.caller: service_unit.calling_unit(one),
    }
    for file, text in wanted.items():
        try:
            if (units / file).read_text() == text:
                continue
        except OSError:
            pass
        return file
    return ""


def _off(at: Home) -> str:
    """Say who switched protection off, why and since when; empty while it is on."""
    try:
        last = state_file.standing(at)
    except OperatorError:
        return ""  # a file that nobody can read is no reason to leave accounts unprotected
    if last.disabled is None:
        return ""
    since = both_times(iso(last.disabled_at))
    return f"{last.disabled.reason} ({last.disabled.by}, since {since})"


# --- what the service manager runs ---------------------------------------------


def may_start(at: Home) -> Outcome:
    """Tell the service manager whether it may start the daemon."""
    if _runs(at):
        line = "the daemon runs already, beside the service manager: `stop` and `start` once"
        return Outcome((line,), MUST_NOT_START)
    off = _off(at)
    is_wanted = (at.run / WANTED).exists()
    if service_unit.may_start(is_off=bool(off), is_wanted=is_wanted):
        return Outcome(("it may start",))
    line = f"switched off on purpose: {off}; only `risk-daemon-admin start` ends that"
    return Outcome((line,), MUST_NOT_START)


def run(at: Home) -> NoReturn:
    """Become the supervisor of the home, as the release whose command line this is."""
    home.open_home(at)
    note = restoring.finish(at)
    if note:
        print(note, file=sys.stderr, flush=True)  # noqa: T201 - for the service manager's log
    words = [sys.executable, "-m", "risk_daemon.programs.supervisor", "--home", str(at.path)]
    if sys.platform == "win32":
        sys.exit(subprocess.run(words, check=False).returncode)
    os.execv(sys.executable, words)  # noqa: S606 - a list of words, never a shell


def begin(at: Home, found: Installed) -> str:
    """Have the service manager start the daemon; why it did not, or nothing."""
    at.run.mkdir(exist_ok=True, mode=0o700)
    (at.run / WANTED).touch()
    # Without the first an earlier series of failures would count against this person's start.
    _systemctl("reset-failed", f"{found.name}.service")
    return _systemctl("start", "--no-block", f"{found.name}.service")[1]


def begun(at: Home) -> None:
    """A person's start is over: from now on a mark counts again."""
    (at.run / WANTED).unlink(missing_ok=True)
    owner.give_back(at)


def gave_up(at: Home, clock: Clock) -> Outcome:
    """Call people: the service manager has given up. By every channel of the admins, now."""
    home.read(at)
    text = f"the daemon did not stay up: three restarts failed, nobody restarts it; {_words(at)}"
    if people := contacts.of_home(at):
        text = f"{text}; {people}"
    raised = AlarmRaised(
        account=0, level="page", what="not running", text=text, source="service manager"
    )
    now = clock.now_ns()
    # The journal is down: the record follows at the next start, the message must not wait for it.
    pending.keep_message(at, pending.Message(f"gave-up:{now}", raised))
    alarm = Alarm(
        place=Place(),
        at=now,
        account=0,
        level=raised.level,
        what=raised.what,
        text=text,
        source=raised.source,
        audience="admins",
    )
    lines, is_told = [text], False
    for channel in channel_file.read(at):
        if alarm.audience not in channel.audiences:
            continue
        try:
            sending.send(at, channel, (alarm,))
        except OSError as error:
            lines.append(f"{channel.name}: NOT told: {sending.in_words(error)}")
        else:
            is_told = True
            lines.append(f"{channel.name}: told")
    if not is_told:
        lines.append("no channel reached anybody: this is in the service manager's log only")
    return Outcome(tuple(lines), DONE if is_told else FAILED, {"told": is_told, "text": text})


def _words(at: Home) -> str:
    """Return the last words of the supervisor or the journal."""
    for name in ("supervisor", "journal"):
        try:
            said = (at.logs / f"{name}.log").read_text(errors="replace").strip().splitlines()
        except OSError:
            continue
        if said:
            return f"last words of {name}: {said[-1][:300]}"
    return "it has left no words"
