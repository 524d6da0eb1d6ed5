"""`deploy` and `rollout`: a plan is made, and people ask the controller for what comes next.

Nothing here decides. The controller lives in the supervisor, and what it refuses it says why; what
it takes in is stored before it answers. A command that waits only looks again and again.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.depot import staging
from risk_daemon.errors import NotFound, Refused, TimedOut, UsageError
from risk_daemon.journal.reader import Reader
from risk_daemon.operations import commits, daemon, fitting, home, hosting
from risk_daemon.operations.home import Home
from risk_daemon.operations.in_force import in_force
from risk_daemon.operations.lifecycle import Waiting
from risk_daemon.operations.looking import find_account
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import DEGRADED, DONE, FAILED, Outcome
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.words import count
from risk_daemon.rollout import planning, reading
from risk_daemon.rollout.order import Member
from risk_daemon.rollout.reading import Problems, Wish
from risk_daemon.wire.view import AccountView

WITHIN_S: Final = 20.0
LOOK_EVERY_S: Final = 0.2
PLAN_FILE: Final = "rollout.yaml"
STATUS: Final = "risk-daemon-admin rollout status"
DAY_NS: Final = 86_400 * SECOND_NS
#: Records until 0.1 % is told from 1 %, and until faults show: docs/architecture/judging.md.
FIGURES: Final = planning.Figures(to_decide=330, errors=700, latency=700)
#: Dollars of an open contract whose account shows no average price.
UNPRICED: Final = Decimal(100_000)

#: The stages in which nothing is under way.
OVER: Final = ("done", "aborted", "rolled back", "superseded")
#: The live shadow of 30 s, what it takes to be warm, and to be judged.
SHADOW_WITHIN_S: Final = 100.0
SMOKED_WITHIN_S: Final = 110.0

type Waited = Callable[[Mapping[str, Any]], bool]


# --- planning ---


def plan(
    at: Home,
    version: str,
    tests: list[str],
    file: Path | None,
    who: Who,
    clock: Timekeeper,
    *,
    dry_run: bool,
) -> Outcome:
    """Make the plan of a rollout, show what is foreseen, and store it as the home's rollout."""
    home.open_home(at)
    fitting.refuse_unfit(at, version, is_back=False)
    now = now_of(at, clock)
    status = daemon.status(at)
    wish = _wish(at, version, [find_account(at, one)[0] for one in tests], file, status, now)
    population = members(at, status, now)
    made = planning.make(wish, population, hosting.open_market(now), now, FIGURES, _taken(at))
    if isinstance(made, Problems):
        raise UsageError("; ".join(made.sentences))
    lines = tuple(_phase_line(one) for one in made.phases)
    full = f"all accounts by {planning.show(made.full_at)}" if made.full_at else "no end foreseen"
    notes = (*made.plan.said, full)
    data = {"plan": planning.shape(made.plan), "accounts": list(made.plan.order)}
    if dry_run:
        return Outcome(lines, data=data, notes=(*notes, "nothing was done"))
    risks = {member.account: member.risk for member in population}
    asked = {"plan": planning.shape(made.plan), "risks": risks, "by": who.by, "reason": who.reason}
    daemon.ask(at, daemon.SUPERVISOR, "rollout-begin", asked, WITHIN_S)
    return Outcome(lines, data=data, notes=notes, next_command="risk-daemon-admin rollout start")


def now_of(at: Home, clock: Timekeeper) -> int:
    """Return the home's own time (UTC ns), which a rehearsal may have moved."""
    return clock.now_ns() + int(in_force(at).clock_offset_s * SECOND_NS)


