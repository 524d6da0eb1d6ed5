"""From a wish and a population to a plan, or to what is wrong with the wish. Pure.

`make` ranks the accounts and foresees the phases; `shape` writes the plan, `restore` reads it back.
What is allowed but should be known is said before the start; for some of it somebody must agree.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from risk_daemon.rollout import exposure, freeze, order
from risk_daemon.rollout.exposure import HOUR, MINUTE, Span
from risk_daemon.rollout.order import MILLION, Member
from risk_daemon.rollout.plan import CONFIGURATION, Phase, Plan
from risk_daemon.rollout.reading import (
    CANARY,
    DAY,
    EMERGENCY,
    EPOCH,
    OF_RECORDS,
    SHADOW,
    WATCH,
    Problems,
    Wish,
    usual_gates,
    usual_phase,
)

#: A second person is asked: evidence is left out, or a limit may be looser for everybody.
BY_TWO: Final = (EMERGENCY, CONFIGURATION)
#: The phases between the canary and all accounts, if nobody plans others.
USUAL: Final = ("10", "50")
#: Below this a percentage is a handful of accounts, and no sample of anything.
SMALL: Final = 20
#: Until all accounts are on the candidate; above, it is said.
LONG_NS: Final = 7 * DAY


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What the statistics need, in records: until a clean release is proven, until faults show.

    `to_decide` clean records bound the error rate; `errors` records show 1.5 % errors and
    `latency` records a slowdown by half, in nine of ten cases.
    """

    to_decide: int
    errors: int
    latency: int


