"""Facts and promises, past tense: all that can happen to an account.

Every record of the stream carries exactly one of these. Numbers are integers:
prices and money in units of 1e-9 (`instrument.UNIT`), times in nanoseconds
since 1970 UTC, quantities signed (long is positive). A side is +1 (buy) or
-1 (sell). Nothing in here may be a float, a set, or local time.

The wire format of a record's payload is this struct as a msgpack map
(`wire.record`), so a field may be added with a default and never renamed.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Fact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Something that happened; the base of every payload."""


# --- what the broker showed -------------------------------------------------


class ContractSeen(Fact, frozen=True, kw_only=True):
    """Tick size and tick value of one contract, from the broker's own metadata."""

    contract: str
    root: str
    tick_size: int
    tick_value: int


class AccountSeen(Fact, frozen=True, kw_only=True):
    """The account row: balance is realized only, `can_trade` false is the platform's lock."""

    account: int
    login: str
    name: str
    balance: int
    can_trade: bool
    visible: bool = True
    simulated: bool = False


class OrderChanged(Fact, frozen=True, kw_only=True):
    """One order as last shown. `status` and `type` are the broker's codes (docs/brokers)."""

    account: int
    order: int
    contract: str
    status: int
    type: int
    side: int
    size: int
    filled: int = 0
    limit_price: int | None = None
    stop_price: int | None = None
    filled_price: int | None = None
    parent: int | None = None
    linked: int | None = None
    tag: str | None = None
    created: int = 0
    updated: int | None = None
    version: int = 0


class PositionChanged(Fact, frozen=True, kw_only=True):
    """The netted position of one contract; `quantity` 0 is closed."""

    account: int
    contract: str
    quantity: int
    average: int = 0
    created: int = 0
    version: int = 0


class TradeSeen(Fact, frozen=True, kw_only=True):
    """One fill. `pnl` is gross and null on opening fills; `voided` takes it back."""

    account: int
    trade: int
    order: int
    contract: str
    side: int
    size: int
    price: int
    traded_at: int
    pnl: int | None = None
    fees: int = 0
    commissions: int = 0
    voided: bool = False
    version: int = 0


class MarkChanged(Fact, frozen=True, kw_only=True):
    """Best bid, best ask and last price of a contract, merged over partial updates."""

    contract: str
    bid: int | None = None
    ask: int | None = None
    last: int | None = None


class PrintSeen(Fact, frozen=True, kw_only=True):
    """One trade of the market itself, whoever's it was: the price it was made at."""

    contract: str
    price: int


class QuoteAged(Fact, frozen=True, kw_only=True):
    """How far a contract's mark may be believed: `fresh`, `quiet` or `stale`.

    Quiet is old and proven by a probe: its last mark is good. Stale is old and
    proven by nothing.
    """

    contract: str
    state: str
    why: str = ""


class AccountMissing(Fact, frozen=True, kw_only=True):
    """The broker does not list a guarded account; over with its next `AccountSeen`."""

    account: int
    login: str


class Reconciled(Fact, frozen=True, kw_only=True):
    """One read of an account's truth over REST.

    `stable` means that no event of the account arrived while the reads were
    under way: only then may quantities be re-based on it. `trades` are those
    of the running trade day and whatever may have been missed before.
    `only_positions`: the cheap read that verifies a close; it shows neither
    orders nor trades, so it confirms quantities and mends none.
    """

    account: int
    positions: tuple[PositionChanged, ...]
    orders: tuple[OrderChanged, ...]
    trades: tuple[TradeSeen, ...]
    balance: int
    can_trade: bool
    began_at: int
    stable: bool
    why: str = ""
    only_positions: bool = False


class FeedChanged(Fact, frozen=True, kw_only=True):
    """State of a login's session: `trusted`, `polling`, `suspect` or `blind`.

    `polling`: another client has the streams, and every account is read in turn. `send_log` names
    the log in which this link notes what it lets out before it leaves.
    """

    login: str
    state: str
    why: str = ""
    send_log: str = ""


class RecordQuarantined(Fact, frozen=True, kw_only=True):
    """A message that could not be believed; kept as text, defaulted never."""

    account: int
    source: str
    why: str
    raw: str


#: What only a message from the broker becomes: the events of an account. What our own reads find is
#: a `Reconciled`, and an `AccountSeen` comes of either.
TOLD_UNASKED: Final = (OrderChanged, PositionChanged, TradeSeen)


# --- what the daemon promised -----------------------------------------------