def _wish(
    at: Home,
    version: str,
    tests: list[int],
    file: Path | None,
    status: Mapping[str, Any],
    now: int,
) -> Wish:
    raw = _read(file or at.config / PLAN_FILE, must_exist=file is not None)
    commit = next(commits.commits(at.config, 1)).id[:12]
    releases = [row["release"] for row in status["accounts"]]
    fallback = max(sorted(set(releases)), key=releases.count)
    instant = dt.datetime.fromtimestamp(now // SECOND_NS, dt.UTC)
    raw = {
        "rollout": f"{version}-{instant:%Y%m%dT%H%M%S}",
        "release": version,
        "commit": commit,
        "fallback": fallback,
        "fallback_commit": commit,
        "production": in_force(at).environment == "production",
        **raw,
    }
    if tests:
        raw["test_accounts"] = tests
    wish = reading.read(raw)
    if isinstance(wish, Problems):
        raise UsageError("; ".join(wish.sentences))
    return wish


def _read(file: Path, *, must_exist: bool) -> dict[str, Any]:
    if not file.is_file():
        if must_exist:
            raise NotFound(
                f"there is no plan {file}; leave --file out to plan as the brief has it."
            )
        return {}
    try:
        found = YAML(typ="safe").load(file.read_text())
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        raise UsageError(f"the plan {file} can't be read: {error}; nothing was changed.") from None
    if not isinstance(found, dict):
        raise UsageError(f"the plan {file} is no table of keys and values; nothing was changed.")
    return found


def _taken(at: Home) -> dict[int, str]:
    """Return the accounts of the rollout that is under way, if one is."""
    found = standing(at)
    if not found or found["stage"] in OVER:
        return {}
    return {int(row["account"]): str(found["rollout"]) for row in found["accounts"]}


def members(at: Home, status: Mapping[str, Any], now: int) -> tuple[Member, ...]:
    """Return every guarded account as planning sees it."""
    numbers = [int(row["account"]) for row in status["accounts"]]
    views = daemon.views(at, numbers)
    with closing(Reader(at.state / FILE)) as reader:
        counted = reader.counts(reader.seq_since(now - DAY_NS))
    return tuple(_member(number, views.get(number), counted.get(number, 0)) for number in numbers)


def _member(number: int, view: AccountView | None, events: int) -> Member:
    if view is None:
        return Member(account=number, unfit="is shown by no worker", events_per_day=events)
    risk = sum((_dollars(one.average, one.quantity) for one in view.positions), Decimal())
    unfit = "is locked" if view.locks else "" if view.connected else "is not connected"
    return Member(
        account=number,
        risk=int(risk * 1_000_000_000),
        size=sum(abs(one.quantity) for one in view.positions),
        open_rules=len(view.distances),
        kind=",".join(sorted({one.root for one in view.positions})),
        events_per_day=events,
        unfit=unfit,
    )


def _dollars(average: str, quantity: int) -> Decimal:
    """Rank open risk by what is held: contracts by their price, which is all a view tells."""
    return (Decimal(average) or UNPRICED) * abs(quantity)


def _phase_line(one: planning.Foreseen) -> str:
    begins = planning.show(one.begins) if one.begins is not None else "not foreseen"
    ends = planning.show(one.ends) if one.ends is not None else "not foreseen"
    share = f", {one.risk_ppm / 10_000:.1f} % of the open risk" if one.upto else ""
    if one.decidable_tenths is None:
        told = "; no events: its gates would never decide"
    else:
        told = (
            f"; decidable in about {one.decidable_tenths / 10:.1f} market days, 1.5 % errors seen"
            f" in {one.detect_errors_min} min, half as slow again in {one.detect_latency_min} min"
        )
    return f"{one.name}: {count(one.upto, 'account')}{share}: {begins} to {ends}{told}"


# --- asking ---


def standing(at: Home) -> dict[str, Any]:
    """Return the rollout as it stands; empty where there never was one."""
    found = daemon.ask(at, daemon.SUPERVISOR, "rollout", {}, WITHIN_S)
    return found if found.get("rollout") else {}


def status(at: Home) -> Outcome:
    """Show the rollout: phases, what is missing, who is on what."""
    home.read(at)
    found = standing(at)
    if not found:
        line = "no rollout was begun here"
        return Outcome((line,), next_command="risk-daemon-admin deploy plan --help")
    code = DEGRADED if found["holds"] or found["stuck"] else DONE
    return Outcome(
        tuple(account_line(row) for row in found["accounts"]),
        code,
        found,
        next_command=_next(found),
        above=tuple(above(found)),
        below=tuple(f"missing: {one}" for one in found["missing"]),
    )


def above(found: Mapping[str, Any]) -> list[str]:
    """Say where a rollout is, phase by phase."""
    part = f", {found['part']}" if found["part"] else ""
    lines = [
        f"{found['rollout']}: {found['release']} over {found['fallback']}: {found['stage']}{part}"
    ]
    if found["why"]:
        lines.append(f"why: {found['why']}")
    if found["stuck"]:
        lines.append(f"STANDS STILL: {found['stuck']}")
    lines += [f"ON HOLD since {one['actor']} said: {one['reason']}" for one in found["holds"]]
    for one in found["phases"]:
        lines.append(f"phase {one['phase']}: {count(one['accounts'], 'account')}: {one['state']}")
        if one["state"] == "now":
            lines += [f"  {text}" for text in _seen(one)]
    shares = ", ".join(f"{name} {number}" for name, number in sorted(found["on"].items()))
    lines.append(f"accounts on: {shares}")
    return lines


def _seen(one: Mapping[str, Any]) -> list[str]:
    dwell = one["dwell"]
    lines = [
        f"watched {dwell['wall_s'][0]} of {dwell['wall_s'][1]} s,"
        f" open market {dwell['open_minutes'][0]} of {dwell['open_minutes'][1]} min,"
        f" records {dwell['events'][0]} of {dwell['events'][1]}"
    ]
    lines += [f"not witnessed yet: {name}" for name in one["unseen"]]
    lines += [
        f"{row['gate']}: {row['says'].upper()}{' (overridden)' if row['overridden'] else ''}"
        f"{': ' + row['sentence'] if row['sentence'] else ''}"
        for row in one["gates"]
    ]
    return lines


def account_line(row: Mapping[str, Any]) -> str:
    """Say what one account is on, and what it is doing."""
    looks = ", ".join(f"{name} {row[name]}" for name in ("smoke", "reconcile") if row[name])
    told = f" ({looks})" if looks else ""
    why = f": {row['why']}" if row["why"] else ""
    return f"{row['account']}: {row['has']}, epoch {row['epoch']}, {row['at']}{told}{why}"


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


def wish(at: Home, verb: str, who: Who, *, dry_run: bool, **args: Any) -> Outcome:
    """Ask the controller for one thing; it is stored when this returns, or refused with why."""
    home.read(at)
    if dry_run:
        found = standing(at)
        if not found:
            raise NotFound("there is no rollout here: `risk-daemon-admin deploy plan --help`.")
        lines = tuple(f"missing: {one}" for one in found["missing"]) or ("nothing is missing",)
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
                f"asking again is safe. `{STATUS}` says what is missing."
            )
        waiting.pause(LOOK_EVERY_S)


