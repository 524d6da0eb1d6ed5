"""What a rollout hears, and what it wants done. Every input carries when it was heard (UTC ns).

People's inputs carry an `ask`, a number that comes back with the answer; `actor` says who, and
`reason` why. Facts are repeated freely: hearing one twice is hearing it once.
"""

from __future__ import annotations

import msgspec

from risk_daemon.rollout.exposure import Span
from risk_daemon.rollout.plan import Freeze, Version


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """The base of every input: heard `at` (UTC ns)."""

    at: int


class Asked(Heard, frozen=True, kw_only=True):
    """The base of what people ask for."""

    actor: str
    reason: str = "none given"
    ask: int = 0


# --- people ---


class Start(Asked, frozen=True, kw_only=True):
    """Stage both releases, decide in shadow, and enter the first phase that switches."""


class Approve(Asked, frozen=True, kw_only=True):
    """Agree to the start, or to what follows a phase; `phase` is "start" or a phase's name.

    `breaks_glass`: alone, for all who should agree; to be reviewed afterwards.
    """

    phase: str
    breaks_glass: bool = False


class Promote(Asked, frozen=True, kw_only=True):
    """Enter the next phase, which is `phase`."""

    phase: str


class Complete(Asked, frozen=True, kw_only=True):
    """Call the rollout done, after its last phase."""


class Stop(Asked, frozen=True, kw_only=True):
    """Hold: nothing more is switched, nobody is moved."""


class Resume(Asked, frozen=True, kw_only=True):
    """End every hold."""


class Abort(Asked, frozen=True, kw_only=True):
    """Bring every account back; after the end this is the rollback."""


class Accept(Asked, frozen=True, kw_only=True):
    """Override one gate until `until` (UTC ns). `breaks_glass`: alone, reviewed afterwards."""

    gate: str
    until: int
    breaks_glass: bool = False


class Supersede(Asked, frozen=True, kw_only=True):
    """Give way to the rollout `by`: with `goes_back`, after every account is back."""

    by: str
    goes_back: bool


# --- what is seen ---


class Judged(Heard, frozen=True, kw_only=True):
    """A gate says pass, fail, hold, inconclusive or unmeasurable of `version` in `phase`.

    An empty phase: a gate before the start. `evidence` is the digest of what it was computed
    from. A hold that nobody resumes for `abort_after_ns` ends in an abort (0: never).
    """

    gate: str
    says: str
    sentence: str
    evidence: str
    version: Version
    phase: str = ""
    abort_after_ns: int = 0


class Tripped(Heard, frozen=True, kw_only=True):
    """A trigger that needs no statistics: corrupt state, an incident, a crash loop on a host."""

    by: str
    reason: str
    evidence: str = ""


class WorkerReady(Heard, frozen=True, kw_only=True):
    """A worker of this version is warm and caught up."""

    version: Version


class WorkerGone(Heard, frozen=True, kw_only=True):
    """No worker of this version is ready any more; `crashed` when nobody stopped it."""

    version: Version
    why: str
    crashed: bool


class CaughtUp(Heard, frozen=True, kw_only=True):
    """The candidate's shadow of these accounts equals what enforces them."""

    accounts: tuple[int, ...]


class Held(msgspec.Struct, frozen=True):
    """What enforces an account, by the journal's word: `epoch` says how new that is."""

    account: int
    version: Version
    epoch: int


class LeasesSeen(Heard, frozen=True, kw_only=True):
    """Who has what, outside of what was asked for: a fail-over."""

    held: tuple[Held, ...]


class Switched(Heard, frozen=True, kw_only=True):
    """A switch is done: granted, and attested by the worker itself."""

    id: str
    held: Held


class SwitchFailed(Heard, frozen=True, kw_only=True):
    """A switch was refused or not attested; `held` is what is true now."""

    id: str
    held: Held
    why: str


class SmokeSaid(Heard, frozen=True, kw_only=True):
    """What came of a smoke: pass, fail, or unmeasurable when it could not be asked."""

    id: str
    says: str
    why: str = ""


class Reconciled(Heard, frozen=True, kw_only=True):
    """What came of a reconcile: pass, fail, or unmeasurable when it could not be asked."""

    id: str
    says: str
    why: str = ""


class Carried(Heard, frozen=True, kw_only=True):
    """A release was warmed or retired as asked."""

    id: str


