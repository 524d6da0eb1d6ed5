"""What a rollout is at a moment: the row that is stored, and what can be read off it. Pure.

The row holds everything: whoever reads it after a crash goes on where it was written, and asks
nobody what was meant. Dictionaries are never changed in place.
"""

from __future__ import annotations

from typing import Final

import msgspec

from risk_daemon.rollout.exposure import Clock, Exposure
from risk_daemon.rollout.plan import Freeze, Phase, Plan, Version

DRAFT: Final = "draft"
GATED: Final = "gated"
STAGED: Final = "staged"
PHASE: Final = "phase"
DONE: Final = "done"
ABORTING: Final = "aborting"
ABORTED: Final = "aborted"
ROLLING_BACK: Final = "rolling back"
ROLLED_BACK: Final = "rolled back"
SUPERSEDED: Final = "superseded"

ENDED: Final = (ABORTED, ROLLED_BACK, SUPERSEDED)
GOING_BACK: Final = (ABORTING, ROLLING_BACK)

#: Every change of stage there is, and what makes it; `PHASE` stands for each phase of the plan.
TRANSITIONS: Final[dict[tuple[str, str], str]] = {
    (DRAFT, GATED): "every gate says pass, or a person accepted what it says",
    (GATED, DRAFT): "a gate says something else",
    (GATED, STAGED): "start",
    (STAGED, PHASE): "both releases are warm",
    (PHASE, PHASE): "promote, and nothing is missing",
    (PHASE, DONE): "complete, and nothing is missing",
    (DRAFT, ABORTING): "abort",
    (GATED, ABORTING): "abort",
    (STAGED, ABORTING): "abort, or a trigger",
    (PHASE, ABORTING): "abort, or a trigger",
    (ABORTING, ABORTED): "every account is back and looked at",
    (ABORTING, SUPERSEDED): "every account is back and looked at",
    (DRAFT, SUPERSEDED): "another rollout goes on from here",
    (GATED, SUPERSEDED): "another rollout goes on from here",
    (STAGED, SUPERSEDED): "another rollout goes on from here",
    (PHASE, SUPERSEDED): "another rollout goes on from here",
    (DONE, ROLLING_BACK): "roll back",
    (ROLLING_BACK, ROLLED_BACK): "every account is back and looked at",
}

# What an account is doing.
INCUMBENT: Final = "incumbent"
WARMING: Final = "warming"
SHADOWING: Final = "shadowing"
READY: Final = "ready"
SWITCHING: Final = "switching"
ACTIVE: Final = "active"
SWITCH_FAILED: Final = "switch failed"
PINNED: Final = "pinned"

# What a smoke, a reconcile or a gate says.
PASS: Final = "pass"  # noqa: S105 - what a gate says
FAIL: Final = "fail"
HOLD: Final = "hold"
INCONCLUSIVE: Final = "inconclusive"
UNMEASURABLE: Final = "unmeasurable"

# What is done to an account or a release.
SWITCH: Final = "switch"
BACK: Final = "back"
SMOKE: Final = "smoke"
RECONCILE: Final = "reconcile"
WARM: Final = "warm"
RETIRE: Final = "retire"

#: What an override may name beside a gate; it then takes two persons, or the glass broken.
WIDE: Final = ("dwell", "situations", "freeze", "budget")