def is_verified(found: Mapping[str, Any]) -> bool:
    """Tell whether every account of the present phase is on the candidate and was looked at."""
    return found["part"] in ("dwell", "judge") or found["stage"] not in _phases(found)


def is_back(found: Mapping[str, Any]) -> bool:
    """Tell whether a way back has come to its end."""
    return found["stage"] in ("aborted", "rolled back", "superseded")


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
) -> Outcome:
    """Begin a rollout with this account, decide in shadow on all, then switch this one.

    Of one that is under way with it, what is left of this is done.
    """
    home.open_home(at)
    number = find_account(at, account)[0]
    found = standing(at)
    if not found or found["stage"] in OVER:
        release = version or newest(at)
        waiting.say(f"rolling out {release}")
        planned = plan(at, release, [str(number)], None, who, waiting.clock, dry_run=dry_run)
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
    if dry_run:
        return wish(at, "start", who, dry_run=True)
    if standing(at)["stage"] in ("draft", "gated"):
        wish(at, "start", who, dry_run=False)
    return _enter(at, reading.CANARY, who, waiting, SHADOW_WITHIN_S)


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
    within_s = SMOKED_WITHIN_S + 0.05 * len(found["accounts"])
    return _enter(at, name, who, waiting, 0.0, within_s)


def _enter(
    at: Home,
    name: str,
    who: Who,
    waiting: Waiting,
    shadow_within_s: float,
    within_s: float = 60.0,
) -> Outcome:
    """Enter a phase when nothing is missing any more, and wait until it was looked at."""
    if standing(at)["stage"] != name:
        if shadow_within_s:
            _await_shadow(at, waiting, shadow_within_s)
        wish(at, "promote", who, dry_run=False, phase=name)

    def is_there(found: Mapping[str, Any]) -> bool:
        there = found["stage"] == name and is_verified(found)
        return there or bool(found["holds"] or found["stuck"]) or is_back(found)

    return ended(waited(at, is_there, waiting, within_s))


def _await_shadow(at: Home, waiting: Waiting, within_s: float) -> None:
    """Wait for the shadow to have seen enough; what then still is missing, the promotion says."""

    def is_ripe(found: Mapping[str, Any]) -> bool:
        is_early = found["stage"] in ("gated", "staged")
        return (not is_early and not found["missing"]) or bool(found["holds"]) or is_back(found)

    with contextlib.suppress(TimedOut):
        waited(at, is_ripe, waiting, within_s)


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
    within_s = SMOKED_WITHIN_S + 0.05 * len(found["accounts"])
    found = waited(at, lambda one: is_back(one) or bool(one["stuck"]), waiting, within_s)
    lines = tuple(account_line(row) for row in found["accounts"])
    back = {found["fallback"]}
    stayed = [row for row in found["accounts"] if row["release"] not in back]
    return Outcome(
        lines,
        FAILED if stayed or found["stuck"] else DONE,
        found,
        above=tuple(above(found)),
        next_command="risk-daemon-admin reconcile-state",
    )


def newest(at: Home) -> str:
    """Return the newest release that is staged here and holds no account yet."""
    held = {row["release"] for row in daemon.status(at)["accounts"]}
    found = [name for name in staging.staged_in(at.releases) if name not in held]
    if not found:
        raise NotFound(
            "no release is staged here that does not hold the accounts already: "
            "`risk-daemon-admin release stage VERSION`, or scripts/deploy_staging.sh."
        )
    return found[-1]
