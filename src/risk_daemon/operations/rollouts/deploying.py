"""`deploy` and `rollout`: people ask the controller for what comes next, and see what came of it.

Nothing here decides. The controller lives in the supervisor, and what it refuses it says why; what
it takes in is stored before it answers. A command that waits only looks again and again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.core.events import RolloutNoted
from risk_daemon.depot import staging
from risk_daemon.errors import NotFound, NotReachable, Refused, TimedOut, UsageError
from risk_daemon.operations import daemon, home
from risk_daemon.operations.accounts.looking import find_account
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import DEGRADED, DONE, FAILED, Outcome
from risk_daemon.operations.releases import newest
from risk_daemon.operations.releases.under_way import OVER, WITHIN_S, is_back, now_of, standing
from risk_daemon.operations.rollouts import configuring, deploy_plan
from risk_daemon.operations.running.lifecycle import Waiting
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.stored import entries
from risk_daemon.operations.words import iso
from risk_daemon.rollout import picture, planning, reading
from risk_daemon.rollout.plan import CONFIGURATION
from risk_daemon.rollout.reading import Problems

LOOK_EVERY_S: Final = 0.2
STATUS: Final = "risk-daemon-admin rollout status"
#: To be warm, a live shadow of 30 s, to be judged, and the canary looked at.
SHADOW_WITHIN_S: Final = 110.0
SMOKED_WITHIN_S: Final = 110.0

type Waited = Callable[[Mapping[str, Any]], bool]

# --- asking ---


def status(at: Home) -> Outcome:
    """Show the rollout: phases, what is missing, who is on what."""
    home.read(at)
    found = standing(at)
    if not found:
        line = "no rollout was begun here"
        return Outcome((line,), next_command="risk-daemon-admin deploy plan --help")
    code = DEGRADED if found["holds"] or found["stuck"] else DONE
    below = tuple(f"missing: {one}" for one in found["missing"])
    return Outcome(
        tuple(picture.groups(found)),
        code,
        found,
        next_command=_next(found),
        above=tuple(above(found)),
        below=below,
    )


def above(found: Mapping[str, Any]) -> list[str]:
    """Say where a rollout is, phase by phase, and who is on what."""
    return picture.tree(found)


def account_line(row: Mapping[str, Any]) -> str:
    """Say what one account is on, and what it is doing."""
    return f"{row['account']}: {picture.doing(row)}"


def _next(found: Mapping[str, Any]) -> str:
    if found["stage"] in ("draft", "gated"):
        return "risk-daemon-admin rollout start"
    names = [one["phase"] for one in found["phases"]]
    if found["stage"] in names:
        after = names.index(found["stage"]) + 1
        if after < len(names):
            return f"risk-daemon-admin rollout promote {names[after]}"
        return "risk-daemon-admin rollout complete"
    return "risk-daemon-admin status"


#: What two of them would do; all others are refused by what is missing.
WOULD: Final = {
    "stop": ("nothing more would be switched, and nobody would be moved",),
    "resume": ("every hold would be ended: what is not missing anything may be switched",),
}


def wish(at: Home, verb: str, who: Who, *, dry_run: bool, **args: Any) -> Outcome:
    """Ask the controller for one thing; it is stored when this returns, or refused with why."""
    home.read(at)
    if dry_run:
        found = standing(at)
        if not found:
            raise NotFound("there is no rollout here: `risk-daemon-admin deploy plan --help`.")
        lines = tuple(f"missing: {one}" for one in found["missing"]) or ("nothing is missing",)
        lines = WOULD.get(verb, lines)
        return Outcome(lines, data=found, notes=("nothing was done",))
    asked = {"verb": verb, "by": who.by, "reason": who.reason, **args}
    found = daemon.ask(at, daemon.SUPERVISOR, "rollout-ask", asked, WITHIN_S)
    return Outcome(tuple(above(found)), data=found, next_command=STATUS)


def accept(
    at: Home,
    gate: str,
    hours: int,
    who: Who,
    clock: Timekeeper,
    *,
    dry_run: bool,
    breaks_glass: bool,
) -> Outcome:
    """Accept what one gate says, for some hours from now."""
    until = now_of(at, clock) + hours * 3600 * SECOND_NS
    return wish(
        at, "accept", who, dry_run=dry_run, gate=gate, until=until, breaks_glass=breaks_glass
    )


def waited(at: Home, until: Waited, waiting: Waiting, within_s: float) -> dict[str, Any]:
    """Look at the rollout until it is as wanted; TimedOut names where it stands if it is not."""
    deadline, said = waiting.clock.steady_ns() + int(within_s * SECOND_NS), ""
    while True:
        found = standing(at)
        if found and until(found):
            return found
        now = f"{found['stage']}, {found['part']}" if found else "no rollout"
        if now != said:
            said = now
            waiting.say(now)
        if waiting.clock.steady_ns() > deadline:
            raise TimedOut(
                f"the rollout is not there after {within_s:g} s ({now}); it goes on by itself, and "
                f"asking again is safe. Missing: {'; '.join(found.get('missing', ())) or 'nothing'}"
            )
        waiting.pause(LOOK_EVERY_S)


def is_verified(found: Mapping[str, Any]) -> bool:
    """Tell whether every account of the present phase is on the candidate and was looked at."""
    return found["part"] in ("dwell", "judge") or found["stage"] not in _phases(found)


def _phases(found: Mapping[str, Any]) -> list[str]:
    return [str(one["phase"]) for one in found["phases"]]


def ended(found: Mapping[str, Any]) -> Outcome:
    """Say how a step came out: every account, and 0 only if it is where it was wanted."""
    lines = tuple(account_line(row) for row in found["accounts"])
    good = found["stage"] in _phases(found) and not found["holds"]
    if not good:
        return Outcome(lines, FAILED, dict(found), next_command=STATUS, above=tuple(above(found)))
    return Outcome(lines, DONE, dict(found), next_command=_next(found), above=tuple(above(found)))


def percent_of(found: Mapping[str, Any], percent: int) -> str:
    """Return the phase that a percentage means now. Raises UsageError or Refused."""
    plan_raw = found.get("plan")
    read = planning.restore(plan_raw) if plan_raw else None
    if read is None or isinstance(read, Problems):
        raise Refused("the stored plan can't be read; make a new one.")
    name = planning.asked_phase(read, str(found["stage"]), percent)
    if isinstance(name, Problems):
        raise UsageError("; ".join(name.sentences))
    return name


# --- the brief's lines ---


def canary(
    at: Home,
    account: str,
    version: str | None,
    who: Who,
    waiting: Waiting,
    *,
    dry_run: bool,
    is_emergency: bool = False,
) -> Outcome:
    """Begin a rollout with this account, decide in shadow on all, then switch this one.

    Of one that is under way with it, what is left of this is done.
    """
    home.open_home(at)
    number = find_account(at, account)[0]
    found = standing(at)
    if not found or found["stage"] in OVER:
        release = version or newest.release(at)
        waiting.say(f"rolling out {release}")
        if not dry_run:
            _bring(at, release, who, waiting)
        wanted = deploy_plan.Wanted(
            version=release, tests=(str(number),), is_emergency=is_emergency
        )
        planned = deploy_plan.plan(at, wanted, who, waiting.clock, dry_run=dry_run)
        if dry_run:
            return planned
        for line in (*planned.lines, *planned.notes):
            waiting.say(line)
    elif int(found["accounts"][0]["account"]) != number or version not in (None, found["release"]):
        raise Refused(
            f"the rollout {found['rollout']} of {found['release']} is under way, with the canary "
            f"{found['accounts'][0]['account']}; nothing was changed. Go on with it, or end it "
            "with `risk-daemon-admin rollout abort`."
        )
    elif is_emergency and found["kind"] != reading.EMERGENCY:
        raise Refused(
            f"the rollout {found['rollout']} was not planned as an emergency; nothing was changed. "
            "End it with `risk-daemon-admin rollout abort`, then begin one that is."
        )
    if dry_run:
        return wish(at, "start", who, dry_run=True)
    if standing(at)["stage"] in ("draft", "gated"):
        wish(at, "start", who, dry_run=False)  # it enters the canary when the shadow is judged
    return ended(waited(at, _is_there(reading.CANARY), waiting, SHADOW_WITHIN_S))


def percentage(
    at: Home,
    percent: int,
    who: Who,
    waiting: Waiting,
    *,
    dry_run: bool,
) -> Outcome:
    """Enter the phase of this percentage, and wait until each of its accounts was looked at."""
    home.open_home(at)
    found = standing(at)
    if not found or found["stage"] in OVER:
        raise NotFound(
            "there is no rollout here to go on with; begin one: `scripts/deploy_canary.sh --account"
            " ACCOUNT`."
        )
    name = percent_of(found, percent)
    if dry_run:
        return wish(at, "promote", who, dry_run=True, phase=name)
    if found["stage"] != name:
        wish(at, "promote", who, dry_run=False, phase=name)
    within_s = SMOKED_WITHIN_S + 0.05 * len(found["accounts"])
    return ended(waited(at, _is_there(name), waiting, within_s))


def _is_there(name: str) -> Waited:
    """Tell whether a phase's accounts were all switched and looked at, or something holds it.

    A rollout that is beyond it has been there: who asks twice asks once.
    """

    def is_there(found: Mapping[str, Any]) -> bool:
        left = [one["phase"] for one in found["phases"] if one["state"] == "over"]
        there = name in left or (found["stage"] == name and is_verified(found))
        return there or bool(found["holds"] or found["stuck"]) or is_back(found)

    return is_there


def stop(at: Home, who: Who, *, dry_run: bool) -> Outcome:
    """Freeze: nothing more is switched, nobody is moved; also twice, also with no rollout."""
    home.read(at)
    found = standing(at)
    if not found or found["stage"] in OVER:
        line = "no rollout is under way: nothing was being switched"
        return Outcome((line,), data=found, next_command="risk-daemon-admin status")
    if dry_run:
        return wish(at, "stop", who, dry_run=True)
    wish(at, "stop", who, dry_run=False)
    found = standing(at)
    back = f"scripts/rollback_daemon.sh --to-version {found['fallback']}"
    return Outcome(
        tuple(account_line(row) for row in found["accounts"]),
        data=found,
        above=tuple(above(found)),
        below=(f"to go back: {back}",),
        next_command=f"risk-daemon-admin rollback --all --to-version {found['fallback']}",
    )


def abort(at: Home, who: Who, waiting: Waiting, *, dry_run: bool) -> Outcome:
    """Bring every account back, and wait until each was looked at."""
    home.read(at)
    found = standing(at)
    if not found or is_back(found):
        line = "no rollout is under way: every account is where it was"
        return Outcome((line,), data=found, next_command="risk-daemon-admin status")
    if dry_run:
        lines = tuple(f"{row['account']}: would go back" for row in found["accounts"])
        return Outcome(lines, data=found, notes=("nothing was done",))
    wish(at, "abort", who, dry_run=False)
    return _brought_back(at, who, waiting, found)


def end_configuration(at: Home, who: Who, waiting: Waiting) -> None:
    """Bring every account back from a configuration that is being rolled out, if one is."""
    try:
        found = standing(at)
    except NotReachable:
        return  # nobody is there to roll anything out; anything else is not known, and told
    if found and found["kind"] == CONFIGURATION and found["stage"] not in OVER:
        abort(at, who, waiting, dry_run=False)


def _brought_back(at: Home, who: Who, waiting: Waiting, found: Mapping[str, Any]) -> Outcome:
    """Wait until a way back is at its end, and say of every account where it is."""
    # Before it is over: until then nothing of the files is adopted.
    configuring.take_files_back(at, found, who)
    within_s = SMOKED_WITHIN_S + 0.05 * len(found["accounts"])
    found = waited(at, lambda one: is_back(one) or bool(one["stuck"]), waiting, within_s)
    lines = tuple(account_line(row) for row in found["accounts"])
    stayed = [row for row in found["accounts"] if row["release"] != found["fallback"]]
    return Outcome(
        lines,
        FAILED if stayed or found["stuck"] else DONE,
        dict(found),
        above=tuple(above(found)),
        next_command="risk-daemon-admin reconcile-state",
    )


def _bring(at: Home, release: str, who: Who, waiting: Waiting) -> None:
    """Unpack a release of the depot that is not here yet; what is signed by nobody is refused."""
    if (at.releases / release / staging.STAGED).is_file():
        return
    from risk_daemon.depot.store import Depot
    from risk_daemon.operations.releases import depot as releases

    depot = Depot(home.depot_path())
    if release not in depot.versions():
        return  # whoever needs it says that it is not there, and what is
    act = releases.Act(waiting.clock.now_ns(), who.by, waiting.say)
    releases.stage(at, depot, release, act)


# --- looking back, and incidents ---


def history(at: Home, limit: int) -> Outcome:
    """Show what was written of rollouts: what changed, by whom, why; the newest last."""
    home.read(at)
    found = [
        (entry.at, entry.fact)
        for entry in entries(at.state / FILE, ("rollout-noted",))
        if isinstance(entry.fact, RolloutNoted)
    ]
    if not found:
        line = "nothing was written of any rollout here"
        return Outcome((line,), next_command="risk-daemon-admin deploy plan --help")
    lines = tuple(
        f"{iso(moment)} {one.rollout}: {one.what}, {one.actor}: {one.reason}"
        for moment, one in found[-limit:]
    )
    rows = [{"at": iso(moment), **msgspec.to_builtins(one)} for moment, one in found[-limit:]]
    # The newest are what is looked for: the first lines of a long answer are cut last.
    return Outcome((), data={"entries": rows}, above=lines, next_command=STATUS)


def incident(at: Home, who: Who, waiting: Waiting, *, dry_run: bool) -> Outcome:
    """What is being rolled out goes back at once, and what to rotate is said."""
    home.read(at)
    found = standing(at)
    rotate = tuple(
        f"rotate: the key of login {login.name} (`risk-daemon-admin credentials rotate "
        f"{login.name}`)"
        for login in in_force(at).logins
    )
    rotate = (*rotate, "rotate: the key that signs releases, if it may be known to others")
    if not found or is_back(found):
        return Outcome(
            ("no rollout is under way: every account is where it was",), below=rotate, data=found
        )
    if dry_run:
        return Outcome(("every account would go back",), below=rotate, notes=("nothing was done",))
    asked = {"by": who.by, "reason": who.reason}
    daemon.ask(at, daemon.SUPERVISOR, "rollout-incident", asked, WITHIN_S)
    back = _brought_back(at, who, waiting, found)
    return dataclasses.replace(back, below=(*back.below, *rotate))