class Foreseen(msgspec.Struct, frozen=True, kw_only=True):
    """One phase as it will probably go. Instants are UTC ns; None: not within the calendar.

    `decidable_tenths` are tenths of a market day until its gates can decide, `detect_*_min`
    minutes of open market until a fault shows in nine of ten cases; None: never at this volume.
    """

    name: str
    upto: int
    risk_ppm: int
    events_per_day: int
    begins: int | None
    ends: int | None
    decidable_tenths: int | None
    detect_errors_min: int | None
    detect_latency_min: int | None


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, what is foreseen of each phase, and when all accounts are on the candidate."""

    plan: Plan
    phases: tuple[Foreseen, ...]
    full_at: int | None


def make(
    wish: Wish,
    population: tuple[Member, ...],
    spans: tuple[Span, ...],
    now: int,
    figures: Figures,
    taken: Mapping[int, str] | None = None,
) -> Made | Problems:
    """Make the plan at `now` (UTC ns), or say why not.

    `spans` are the open market of the weeks to come; `taken` names the rollout that an account is
    in already.
    """
    is_emergency = wish.kind == EMERGENCY
    wrong = (*_unfit(wish, population, taken or {}), *_unasked(wish), *_not_lowered(wish))
    if wrong:
        return Problems(wrong)
    skipped = _skipped(wish) if is_emergency else ()
    if is_emergency:
        wish = msgspec.structs.replace(wish, freezes=())
    uptos = _uptos(wish, len(population))
    caps = tuple(cap * MILLION // 100 for cap in wish.caps)
    tests = wish.tests[: len(population)]
    ranked = order.rank(wish.rollout, population, tests, uptos, caps)
    phases = tuple(
        msgspec.structs.replace(phase, upto=upto)
        for phase, upto in zip(wish.phases, uptos, strict=True)
    )
    foreseen = _foresee(wish, phases, ranked, population, spans, now, figures)
    grave = (*_small(wish, population, uptos), *_over(wish, ranked))
    plan = Plan(
        rollout=wish.rollout,
        release=wish.candidate.release,
        commit=wish.candidate.commit,
        fallback=wish.fallback.release,
        fallback_commit=wish.fallback.commit,
        order=ranked.order,
        phases=phases,
        risk_cap_ppm=tuple(max(one) for one in zip(caps, ranked.shares_ppm, strict=True)),
        freezes=wish.freezes,
        auto_advance=wish.auto_advance,
        kind=wish.kind,
        gates=wish.gates,
        approvals=max(wish.approvals, 2 * (wish.kind in BY_TWO), int(bool(grave))),
        older=wish.older,
        window_ns=7 * 24 * 60 * wish.minute_ns,
        blind_ns=5 * MINUTE,
        minute_ns=wish.minute_ns,
        said=(*skipped, *grave, *_told(wish, foreseen, now)),
        by=wish.by,
        reason=wish.reason,
    )
    ends = [one.ends for one in foreseen]
    horizon = ends[-1] if ends[-1] is not None else now + 30 * DAY
    frozen = freeze.everything(wish.freezes, ranked.order, now, horizon)
    if frozen:
        return Problems(tuple(f"{sentence}; end a freeze or plan for later" for sentence in frozen))
    return Made(plan=plan, phases=foreseen, full_at=foreseen[-2].begins)


def _uptos(wish: Wish, count: int) -> tuple[int, ...]:
    uptos: list[int] = []
    for phase in wish.phases:
        if phase.name == SHADOW:
            uptos.append(0)
        elif phase.name == CANARY:
            uptos.append(1)
        else:
            uptos.append(order.upto(phase.percent, count, uptos[-1]))
    return tuple(uptos)


def _unfit(wish: Wish, population: tuple[Member, ...], taken: Mapping[int, str]) -> tuple[str, ...]:
    """Say what stands against these accounts and releases."""
    guarded = {member.account: member for member in population}
    if not guarded:
        return ("there is no account here: add one to the configuration, then plan again",)
    found = []
    if wish.candidate == wish.fallback:
        found.append(f"release: {wish.candidate} is what enforces already; name another one")
    is_alone = wish.candidate.release == wish.fallback.release
    if wish.candidate != wish.fallback and is_alone != (wish.kind == CONFIGURATION):
        found.append(
            f"kind: {wish.kind}, and {wish.candidate.release} over {wish.fallback.release}; a "
            "configuration alone keeps its release, everything else does not: plan it with "
            "`deploy plan --to-commit COMMIT`"
        )
    if wish.candidate in wish.older:
        found.append(f"older: {wish.candidate} is what is rolled out; leave it out")
    shown = ", ".join(str(number) for number in sorted(guarded)[:SMALL])
    for number in wish.tests:
        if number not in guarded:
            found.append(f"test_accounts: {number} is not guarded here; guarded: {shown}")
        elif guarded[number].unfit:
            found.append(f"test_accounts: {number} {guarded[number].unfit}; name another one")
        elif guarded[number].is_silent and _is_judged(wish):
            found.append(
                f"test_accounts: {number} has no events (no order, position or fill of it was told "
                "in the last 24 h of open market), so the gates of the canary would see nothing; "
                "name an account that trades, or have a trade made on this one"
            )
    if len(set(wish.tests)) < len(wish.tests):
        found.append("test_accounts: an account is listed twice; list it once")
    busy = sorted(number for number in guarded if number in taken)
    if busy:
        found.append(
            f"account {busy[0]} is in the rollout {taken[busy[0]]}: end that one, or supersede it"
        )
    return tuple(found)


def _is_judged(wish: Wish) -> bool:
    """Tell whether the canary is judged by its records; if it is only looked at, it may be silent.

    So an emergency and a configuration alone begin with any account.
    """
    (canary,) = (phase for phase in wish.phases if phase.name == CANARY)
    return bool(canary.dwell.events) or any(gate in OF_RECORDS for gate in canary.gates)


def _unasked(wish: Wish) -> tuple[str, ...]:
    """Say that an emergency has a reason, or it is none."""
    if wish.kind != EMERGENCY or wish.reason:
        return ()
    return ("reason: an emergency leaves evidence out, so it says why; add --reason",)


def _skipped(wish: Wish) -> tuple[str, ...]:
    """Say what an emergency leaves out of what a release is asked for."""
    names = {phase.name for phase in wish.phases}
    gates = [gate for gate in usual_gates(wish.kind) if gate not in wish.gates]
    steps = [name for name in USUAL if name not in names]
    found = [f"not asked before the start: {', '.join(gates)}"] if gates else []
    found += [f"no phase of {' and '.join(f'{name} %' for name in steps)}"] if steps else []
    found += [f"phase {name}: less {', '.join(less)}" for name, less in _less(wish)]
    found += [f"not held up by the freeze for {one.reason}" for one in wish.freezes]
    return tuple(f"EMERGENCY: {one}" for one in found)


def _not_lowered(wish: Wish) -> tuple[str, ...]:
    """Say where a plan for production asks for less than it must."""
    is_shorter = wish.kind == EMERGENCY or (wish.kind == CONFIGURATION and wish.is_harmless)
    if not wish.in_production or is_shorter:
        return ()
    found = [
        f"gates: {gate!r} is missing, and this is production; add it, or accept it by an override"
        for gate in usual_gates(wish.kind)
        if gate not in wish.gates
    ]
    if wish.minute_ns != MINUTE:
        found.append("minute: a minute lasts 60s in production; rehearse elsewhere")
    found += [
        f"phase {name}: {', '.join(less)} below what production asks for; "
        "leave it out to get that, or plan it as an emergency"
        for name, less in _less(wish)
    ]
    return tuple(found)


def _less(wish: Wish) -> Iterator[tuple[str, list[str]]]:
    """Yield each phase that asks for less than usual, and what of."""
    for phase in wish.phases:
        usual = usual_phase(wish.kind, phase.name)
        pairs = (
            ("wall", phase.dwell.wall_ns, usual.dwell.wall_ns),
            ("open_minutes", phase.dwell.open_minutes, usual.dwell.open_minutes),
            ("events", phase.dwell.events, usual.dwell.events),
        )
        less = [name for name, mine, least in pairs if mine < least]
        less += [f"gate {gate}" for gate in usual.gates if gate not in phase.gates]
        less += [f"situation {one}" for one in usual.situations if one not in phase.situations]
        if less:
            yield phase.name, less


def _foresee(
    wish: Wish,
    phases: tuple[Phase, ...],
    ranked: order.Ranked,
    population: tuple[Member, ...],
    spans: tuple[Span, ...],
    now: int,
    figures: Figures,
) -> tuple[Foreseen, ...]:
    """Foresee each phase after the one before, as if it were entered as soon as it may be."""
    rates = {member.account: member.events_per_day for member in population}
    begins: int | None = now
    found = []
    for phase, share in zip(phases, ranked.shares_ppm, strict=True):
        watched = ranked.order[: phase.upto] if phase.upto else ranked.order
        rate = sum(rates[number] for number in watched)
        ends = None
        if begins is not None:
            begins = freeze.first_free(wish.freezes, freeze.PROMOTE, begins, begins + 90 * DAY)
        if begins is not None:
            dwell = msgspec.structs.replace(
                phase.dwell, open_minutes=-(-phase.dwell.open_minutes * wish.minute_ns // MINUTE)
            )
            ends = exposure.expected_end(begins, dwell, phase.situations, spans, rate)
        found.append(
            Foreseen(
                name=phase.name,
                upto=phase.upto,
                risk_ppm=share,
                events_per_day=rate,
                begins=begins,
                ends=ends,
                decidable_tenths=_per(figures.to_decide * 10, rate),
                detect_errors_min=_per(figures.errors * 24 * 60, rate),
                detect_latency_min=_per(figures.latency * 24 * 60, rate),
            )
        )
        begins = ends
    return tuple(found)


def _per(wanted: int, rate: int) -> int | None:
    return -(-wanted // rate) if rate else None


def _small(wish: Wish, population: tuple[Member, ...], uptos: tuple[int, ...]) -> tuple[str, ...]:
    """Say what a small population makes of a plan."""
    count, found = len(population), []
    if not wish.tests:
        found.append("no test account is listed: the canary is an account like any other")
    if count == 1:
        found.append("there is one account: it is the canary and everything after it")
    elif count < SMALL:
        steps = ", ".join(
            f"{phase.name} {upto}"
            for phase, upto in zip(wish.phases[1:-1], uptos[1:-1], strict=True)
        )
        found.append(f"with {count} accounts a percentage is no sample; accounts: {steps}")
    return tuple(found)


def _over(wish: Wish, ranked: order.Ranked) -> tuple[str, ...]:
    """Say which caps can't be kept; whoever approves accepts the share that is shown."""
    return tuple(
        f"phase {phase.name}: no choice of accounts stays under {cap} % of the open risk; "
        f"this one holds {_percent(share)} %"
        for phase, cap, share in zip(wish.phases, wish.caps, ranked.shares_ppm, strict=True)
        if share * 100 > cap * MILLION
    )


