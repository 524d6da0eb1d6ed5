"""What a machine knows of the checklists: each thing is looked at anew whenever it is asked for.

Nothing here decides: `checklists.checklist` does. What could not be looked at is not well, and
says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.core.events import RolloutNoted
from risk_daemon.depot import staging
from risk_daemon.depot.manifest import MANIFEST, decode
from risk_daemon.errors import Malformed, OperatorError
from risk_daemon.operations import daemon
from risk_daemon.operations.accounts import looking
from risk_daemon.operations.changing import contacts
from risk_daemon.operations.checklists import checklist
from risk_daemon.operations.checklists.checklist import Look
from risk_daemon.operations.configuration import credentials
from risk_daemon.operations.configuration import loading as configuration
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.home import Home
from risk_daemon.operations.releases import gating
from risk_daemon.operations.releases.under_way import now_of
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.stored import entries
from risk_daemon.operations.words import count
from risk_daemon.rollout import gates
from risk_daemon.rollout.gates import Case, Said
from risk_daemon.rollout.row import ABORTED, ABORTING, DONE, PASS, ROLLED_BACK, ROLLING_BACK

_BACK: Final = (ABORTING, ROLLING_BACK, ABORTED, ROLLED_BACK)
_STATUS: Final = "`risk-daemon-admin rollout status`"


def of_gates(at: Home, version: str, clock: Timekeeper) -> dict[str, Look]:
    """Look at the gates of a staged release, each with the time of its evidence."""
    said, case = _judged(at, version, clock)
    times = _times(case) if case else {}
    found = {
        one.gate: Look(
            well=one.says == PASS,
            sentence=one.sentence,
            at=times.get(one.gate, 0),
            measure=one.measure,
        )
        for one in said
    }
    return found | {"drill": found["rollback drill"]}


def _judged(at: Home, version: str, clock: Timekeeper) -> tuple[tuple[Said, ...], Case | None]:
    try:
        now = now_of(at, clock)
    except OperatorError as error:
        # Of a home that never ran the time is in its configuration, which may be what is broken.
        return gates.blind(version, _flat(error)), None
    return gating.judged(at, version, now)


def _flat(error: OperatorError) -> str:
    return " ".join(error.sentence.split())


def _times(case: Case) -> dict[str, int]:
    """When what a gate goes by was measured (UTC ns)."""
    found: dict[str, int] = {}
    if case.tests.content is not None:
        at = case.tests.content.at * SECOND_NS
        found |= dict.fromkeys(("tests", "live tests", "coverage", "documents"), at)
    if case.benchmarks.content is not None:
        found["benchmarks"] = case.benchmarks.content.at * SECOND_NS
    if case.audit.content is not None:
        found["audit"] = case.audit.content.at * SECOND_NS
    if case.backup is not None:
        found["backup"] = case.backup.made_at
    if case.drill is not None:
        found["rollback drill"] = case.drill.at
    return found


def of_home(at: Home) -> dict[str, Look]:
    """Look at the configuration, the credentials, what holds the accounts, and the dashboard."""
    return {
        checklist.CONFIGURATION: _look(
            lambda: _configuration(at), "`risk-daemon-admin config validate`"
        ),
        checklist.ENVIRONMENT: _look(
            lambda: _environment(at), "`risk-daemon-admin credentials check`"
        ),
        checklist.HOLDER: _look(lambda: _holder(at), "`risk-daemon-admin start`"),
        checklist.CONTACTS: _look(lambda: _contacts(at), f"`{contacts.SET}`"),
        checklist.CONSOLE: _look(lambda: _console(at), "`risk-daemon-admin start`"),
    }


def _look(at: Callable[[], str], measure: str) -> Look:
    try:
        return Look(well=True, sentence=at())
    except OperatorError as error:
        return Look(well=False, sentence=_flat(error), measure=measure)
    except (OSError, Malformed) as error:
        return Look(well=False, sentence=f"it could not be looked at: {error}", measure=measure)


def _configuration(at: Home) -> str:
    found = configuration.load(at.config)
    return f"the configuration is valid for {count(len(found.policies), 'account')}"


def _environment(at: Home) -> str:
    logins = in_force(at).logins
    for login in logins:
        credentials.resolve(at, login)
    return f"{count(len(logins), 'login')} with a key"


def _holder(at: Home) -> str:
    held = sorted({str(row["release"]) for row in daemon.status(at)["accounts"]})
    if not held:
        raise OperatorError("no release holds an account")
    return "; ".join(_named(at, name) for name in held)


def _named(at: Home, name: str) -> str:
    """Name a release so that exactly it can be made and found again."""
    staged = staging.read(at.releases / name)
    manifest = decode((at.releases / name / MANIFEST).read_bytes())
    return f"{name} is of commit {manifest.commit[:12]}, digest {staged.release[:16]}"


def _contacts(at: Home) -> str:
    open_ = contacts.missing(contacts.read(at.config))
    if open_:
        raise OperatorError(f"still to be filled in: {'; '.join(open_)}")
    return "every role can be reached"


def _console(at: Home) -> str:
    looking.console_health(at)
    return "the console answers"


# --- a rollout ---


def of_phases(standing: Mapping[str, Any]) -> dict[str, Look]:
    """Look at each phase of a rollout as it stands."""
    return dict(_phases(standing))


def _phases(standing: Mapping[str, Any]) -> Iterator[tuple[str, Look]]:
    for one in with_accounts(standing):
        name, state = one["phase"], one["state"]
        rows = standing["accounts"][: one["accounts"]]
        there = [row for row in rows if row["release"] == standing["release"]]
        smoked = [row for row in there if row["smoke"] == PASS]
        total = len(rows)
        yield (
            f"{name} {checklist.DEPLOYED}",
            _counted(len(there), total, f"on {standing['release']}"),
        )
        yield f"{name} {checklist.SMOKE}", _counted(len(smoked), total, "looked at and well")
        if state == "over":
            over = Look(well=True, sentence="the phase was left with nothing missing")
            yield f"{name} {checklist.MONITORED}", over
            yield f"{name} {checklist.METRICS}", over
        elif state == "now":
            yield f"{name} {checklist.MONITORED}", _monitored(one)
            yield f"{name} {checklist.METRICS}", metrics(one)
        else:
            told = f"the rollout is {standing['stage']}"
            not_yet = Look(well=False, sentence=told, measure=_STATUS)
            yield f"{name} {checklist.MONITORED}", not_yet
            yield f"{name} {checklist.METRICS}", not_yet


def with_accounts(standing: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the phases that give accounts; in shadow nobody has any."""
    return [one for one in standing["phases"] if one["accounts"]]


