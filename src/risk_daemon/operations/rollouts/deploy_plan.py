"""`deploy plan`: who goes when is decided once, shown with what is foreseen, and stored."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import msgspec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.core.events import TOLD_UNASKED
from risk_daemon.errors import NotFound, UsageError
from risk_daemon.journal.reader import Reader
from risk_daemon.operations import daemon, home
from risk_daemon.operations.accounts.looking import find_account
from risk_daemon.operations.changing import commits
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.releases import fitting
from risk_daemon.operations.releases.under_way import OVER, WITHIN_S, now_of, standing
from risk_daemon.operations.rollouts import configuring
from risk_daemon.operations.rollouts.open_market import open_market
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.which_release import release
from risk_daemon.operations.words import count
from risk_daemon.rollout import eprocess, exposure, planning, reading
from risk_daemon.rollout.exposure import Span
from risk_daemon.rollout.order import Member
from risk_daemon.rollout.reading import Problems, Wish
from risk_daemon.rollout.thresholds import Thresholds
from risk_daemon.supervisor.release import interpreter
from risk_daemon.wire.record import NAMES
from risk_daemon.wire.view import AccountView
from risk_daemon.worker.sampling import BROKER_FACTS

PLAN_FILE: Final = "rollout.yaml"
DAY_NS: Final = 86_400 * SECOND_NS
#: What faults need in nine of ten cases was measured: docs/architecture/judging.md, "Figures".
SEEN_ERRORS, SEEN_LATENCY = 888, 670
#: Dollars of an open contract whose account shows no average price.
UNPRICED: Final = Decimal(100_000)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What a person wants planned: a release, or a commit of the configuration.

    `tests` go first; `file` is a plan; `accepts` so many accounts may trip at once.
    """

    version: str = ""
    to_commit: str = ""
    tests: tuple[str, ...] = ()
    file: Path | None = None
    is_emergency: bool = False
    accepts: int = 0


def plan(at: Home, wanted: Wanted, who: Who, clock: Timekeeper, *, dry_run: bool) -> Outcome:
    """Make the plan of a rollout, show what is foreseen, and store it as the home's rollout.

    An emergency is asked for less, by two persons, and says why. With a commit it is that of a
    configuration alone, for the accounts whose policy it changes.
    """
    home.open_home(at)
    if bool(wanted.version) == bool(wanted.to_commit):
        raise UsageError(
            "say what is rolled out: a release (`deploy plan VERSION`), or a configuration alone "
            "(`deploy plan --to-commit COMMIT`), one of them."
        )
    status = daemon.status(at)
    alone = None
    if wanted.to_commit:
        alone = configuring.asked(at, wanted.to_commit, status, wanted.accepts)
    version = alone.release if alone else wanted.version
    interpreter(at.path, version, release())  # raises NotFound
    fitting.refuse_unfit(at, version, is_back=False)
    now = now_of(at, clock)
    numbers = [find_account(at, one)[0] for one in wanted.tests]
    more: dict[str, Any] = {"kind": reading.EMERGENCY} if wanted.is_emergency else {}
    more |= alone.raw if alone else {}
    wish = _wish(at, version, numbers, wanted.file, status, now, more)
    wish = msgspec.structs.replace(wish, by=who.by, reason=who.given)
    market, figures = open_market(now), figures_of(Thresholds())
    population = tuple(
        one
        for one in members(at, status, market, now)
        if alone is None or one.account in alone.accounts or one.account in numbers
    )
    made = planning.make(wish, population, market, now, figures, _taken(at))
    if isinstance(made, Problems):
        raise UsageError("; ".join(made.sentences))
    lines = (*(alone.words if alone else ()), *(_phase_line(one) for one in made.phases))
    full = f"all accounts by {planning.show(made.full_at)}" if made.full_at else "no end foreseen"
    notes = (*made.plan.said, full)
    data = {"plan": planning.shape(made.plan), "accounts": list(made.plan.order)}
    if dry_run:
        return Outcome(lines, data=data, notes=(*notes, "nothing was done"))
    if alone:
        configuring.put_files_back(at, alone, who)
    risks = {member.account: member.risk for member in population}
    asked = {"plan": planning.shape(made.plan), "risks": risks, "by": who.by, "reason": who.reason}
    daemon.ask(at, daemon.SUPERVISOR, "rollout-begin", asked, WITHIN_S)
    return Outcome(lines, data=data, notes=notes, next_command="risk-daemon-admin rollout start")


def figures_of(limits: Thresholds) -> planning.Figures:
    """Return how many records the judging needs, to prove a clean release and to see a fault."""
    proven = eprocess.clean_needed(limits.bad_ppm / 1e6, limits.wrong_pass_ppm / 1e6)
    return planning.Figures(to_decide=proven, errors=SEEN_ERRORS, latency=SEEN_LATENCY)


def _wish(
    at: Home,
    version: str,
    tests: list[int],
    file: Path | None,
    status: Mapping[str, Any],
    now: int,
    more: Mapping[str, Any],
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
        **more,
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


def members(
    at: Home, status: Mapping[str, Any], market: tuple[Span, ...], now: int
) -> tuple[Member, ...]:
    """Return every guarded account as planning sees it."""
    numbers = [int(row["account"]) for row in status["accounts"]]
    views = daemon.views(at, numbers)
    since = exposure.begun_for(now, DAY_NS, market)
    with closing(Reader(at.state / FILE)) as reader:
        seq = reader.seq_since(since)
        judged = reader.counts(seq, [NAMES[one] for one in BROKER_FACTS])
        told = reader.counts(seq, [NAMES[one] for one in TOLD_UNASKED])
    return tuple(
        _member(number, views.get(number), judged.get(number, 0), is_silent=number not in told)
        for number in numbers
    )


def _member(number: int, view: AccountView | None, events: int, *, is_silent: bool) -> Member:
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
        is_silent=is_silent,
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