def _percent(ppm: int) -> str:
    tenths = -(-ppm // 1000)
    return f"{tenths // 10}.{tenths % 10}"


def _told(wish: Wish, foreseen: tuple[Foreseen, ...], now: int) -> tuple[str, ...]:
    """Say where the calendar or the volume makes a phase last longer than it sounds."""
    found = []
    for phase, one in zip(wish.phases, foreseen, strict=True):
        if one.begins is not None and one.ends is None:
            found.append(f"phase {one.name}: no end can be foreseen at this volume")
        elif one.begins is not None and one.ends is not None:
            longer = one.ends - one.begins - phase.dwell.wall_ns
            if longer >= HOUR:
                hours = phase.dwell.wall_ns // HOUR
                found.append(
                    f"phase {one.name}: {hours} h from {show(one.begins)} don't see enough open "
                    f"market; it lasts until {show(one.ends)}"
                )
    full_at = foreseen[-2].begins
    if full_at is not None and full_at - now > LONG_NS:
        found.append(f"it takes until {show(full_at)} until all accounts are on {wish.candidate}")
    return tuple(found)


def show(at: int) -> str:
    """Write an instant (UTC ns) for people."""
    moment = EPOCH + dt.timedelta(microseconds=at // 1000)
    return f"{moment:%a %d %b %H:%M} UTC"


# --- after the start ---


def asked_phase(plan: Plan, stage: str, percent: object) -> str | Problems:
    """Return the phase that a person means by a percentage, in the present stage of a rollout."""
    if isinstance(percent, bool) or not isinstance(percent, int) or not 1 <= percent <= 100:
        why = f"percent: {percent!r} is not allowed; allowed: a whole number from 1 to 100"
        return Problems((why,))
    steps = [phase for phase in plan.phases if phase.name not in (SHADOW, CANARY, WATCH)]
    reached = [phase.percent for phase in plan.phases if phase.name == stage]
    if reached and percent < reached[0]:
        why = (
            f"percent: {percent} is less than the {reached[0]} % already switched; percentages "
            "never shrink: to go back use scripts/rollback_daemon.sh"
        )
        return Problems((why,))
    for phase in steps:
        if phase.percent == percent:
            return phase.name
    known = ", ".join(phase.name for phase in steps)
    return Problems((f"percent: {percent} is no phase of this plan; its percentages: {known}",))


def shape(plan: Plan) -> dict[str, Any]:
    """Return what is stored of a plan, as YAML can carry it; `restore` reads it back."""
    shaped = msgspec.to_builtins(plan)
    assert isinstance(shaped, dict)
    return shaped


def restore(raw: object) -> Plan | Problems:
    """Read a stored plan; what was changed by hand and does not fit is a problem."""
    try:
        plan = msgspec.convert(raw, Plan)
    except msgspec.ValidationError as error:
        return Problems((f"the stored plan can't be read: {error}; make a new one",))
    lengths = [phase.upto for phase in plan.phases]
    if (
        len(plan.risk_cap_ppm) != len(plan.phases)
        or len(set(plan.order)) != len(plan.order)
        or lengths != sorted(lengths)
        or any(not 0 <= upto <= len(plan.order) for upto in lengths)
    ):
        return Problems(("the stored plan contradicts itself; make a new one",))
    return plan