def _counted(found: int, total: int, what: str) -> Look:
    told = f"{found} of {count(total, 'account')} {what}"
    return Look(well=found == total > 0, sentence=told, measure=_STATUS)


def _monitored(phase: Mapping[str, Any]) -> Look:
    short = [
        f"{name.replace('_', ' ')} {seen} of {wanted}"
        for name, (seen, wanted) in phase["dwell"].items()
        if seen < wanted
    ]
    short += [f"not witnessed: {one}" for one in phase["unseen"]]
    told = "; ".join(short) or "seen for as long as wanted"
    return Look(well=not short, sentence=told, measure=_STATUS)


def metrics(phase: Mapping[str, Any]) -> Look:
    """Look at the gates of a phase that is under way."""
    bad = [
        f"{one['gate']}: {one['says']}"
        for one in phase["gates"]
        if one["says"] != PASS and not one["overridden"]
    ]
    if not phase["gates"]:
        return Look(well=False, sentence="the plan has no gate for this phase", measure=_STATUS)
    told = "; ".join(bad) or f"{count(len(phase['gates']), 'gate')} passed, or accepted by a person"
    return Look(well=not bad, sentence=told, measure=_STATUS)


def of_end(at: Home, version: str, standing: Mapping[str, Any]) -> dict[str, Look]:
    """Look at what a rollout that is over has left."""
    accounts = standing["accounts"]
    there = [row for row in accounts if row["release"] == version]
    return {
        checklist.EVERYWHERE: _counted(len(there), len(accounts), f"on {version}"),
        checklist.NEVER_BACK: _never_back(at, version),
        checklist.METRICS: _stable(standing),
        checklist.REPORT: _report(at, version),
    }


def _stable(standing: Mapping[str, Any]) -> Look:
    last = standing["phases"][-1]
    if last["state"] == "now":
        return metrics(last)
    well = standing["stage"] == DONE
    return Look(well=well, sentence=f"the rollout is {standing['stage']}", measure=_STATUS)


def _never_back(at: Home, version: str) -> Look:
    for entry in entries(at.state / FILE, ("rollout-noted",)):
        fact = entry.fact
        if not isinstance(fact, RolloutNoted) or not fact.rollout.startswith(f"{version}-"):
            continue
        if fact.what in _BACK:
            told = f"{fact.rollout} went back: {fact.reason}"
            history = "`risk-daemon-admin rollout history`"
            return Look(well=False, sentence=told, at=entry.at, measure=history)
    return Look(well=True, sentence=f"no rollout of {version} went back")


def _report(at: Home, version: str) -> Look:
    file = at.path / "rollouts" / f"{version}.md"
    try:
        made = file.stat().st_mtime_ns
    except FileNotFoundError:
        how = f"`risk-daemon-admin rollout report {version}`"
        return Look(well=False, sentence="no report was written", measure=how)
    return Look(well=True, sentence=f"{file.name} keeps the lines of audit", at=made)