class RuleSetting(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One rule of a policy: its mode (`enforce`, `shadow`, `alert`) and its parameters."""

    rule: str
    mode: str
    params: dict[str, object]


class PolicyAdopted(Fact, frozen=True, kw_only=True):
    """The limits of one account from here on. `digest` names the configuration it came from."""

    account: int
    login: str
    name: str
    calendar: str
    day_roll: str
    rules: tuple[RuleSetting, ...]
    digest: str


class SettingsAdopted(Fact, frozen=True, kw_only=True):
    """Deployment settings as adopted, so that a later start can run without the file."""

    text: str
    digest: str


class LeaseGranted(Fact, frozen=True, kw_only=True):
    """Who may enforce an account. Epochs only grow."""

    account: int
    holder: str
    release: str
    epoch: int
    incarnation: int


class LeaseTaken(Fact, frozen=True, kw_only=True):
    """The holder's word that it has folded its lease: from here on it enforces."""

    account: int
    holder: str
    release: str
    epoch: int


class DrainAsked(Fact, frozen=True, kw_only=True):
    """The holder of an account is to say nothing more of it: another is about to take over.

    It goes on by itself after `for_ms`, so that a hand-over that nobody ends leaves nobody
    unguarded; 0 ends it now. Whoever folds this record shows the account as it is here. `release`
    is that of the heir.
    """

    account: int
    holder: str
    epoch: int
    release: str
    for_ms: int


class RolloutStored(Fact, frozen=True, kw_only=True):
    """The rollout's row as of here: the newest of them is the row.

    `revision` counts from 1, over all rollouts. `latch` is the word that a lease must name to be
    granted for the rollout: it changes when the rollout may not go on as it was. `body` is the
    controller's.
    """

    rollout: str
    revision: int
    latch: str
    body: bytes


class SampleTaken(Fact, frozen=True, kw_only=True):
    """What a release is judged by; `body` is a sample of `wire.sample`. Account 0: of none."""

    account: int
    release: str
    body: bytes


class Timed(Fact, frozen=True, kw_only=True):
    """How long a worker took for some records: rows of account, seq and µs."""

    release: str
    holder: str
    rows: tuple[tuple[int, int, int], ...]


class RolloutNoted(Fact, frozen=True, kw_only=True):
    """One line of a rollout's audit: what changed, by whom, why, and the digest of the evidence."""

    rollout: str
    what: str
    actor: str
    reason: str
    evidence: str = ""


class OperatorActed(Fact, frozen=True, kw_only=True):
    """A person's order. `account` 0 means every account.

    Acts: `flatten-lock`, `reduce-only`, `cancel-only`, `unlock`, `confirm`.
    `until` is None for "until an admin ends it", else when the lock ends.
    """

    account: int
    act: str
    by: str
    reason: str
    act_id: str
    until: int | None = None


class ConsoleUsed(Fact, frozen=True, kw_only=True):
    """A person used the console's page, or tried to: the audit of it.

    `what`: `login`, `wrong password`, `logout`, or `asked`, `done`, `refused`, `failed` with the
    name of an action. `text` is what came of it.
    """

    by: str
    what: str
    reason: str = ""
    text: str = ""


class RefusedRequests(msgspec.Struct, frozen=True, gc=False):
    """Requests that were refused alike. Empty words: a path, method or origin that is not ours."""

    status: int
    method: str
    path: str
    origin: str
    count: int


class RequestsRefused(Fact, frozen=True, kw_only=True):
    """What the console refused (HTTP 4xx) in a minute at most: each request is in one row."""

    for_ms: int
    rows: tuple[RefusedRequests, ...]


class LockPlaced(Fact, frozen=True, kw_only=True):
    """A lock record: durable before anything is sent because of it."""

    account: int
    lock: str
    rule: str
    mode: str
    began_at: int
    until: int | None
    reason: str
    scope: str = ""
    incident: str = ""


class LockEnded(Fact, frozen=True, kw_only=True):
    """A lock that is over: expired, ended by a person, or its unknown became known."""

    account: int
    lock: str
    why: str


class HighWaterKept(Fact, frozen=True, kw_only=True):
    """A rule's high-water marks, said again after the state was lost: no broker keeps them."""

    account: int
    rule: str
    marks: dict[str, int]


class BreachFound(Fact, frozen=True, kw_only=True):
    """A rule's finding, with the figures that prove it."""

    account: int
    rule: str
    mode: str
    incident: str
    observed: str
    limit: str
    text: str


class AlarmRaised(Fact, frozen=True, kw_only=True):
    """Someone must be told. Levels: info, warn, urgent, page.

    `audience` is who: traders, admins or management; empty means whoever looks after the daemon.
    """

    account: int
    level: str
    what: str
    text: str
    source: str = ""
    audience: str = ""


class HashTaken(Fact, frozen=True, kw_only=True):
    """State hash of an account after `seq`; compared between active, standby and replay.

    Other releases have states of other shapes: they compare `shown`, what the holder sees in the
    words of `wire.view.projection`, if `projection` is a version of it that they know.
    """

    account: int
    release: str
    holder: str
    seq: int
    count: int
    digest: str
    projection: int = 0
    shown: dict[str, str] = msgspec.field(default_factory=dict)


class DecisionCompared(Fact, frozen=True, kw_only=True):
    """What a release decided at the record `seq` of an account that another release holds.

    `verdict`: `agrees`, `looser`, `stricter`, `declared` or `unseen` (the holder changed meanwhile,
    and nobody can tell). `direction` is which way a difference goes, declared or not: looser is
    what protects less than the holder did. `fields` are what differs: `breach`, `lock`, `goal`,
    `end` (of a lock). `source` is where the record came from: `live`, `recorded` or `generated`.
    `saw` and `wanted` are the release's in words, `other_saw` and `other_wanted` the holder's.
    `declared` names the declared difference that covers it, `case` the generated case it is of:
    then `seq` is where the case was made. Written by the release that was
    compared, and stored once by release, account, seq and rule.
    """

    account: int
    release: str
    against: str
    rule: str
    seq: int
    decided_at: int
    verdict: str
    source: str
    direction: str = ""
    fields: tuple[str, ...] = ()
    saw: str = ""
    wanted: str = ""
    other_saw: str = ""
    other_wanted: str = ""
    why: str = ""
    declared: str = ""
    case: str = ""


class ShadowReseeded(Fact, frozen=True, kw_only=True):
    """From here on a release sees an account as if it had decided what its holder did.

    Folded by that release alone. It drops the locks and the unsent goals that the holder's own
    records do not show, takes over the locks that they do, and holds a finding back that the
    holder does not share until its condition was false once. `turn` counts from 1.
    """

    account: int
    release: str
    turn: int
    why: str


class ProtectionDisabled(Fact, frozen=True, kw_only=True):
    """Protection switched off on purpose; nothing but `start` ends it."""

    by: str
    reason: str


class ProtectionEnabled(Fact, frozen=True, kw_only=True):
    """Protection switched on again by `start`."""

    by: str
    reason: str = ""


# --- goals and what became of them ------------------------------------------


class Goal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What is to be true; sized by the fence when it leaves, not when it was decided.

    `act`: `close` (to zero), `reduce` (to `allowed`), `cancel` (one order),
    `resize` (one order down to `allowed`), `look` (a read).
    `locked` says that a lock stands behind it; without one a close dies at the
    first flat after the view it was decided on (`version`).
    `closing` says that a close to zero stands in the same plan as this cancel.
    `versions` name the other contracts a reduction was computed from.
    """

    act: str
    account: int
    contract: str = ""
    order: int = 0
    allowed: int = 0
    locked: bool = False
    exact: bool = False
    closing: bool = False
    version: int = 0
    versions: tuple[tuple[str, int], ...] = ()
    rule: str = ""
    reason: str = ""


class Intended(Fact, frozen=True, kw_only=True):
    """A goal, durable. The key is the same in every release: account, rule, cause, leg."""

    account: int
    epoch: int
    cause_seq: int
    key: str
    goal: Goal


class GoalRefused(Fact, frozen=True, kw_only=True):
    """The fence let nothing out for this goal, and why."""

    account: int
    key: str
    contract: str
    order: int
    why: str


class RequestSent(Fact, frozen=True, kw_only=True):
    """A mutating request is leaving. Its goal was durable before; this need not wait.

    `epoch` is the goal's, `highest` the highest of the account that the link had seen as it left
    (0: it left, if at all, in an earlier run).
    """

    account: int
    key: str
    request: str
    act: str
    contract: str
    order: int
    size: int
    epoch: int
    highest: int = 0


class RequestAnswered(Fact, frozen=True, kw_only=True):
    """What the broker answered: `accepted`, `refused` or `unknown`."""

    account: int
    key: str
    request: str
    outcome: str
    code: int = 0
    text: str = ""


class RequestSettled(Fact, frozen=True, kw_only=True):
    """How it ended: `filled`, `ended`, `rejected`, `void`, `flat`, `gone`."""

    account: int
    key: str
    request: str
    act: str
    contract: str
    order: int
    how: str
    filled: int = 0


class Pulse(Fact, frozen=True, kw_only=True):
    """Nothing happened, and time passed."""


class Probed(Fact, frozen=True, kw_only=True):
    """A promise that means nothing: it shows that promises get onto the disk."""


class Unknown(Fact, frozen=True, kw_only=True):
    """A kind this release does not know: counted and kept, never dropped."""

    kind: str


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A record as the deciders see it: its place, its time, its account and its fact."""

    seq: int
    at: int
    account: int
    fact: Fact
