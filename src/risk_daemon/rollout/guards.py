"""What is still missing before the next phase may begin: one sentence each. Pure.

These stand in front of the way forward only. Nothing here is asked before an abort, a way back
or a hold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from risk_daemon.rollout import exposure, freeze
from risk_daemon.rollout.plan import Phase
from risk_daemon.rollout.row import (
    INCONCLUSIVE,
    PASS,
    SWITCHING,
    Opinion,
    Room,
    Row,
    inactive,
    is_overridden,
    members,
    phase_of,
    room,
    unverified,
)

type Guard = Callable[[Row, Phase, int], tuple[str, ...]]


def _holds(row: Row, _phase: Phase, _at: int) -> tuple[str, ...]:
    return tuple(f"on hold since {hold.actor} said: {hold.reason}" for hold in row.holds)


def _accounts(row: Row, _phase: Phase, at: int) -> tuple[str, ...]:
    left = room(row)
    return tuple(
        f"account {account} is not on {row.plan.candidate} yet: {waits_for(row, account, at, left)}"
        for account in inactive(row)
    )


def waits_for(row: Row, account: int, at: int, left: Room) -> str:
    """Say why an account is not switched, in a few words; what it is doing when nothing forbids."""
    frozen = freeze.forbids(row.freezes, freeze.SWITCH, at, account)
    if frozen and not is_overridden(row, "freeze", at):
        return f"frozen for {frozen}"
    holding = row.accounts[account]
    if holding.why:
        return holding.why
    if holding.at != SWITCHING and not left.takes(holding.risk):
        return "the candidate would hold more open risk than the plan allows"
    return holding.at


def _verified(row: Row, _phase: Phase, _at: int) -> tuple[str, ...]:
    found = []
    for account in unverified(row):
        holding = row.accounts[account]
        for name, says in (("smoke", holding.smoke), ("reconcile", holding.reconcile)):
            if says != PASS:
                found.append(f"the {name} of account {account} says {says or 'nothing yet'}")
    return tuple(found)


def _standby(row: Row, _phase: Phase, _at: int) -> tuple[str, ...]:
    back = row.plan.ways_back[0]
    if back in row.warm:
        return ()
    return (f"no worker of {back} is warm: there would be no way back",)


def _dwell(row: Row, phase: Phase, at: int) -> tuple[str, ...]:
    if is_overridden(row, "dwell", at):
        return ()
    return exposure.lacking(row.exposure, phase.dwell, row.plan.minute_ns)


def _situations(row: Row, phase: Phase, at: int) -> tuple[str, ...]:
    if is_overridden(row, "situations", at):
        return ()
    return tuple(
        f"not witnessed yet: {name}" for name in exposure.unseen(row.exposure, phase.situations)
    )


def _judged(row: Row, phase: Phase, at: int) -> tuple[str, ...]:
    return tuple(
        sentence
        for gate in phase.gates
        if not is_overridden(row, gate, at)
        for sentence in _of_gate(row, gate)
    )


def _of_gate(row: Row, gate: str) -> tuple[str, ...]:
    said = row.opinions.get(gate)
    if said is None:
        return (f"{gate} has said nothing in this phase",)
    if said.says != PASS:
        return (f"{gate} says {said.says}: {said.sentence}",)
    if row.clock.watched - said.measured > row.plan.blind_ns:
        return (f"{gate} has not been measured lately",)
    return ()


def _calendar(row: Row, _phase: Phase, at: int) -> tuple[str, ...]:
    reason = freeze.forbids(row.freezes, freeze.PROMOTE, at)
    if not reason or is_overridden(row, "freeze", at):
        return ()
    return (f"frozen for {reason}",)


def _budget(row: Row, _phase: Phase, at: int) -> tuple[str, ...]:
    return (row.spent,) if row.spent and not is_overridden(row, "budget", at) else ()


def _approved(row: Row, phase: Phase, _at: int) -> tuple[str, ...]:
    return approvals_missing(row, phase.name, phase.approvals)


def approvals_missing(row: Row, name: str, wanted: int) -> tuple[str, ...]:
    """Say how many persons must still agree."""
    agreed = wanted if name in row.glass else sum(one == name for one, _ in row.approvals)
    return (f"{wanted - agreed} more to approve {name}",) if agreed < wanted else ()


#: Every guard, by its name. The names of `NEVER` can't be overridden.
GUARDS: Final[dict[str, Guard]] = {
    "hold": _holds,
    "accounts": _accounts,
    "smoke and reconcile": _verified,
    "standby": _standby,
    "dwell": _dwell,
    "situations": _situations,
    "gates": _judged,
    "freeze": _calendar,
    "budget": _budget,
    "approvals": _approved,
}
#: In these parts of a phase all its accounts are the candidate's: what is seen counts.
EXPOSED: Final = ("dwell", "judge")
NEVER: Final = ("hold", "accounts", "fence", "smoke", "reconcile", "standby", "approvals")


def missing(row: Row, at: int) -> tuple[str, ...]:
    """Say what is missing before the phase after this one may begin, at an instant (UTC ns)."""
    phase = phase_of(row)
    if phase is None:
        return (f"the rollout is {row.stage}",)
    return tuple(sentence for guard in GUARDS.values() for sentence in guard(row, phase, at))


def part(row: Row, at: int) -> str:
    """Return where in its phase a rollout is: enter, batch, smoke, dwell, judge; empty outside."""
    phase = phase_of(row)
    if phase is None:
        return ""
    waiting = inactive(row)
    if waiting:
        return "enter" if len(waiting) == len(members(row)) else "batch"
    if unverified(row):
        return "smoke"
    return "dwell" if _dwell(row, phase, at) or _situations(row, phase, at) else "judge"


def inconclusive(row: Row, phase: Phase, at: int) -> tuple[str, ...]:
    """Return the gates that too little was seen for, and that nobody has accepted."""
    return tuple(
        gate
        for gate in phase.gates
        if not is_overridden(row, gate, at)
        and gate in row.opinions
        and row.opinions[gate].says == INCONCLUSIVE
    )


def gates_missing(row: Row, at: int) -> tuple[str, ...]:
    """Say which gates before the start are not green."""
    return tuple(
        f"{gate} says {said.says}: {said.sentence}" if said.sentence else f"{gate} says {said.says}"
        for gate in row.plan.gates
        for said in [row.gates.get(gate, Opinion(says="unmeasurable", sentence="no evidence"))]
        if said.says != PASS and not is_overridden(row, gate, at)
    )


def start_missing(row: Row, at: int) -> tuple[str, ...]:
    """Say what is missing before anything may be staged, at an instant (UTC ns)."""
    frozen = freeze.forbids(row.freezes, freeze.START, at)
    found = [*gates_missing(row, at), *approvals_missing(row, "start", row.plan.approvals)]
    found += [f"on hold since {hold.actor} said: {hold.reason}" for hold in row.holds]
    if frozen and not is_overridden(row, "freeze", at):
        found.append(f"frozen for {frozen}")
    return tuple(found)