class TimedOut(Heard, frozen=True, kw_only=True):
    """No answer came in time: it may have happened or not. It is asked again under its id."""

    id: str


class Passed(Heard, frozen=True, kw_only=True):
    """Time passed, to `steady` (ns of this boot); `spans` cover it. Not `trusted`: in doubt."""

    steady: int
    spans: tuple[Span, ...] = ()
    trusted: bool = True


class Decided(Heard, frozen=True, kw_only=True):
    """The candidate has decided so many more records, as holder (in shadow: as shadow)."""

    events: int


class Witnessed(Heard, frozen=True, kw_only=True):
    """A situation was seen that no calendar tells: a reconnect, a restart with equal state."""

    situation: str


class FreezesSet(Heard, frozen=True, kw_only=True):
    """The calendar's freezes are these from now on."""

    freezes: tuple[Freeze, ...]


class BudgetSeen(Heard, frozen=True, kw_only=True):
    """The error budget of the calendar day: a sentence when it is spent, else empty."""

    spent: str


class AccountAdded(Heard, frozen=True, kw_only=True):
    """A new account: it joins at the end, on what enforces it. `risk` in 1e-9 dollars."""

    held: Held
    risk: int


class AccountRemoved(Heard, frozen=True, kw_only=True):
    """An account is no longer guarded here."""

    account: int


class RiskSeen(Heard, frozen=True, kw_only=True):
    """The open risk (1e-9 dollars) of these accounts."""

    risks: tuple[tuple[int, int], ...]


# --- the journal ---


class Persisted(Heard, frozen=True, kw_only=True):
    """The row is stored at this revision; `bumped` is what the raised accounts have since."""

    revision: int
    bumped: tuple[Held, ...] = ()


class Recovered(Heard, frozen=True, kw_only=True):
    """What is stored, read anew: after a start, or when a write was refused or not answered."""

    revision: int
    body: bytes
    held: tuple[Held, ...]


type Request = Start | Approve | Promote | Complete | Stop | Resume | Abort | Accept | Supersede
type Fact = (
    Judged
    | Tripped
    | WorkerReady
    | WorkerGone
    | CaughtUp
    | LeasesSeen
    | Switched
    | SwitchFailed
    | SmokeSaid
    | Reconciled
    | Carried
    | Passed
    | Decided
    | Witnessed
    | FreezesSet
    | BudgetSeen
    | AccountAdded
    | AccountRemoved
    | RiskSeen
)
type Input = Request | Fact

# --- outputs ---


class Entry(msgspec.Struct, frozen=True):
    """One line of the audit: what changed, by whom, why, and the digest of the evidence."""

    id: str
    what: str
    actor: str
    reason: str
    evidence: str


class Tell(msgspec.Struct, frozen=True):
    """Words for an audience (traders, admins, management), durable with the row they are about."""

    id: str
    audience: str
    level: str
    words: str


class Persist(msgspec.Struct, frozen=True, kw_only=True):
    """Store this, all in one transaction, if the row is at `expected`; answered by Persisted.

    The epochs of `bump` are raised by it, whatever they are and whoever holds them.
    """

    name: str
    expected: int
    revision: int
    latch: str
    body: bytes
    bump: tuple[int, ...]
    entries: tuple[Entry, ...]
    tells: tuple[Tell, ...]


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """Move an account to a version, if its epoch is `epoch` and the stored latch is `latch`."""

    id: str
    account: int
    version: Version
    epoch: int
    latch: str


class Smoke(msgspec.Struct, frozen=True, kw_only=True):
    """Look whether an account is enforced by this version, and well."""

    id: str
    account: int
    version: Version


class Reconcile(msgspec.Struct, frozen=True, kw_only=True):
    """Compare an account with the broker's truth."""

    id: str
    account: int


class Warm(msgspec.Struct, frozen=True, kw_only=True):
    """Have a worker of this version warm, until it is retired."""

    id: str
    version: Version


class Retire(msgspec.Struct, frozen=True, kw_only=True):
    """This version is needed no more: neither active, nor shadow, nor a way back."""

    id: str
    version: Version


class Answer(msgspec.Struct, frozen=True):
    """What came of what a person asked; `refused` is empty when it was done and is durable."""

    ask: int
    refused: tuple[str, ...] = ()


type Order = Switch | Smoke | Reconcile | Warm | Retire
type Output = Persist | Order | Answer