class Holding(msgspec.Struct, frozen=True, kw_only=True):
    """One account: what enforces it, by the journal's last word, and what is under way.

    `bumped` counts the bumps after which `has` and `epoch` were read. `failures` are of the present
    way, `attempt` counts everything ever asked for this account, so that no id comes twice. `way`
    is the place in the plan's ways back, `moved` whether anything but the first of
    them ever had it. `smoke` and
    `reconcile` say what came of the last ones.
    """

    has: Version
    epoch: int
    risk: int = 0
    at: str = INCUMBENT
    bumped: int = 0
    attempt: int = 0
    failures: int = 0
    way: int = 0
    moved: bool = False
    smoke: str = ""
    reconcile: str = ""
    why: str = ""


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """Why nothing is switched. `abort_at` (watched ns): if it is still open then, the way back."""

    key: str
    actor: str
    reason: str
    abort_at: int = 0


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """A person accepts what one gate says, in this rollout, until `until` (UTC ns)."""

    gate: str
    person: str
    reason: str
    until: int
    breaks_glass: bool = False


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """What a gate said last; `measured` is the watched ns at which it last could say anything."""

    says: str
    sentence: str = ""
    evidence: str = ""
    measured: int = 0


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Something given, or about to be, that has not been answered. Account 0: of no account.

    A switch to the candidate is for the one `epoch` at which it was decided, however often it is
    given. The way back (0) is for the newest epoch that is known.
    """

    does: str
    account: int
    version: Version
    epoch: int = 0


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout, in its stage since `entered` (UTC ns).

    `turn` makes the latch: it grows whenever what was allowed no longer is.

    `bumps` counts how often every epoch in scope was raised. `order` is the plan's, without the
    accounts that went, and those that came at its end. `asked` is the phase a person asked to
    enter, by `asked_by`. `resumed` are holds a person has answered in this phase, `glass` what one
    person alone approved for all. `commands` are
    unanswered, by id. `notes` counts what was written and told, so that no id comes twice.
    `done_at` is the watched ns at which the rollout was called done; `retired`: the way back is
    not warm any more. `why` it went back, and `by` what it was superseded.
    """

    plan: Plan
    stage: str = DRAFT
    entered: int = 0
    turn: int = 0
    bumps: int = 0
    accounts: dict[int, Holding] = {}
    order: tuple[int, ...] = ()
    exposure: Exposure = Exposure()
    clock: Clock = Clock()
    gates: dict[str, Opinion] = {}
    opinions: dict[str, Opinion] = {}
    holds: tuple[Hold, ...] = ()
    resumed: tuple[str, ...] = ()
    approvals: tuple[tuple[str, str], ...] = ()
    glass: tuple[str, ...] = ()
    overrides: tuple[Override, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    warm: tuple[Version, ...] = ()
    spent: str = ""
    asked: str = ""
    asked_by: str = ""
    commands: dict[str, Command] = {}
    notes: int = 0
    ending: str = ABORTED
    done_at: int = 0
    retired: bool = False
    why: str = ""
    by: str = ""


def begin(plan: Plan, accounts: dict[int, Holding]) -> Row:
    """Return the row of a rollout that has not begun; `accounts` are those of the plan's order."""
    return Row(plan=plan, accounts=accounts, order=plan.order, freezes=plan.freezes)


def encode(row: Row) -> bytes:
    """Write a row as the journal keeps it."""
    return msgspec.msgpack.encode(row)


def decode(body: bytes) -> Row:
    """Read a row; msgspec.ValidationError for what is none."""
    return msgspec.msgpack.decode(body, type=Row)


def latch(row: Row) -> str:
    """Return what a switch must find stored beside the leases, or be refused."""
    return f"{row.plan.rollout}/{row.stage}/{row.turn}"


def kind(row: Row) -> str:
    """Return the stage as the table of transitions knows it."""
    return PHASE if phase_of(row) is not None else row.stage


def phase_of(row: Row) -> Phase | None:
    """Return the phase a rollout is in; None before, after, and on the way back."""
    return next((phase for phase in row.plan.phases if phase.name == row.stage), None)


def next_stage(row: Row) -> str:
    """Return what comes after the present phase."""
    names = [phase.name for phase in row.plan.phases]
    after = names.index(row.stage) + 1
    return names[after] if after < len(names) else DONE


def is_over(row: Row) -> bool:
    """Tell whether nothing will ever happen in this rollout again."""
    return row.stage in ENDED


def is_live(row: Row) -> bool:
    """Tell whether a rollout is on its way to all accounts, held or not."""
    return row.stage not in (*ENDED, *GOING_BACK, DONE)


def members(row: Row) -> tuple[int, ...]:
    """Return the accounts that the candidate is to hold in the present phase.

    Who joined later is at the end of the order and is in only where all are.
    """
    phase = phase_of(row)
    if phase is None:
        return ()
    if phase.percent >= 100:
        return row.order
    chosen = set(row.plan.order[: phase.upto])
    return tuple(account for account in row.order if account in chosen)


class Room(msgspec.Struct, frozen=True):
    """How much open risk (1e-9 dollars) the candidate holds or is about to, and all there is."""

    held: int
    total: int
    cap_ppm: int

    def takes(self, risk: int) -> bool:
        """Tell whether so much more stays under the cap."""
        return (self.held + risk) * 1_000_000 <= self.cap_ppm * self.total


def on_candidate(row: Row) -> tuple[int, ...]:
    """Return the accounts that the candidate holds, or is about to."""
    candidate = row.plan.candidate
    return tuple(
        account
        for account, holding in row.accounts.items()
        if holding.has == candidate or holding.at == SWITCHING
    )


def room(row: Row) -> Room:
    """Return what the cap of the present phase leaves."""
    names = [phase.name for phase in row.plan.phases]
    return Room(
        held=sum(row.accounts[account].risk for account in on_candidate(row)),
        total=sum(holding.risk for holding in row.accounts.values()),
        cap_ppm=row.plan.risk_cap_ppm[names.index(row.stage)],
    )


def unverified(row: Row) -> tuple[int, ...]:
    """Return the members that are active and not yet both smoked and reconciled."""
    return tuple(
        account
        for account in members(row)
        if row.accounts[account].at == ACTIVE
        and (row.accounts[account].smoke, row.accounts[account].reconcile) != (PASS, PASS)
    )


def inactive(row: Row) -> tuple[int, ...]:
    """Return the members that the candidate does not hold yet."""
    return tuple(account for account in members(row) if row.accounts[account].at != ACTIVE)


def is_overridden(row: Row, gate: str, at: int) -> bool:
    """Tell whether persons have accepted a gate until after `at` (UTC ns)."""
    now = max(at, row.clock.reached)  # a clock set back lengthens no override
    valid = [one for one in row.overrides if one.gate == gate and now < one.until]
    persons = {one.person for one in valid}
    needed = 2 if gate in WIDE else 1
    return len(persons) >= needed or any(one.breaks_glass for one in valid)
