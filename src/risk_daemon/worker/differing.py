"""What this release decides where another one holds the account, against what its holder says.

Pure but for what it remembers, and the same in every worker that folds the same records. A record
is decided here as it is folded; the holder's word for it comes in a later record, which names the
record it was decided at. So what the holder decided and this release did not is known at once, and
what only this release decided after a window of stream time in which the holder should have said
it. Where the holder changed in that time nobody can tell, and nothing is counted as agreeing.

After one difference the account is astray: whatever else differs is its consequence, and counts
with it, until the holder has come to rest and a record re-seeds the account here (`core.reseed`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from risk_daemon.core.account import Account
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import (
    AlarmRaised,
    BreachFound,
    DecisionCompared,
    DrainAsked,
    Entry,
    Fact,
    GoalRefused,
    Intended,
    LeaseGranted,
    LockEnded,
    LockPlaced,
    MarkChanged,
    Pulse,
    RequestAnswered,
    RequestSent,
    RequestSettled,
    ShadowReseeded,
)
from risk_daemon.core.reseed import apart
from risk_daemon.rules.declared import Declared, covering
from risk_daemon.worker.canonical import (
    BREACH,
    END,
    GOAL,
    LOOSER,
    SAME,
    STRICTER,
    Decision,
    canonical,
    way,
)
from risk_daemon.worker.view import sees

MS: Final = 1_000_000
#: In stream time: how long the holder has to say what it decided too.
WINDOW: Final = 1_000 * MS
#: And to say that a lock has ended, which is never as urgent: to miss that word would be looser.
END_WINDOW: Final = 5_000 * MS
#: What else belongs to a difference is waited for before it is told.
GATHER: Final = 250 * MS
#: Without a pulse for so long the journal stood still, and words may have been lost.
STOOD_STILL: Final = 1_500 * MS
#: A holder at rest has swept what its last close left behind.
AT_REST: Final = 8_000 * MS
#: One that never rests is not waited for any longer.
LONGEST: Final = 30_000 * MS
#: Words of a decision that was judged may still come.
REMEMBERED: Final = 30_000 * MS
#: Agreeing findings of one account that are told in a minute of the stream.
AGREEING: Final = 60
MINUTE: Final = 60_000 * MS

LIVE: Final = "live"
RECORDED: Final = "recorded"
AGREES, DECLARED, UNSEEN = "agrees", "declared", "unseen"

#: What tells that something died, and that words may be lost with it.
SUPERVISOR: Final = "supervisor"
_ACTS: Final = (RequestAnswered, RequestSettled, GoalRefused)


class _Case(msgspec.Struct, kw_only=True):
    """What both decided at one record in the name of one rule, by what it is about."""

    account: int
    rule: str
    seq: int
    at: int
    until: int
    mine: dict[str, Decision] = msgspec.field(default_factory=dict)
    other: dict[str, Decision] = msgspec.field(default_factory=dict)
    #: By field: which way it differs, and why.
    ways: dict[str, tuple[str, str]] = msgspec.field(default_factory=dict)
    is_unsure: bool = False
    #: Decided in the name of the rule at later records, until it was told: to be put into words.
    then_mine: dict[str, Decision] = msgspec.field(default_factory=dict)
    then_other: dict[str, Decision] = msgspec.field(default_factory=dict)


class _Watch(msgspec.Struct, kw_only=True):
    """One account that another release holds. What was decided before `since` is not compared."""

    against: str
    since: int
    since_at: int
    cases: dict[tuple[str, int], _Case] = msgspec.field(default_factory=dict)
    judged: dict[tuple[str, int], int] = msgspec.field(default_factory=dict)
    found: _Case | None = None
    is_astray: bool = False
    apart_since: int = 0
    acted_at: int = 0
    silent_until: int = 0
    turn: int = 0
    asked_at: int = 0
    tried: frozenset[str] = frozenset()
    minute: int = 0
    told: int = 0


class Comparer:
    """Takes each record after it was folded, with what was decided; returns what is to be said."""

    def __init__(
        self, release: str, declared: Iterable[Declared] = (), *, source: str = RECORDED
    ) -> None:
        self.source = source
        self._release = release
        self._declared = tuple(declared)
        self._watched: dict[int, _Watch] = {}
        self._began: tuple[int, int] | None = None
        self._at = 0
        self._due_at = 0

    def take(self, entry: Entry, outputs: Sequence[Fact], engine: Engine) -> list[Fact]:
        """Compare one record; nothing is said where the account is held by this release."""
        if self._began is None:
            self._began = (entry.seq, entry.at)
        before, self._at = self._at, entry.at
        is_due = 0 < self._due_at <= entry.at
        stood = before > 0 and entry.at - before > STOOD_STILL
        if isinstance(entry.fact, MarkChanged) and not (outputs or is_due or stood):
            return []  # a quote that leads to nothing must cost nothing
        if stood or _tells_of_a_death(entry.fact):
            for watch in self._watched.values():
                self._unsure(watch, entry.at)
        said: list[Fact] = []
        if is_due:
            said += self._over(entry.at, engine)
        if entry.account:
            self._hear(entry, engine)
        for output in outputs:
            self._decided(output, entry, engine)
        if isinstance(entry.fact, Pulse):
            said += self._reseeds(entry.at, engine)
        return said

    def wake_at(self) -> int:
        """Return when the next window is over, 0 for none."""
        return self._due_at

    # --- what is heard ---

    def _hear(self, entry: Entry, engine: Engine) -> None:
        account = _shadowed(engine, entry.account)
        if account is None:
            self._watched.pop(entry.account, None)
            return
        watch = self._watch(entry, account)
        match entry.fact:
            case LeaseGranted():
                self._unsure(watch, entry.at)
            case DrainAsked(for_ms=for_ms):
                watch.silent_until = entry.at + for_ms * MS
                self._unsure(watch, entry.at)
            case ShadowReseeded(release=self._release):
                watch.since, watch.since_at = entry.seq, entry.at
                watch.is_astray, watch.apart_since = False, 0
                watch.cases, watch.judged = {}, {}
            case BreachFound() | LockPlaced() | LockEnded() | Intended():
                self._said(entry, account, watch)
            case RequestSent() as sent:
                watch.acted_at = entry.at
                _sent(watch, sent)
            case fact if isinstance(fact, _ACTS):
                watch.acted_at = entry.at
            case _:
                pass

    def _watch(self, entry: Entry, account: Account) -> _Watch:
        found = self._watched.get(account.account)
        if found is None or found.against != account.release:
            assert self._began is not None
            is_new = isinstance(entry.fact, LeaseGranted)
            since, since_at = (entry.seq, entry.at) if is_new else self._began
            found = _Watch(against=account.release, since=since, since_at=since_at)
            self._watched[account.account] = found
        return found

    def _unsure(self, watch: _Watch, at: int) -> None:
        """The holder may have been silent: its words are waited for anew, and may be missing."""
        for case in watch.cases.values():
            case.is_unsure, case.until = True, at + WINDOW
            self._due(case.until)

    def _due(self, at: int) -> None:
        self._due_at = min(self._due_at or at, at)

    # --- what the holder said ---

    def _said(self, entry: Entry, account: Account, watch: _Watch) -> None:
        other = canonical(entry.fact)
        if other is None:
            return
        watch.acted_at = entry.at
        began_at = entry.fact.began_at if isinstance(entry.fact, LockPlaced) else watch.since_at
        if began_at < watch.since_at or 0 < other.seq < watch.since:
            return
        if other.field == END:
            self._ended(entry, account, watch, other)
            return
        if watch.found is not None and watch.found.rule == other.rule:
            watch.found.then_other.setdefault(other.name, other)
        case, seq = self._case_of(watch, other), other.seq or entry.seq
        is_more = case is not None and case is watch.found
        if not is_more and (self._is_astray(watch, account) or (other.rule, seq) in watch.judged):
            return
        if case is None:
            case = self._begin(watch, entry, account.account, other.rule, seq)
        case.other[other.name] = other
        self._judge(watch, entry.at, account, case, other)

    def _case_of(self, watch: _Watch, other: Decision) -> _Case | None:
        """Find where we decided the same thing: by record and rule, else by what it is about."""
        open_cases = [*watch.cases.values(), *([watch.found] if watch.found else [])]
        for case in open_cases:
            if (case.rule, case.seq) == (other.rule, other.seq):
                return case
        for case in open_cases:
            same_record = other.seq in (0, case.seq)
            if same_record and other.field != BREACH and other.name in case.mine:
                return case
        return None

    def _begin(self, watch: _Watch, entry: Entry, account: int, rule: str, seq: int) -> _Case:
        case = _Case(account=account, rule=rule, seq=seq, at=entry.at, until=entry.at + WINDOW)
        case.is_unsure = entry.at < watch.silent_until
        watch.cases[rule, seq] = case
        self._due(case.until)
        return case

    def _judge(
        self, watch: _Watch, at: int, account: Account, case: _Case, other: Decision
    ) -> None:
        """Compare one decision of the holder with ours, now that we would have made it."""
        mine = case.mine.get(other.name)
        if mine is None:
            early = _has_earlier(account, other)
            why = "had it earlier" if early else "does not"
            self._differ(watch, at, case, other.field, (STRICTER if early else LOOSER, why))
            return
        direction = way(mine, other)
        if direction != SAME:
            self._differ(watch, at, case, other.field, (direction, "otherwise"))
        elif mine.rule != other.rule:
            why = f"in the name of {mine.rule}"
            self._differ(watch, at, case, other.field, (STRICTER, why))

    def _ended(self, entry: Entry, account: Account, watch: _Watch, other: Decision) -> None:
        case = self._case_of(watch, other)
        if case is not None:
            case.other[other.name] = other
            return
        assert isinstance(entry.fact, LockEnded)
        kept = account.locks.get(entry.fact.lock)
        if kept is None or self._is_astray(watch, account):
            return
        case = self._begin(watch, entry, account.account, kept.placed.rule, entry.seq)
        case.other[other.name] = other
        self._differ(watch, entry.at, case, END, (STRICTER, "keeps it"))

    # --- what we decided ---

    def _decided(self, output: Fact, entry: Entry, engine: Engine) -> None:
        account = _shadowed(engine, getattr(output, "account", 0))
        mine = canonical(output)
        if account is None or mine is None:
            return
        assert account.shadow is not None
        watch = self._watch(entry, account)
        if self._is_astray(watch, account) or _is_repeated(output, entry):
            return
        rule, seq = mine.rule, entry.seq
        if isinstance(output, LockEnded):
            placed = account.shadow.locks.get(output.lock)
            if placed is None or output.lock in account.shadow.forced:
                return  # the holder never had it; or it was not ours to keep
            rule = placed.rule
        case = watch.cases.get((rule, seq)) or self._begin(watch, entry, account.account, rule, seq)
        if isinstance(output, LockEnded):
            case.until = entry.at + END_WINDOW
        case.mine[mine.name] = mine

    def _is_astray(self, watch: _Watch, account: Account) -> bool:
        assert account.shadow is not None
        return watch.is_astray or account.shadow.astray > 0

    # --- what comes of it ---

    def _differ(
        self, watch: _Watch, at: int, case: _Case, field: str, found: tuple[str, str]
    ) -> None:
        """Take a difference; what belongs to the same record and rule is gathered for a moment."""
        if case.ways.get(field, ("", ""))[0] != LOOSER:
            case.ways[field] = found
        if watch.found is None:
            self._look_on(watch, case)
            watch.found, watch.is_astray = case, True
            watch.cases = {}
            case.until = at + GATHER
            self._due(case.until)

    def _look_on(self, watch: _Watch, case: _Case) -> None:
        """Take for a case's words what followed from it: a goal often waits for the next record."""
        for later in watch.cases.values():
            if later.rule == case.rule and later.seq > case.seq:
                case.then_mine |= later.mine
                case.then_other |= later.other

    def _over(self, at: int, engine: Engine) -> list[Fact]:
        """Judge what is due; an account at a time, each in the order of its records."""
        said: list[Fact] = []
        for number in sorted(self._watched):
            watch = self._watched[number]
            for key in sorted(watch.cases, key=lambda key: (key[1], key[0])):
                case = watch.cases.get(key)
                if case is not None and case.until <= at:
                    del watch.cases[key]
                    watch.judged[key] = at
                    said += self._close(watch, at, case)
            if watch.found is not None and watch.found.until <= at:
                said.append(self._finding(watch, watch.found, at, engine))
                watch.found = None
            for key in [key for key, then in watch.judged.items() if at - then > REMEMBERED]:
                del watch.judged[key]
        dues = [case.until for one in self._watched.values() for case in one.cases.values()]
        dues += [one.found.until for one in self._watched.values() if one.found]
        self._due_at = min(dues, default=0)
        return said

    def _close(self, watch: _Watch, at: int, case: _Case) -> list[Fact]:
        missing = [one for name, one in case.mine.items() if name not in case.other]
        breach = next((one for one in case.mine.values() if one.field == BREACH), None)
        self._look_on(watch, case)
        if all(one.field == BREACH for one in missing) and _shows_its_finding(case):
            missing = []
        if not missing:
            return [] if breach is None else self._agree(watch, at, case)
        if case.is_unsure:
            return [] if breach is None else [self._compared(watch, case, UNSEEN)]
        for one in missing:
            direction = LOOSER if one.field == END else STRICTER
            self._differ(watch, at - GATHER, case, one.field, (direction, "alone"))
        return []

    def _agree(self, watch: _Watch, at: int, case: _Case) -> list[Fact]:
        if watch.minute != at // MINUTE:
            watch.minute, watch.told = at // MINUTE, 0
        watch.told += 1
        return [self._compared(watch, case, AGREES)] if watch.told <= AGREEING else []

    def _finding(self, watch: _Watch, case: _Case, at: int, engine: Engine) -> DecisionCompared:
        """Put a difference into words."""
        ways = [(field, direction) for field, (direction, _) in sorted(case.ways.items())]
        direction = LOOSER if any(one == LOOSER for _, one in ways) else STRICTER
        declared = covering(self._declared, case.rule, ways, at)
        found = self._compared(watch, case, DECLARED if declared else direction)
        return msgspec.structs.replace(
            found,
            direction=direction,
            fields=tuple(field for field, _ in ways),
            saw=found.saw or sees(engine, case.account, case.rule),
            why="; ".join(self._why(watch, field, *case.ways[field]) for field, _ in ways),
            declared=declared,
        )

    def _why(self, watch: _Watch, field: str, direction: str, how: str) -> str:
        """Say in words how one decision differs."""
        mine, other = self._release, watch.against
        what = {BREACH: "finds a breach", END: "ends the lock"}.get(field, "")
        what = what or ("asks for the goal" if field == GOAL else "places the lock")
        if how == "alone":
            return f"{mine} {what}, and {other} does not"
        if how == "keeps it":
            return f"{other} {what}, and {mine} keeps it"
        if how in ("does not", "had it earlier"):
            return f"{other} {what}, and {mine} {how}"
        named = "" if how == "otherwise" else f" {how}"
        return f"{mine} {what}{named}, {direction} than {other}"

    def _compared(self, watch: _Watch, case: _Case, verdict: str) -> DecisionCompared:
        saw, wanted = _words(case.then_mine | case.mine)
        other_saw, other_wanted = _words(case.then_other | case.other)
        return DecisionCompared(
            account=case.account,
            release=self._release,
            against=watch.against,
            rule=case.rule,
            seq=case.seq,
            decided_at=case.at,
            verdict=verdict,
            source=self.source,
            saw=saw,
            wanted=wanted,
            other_saw=other_saw,
            other_wanted=other_wanted,
        )

    # --- re-seeding ---

    def _reseeds(self, at: int, engine: Engine) -> list[Fact]:
        """Ask for a re-seed of the accounts that are apart, and whose holders have come to rest."""
        said: list[Fact] = []
        for number in sorted(self._watched):
            watch, account = self._watched[number], _shadowed(engine, number)
            if account is None or watch.found is not None:
                continue
            shadow = account.shadow
            assert shadow is not None
            names = frozenset(apart(account, shadow))
            is_astray = self._is_astray(watch, account)
            if not is_astray and (not names or names == watch.tried):
                watch.apart_since = 0
                continue
            watch.apart_since = watch.apart_since or at
            rests = at - max(watch.apart_since, watch.acted_at) >= AT_REST
            is_news = watch.turn <= shadow.turns or at - watch.asked_at >= LONGEST
            if is_news and (rests or at - watch.apart_since >= LONGEST):
                watch.turn, watch.tried, watch.asked_at = shadow.turns + 1, names, at
                why = "a decision differed" if is_astray else f"locks: {', '.join(sorted(names))}"
                said.append(
                    ShadowReseeded(account=number, release=self._release, turn=watch.turn, why=why)
                )
        return said


def once_of(fact: Fact) -> str:
    """Name what two workers of a release say of a shadow, and is stored once."""
    match fact:
        case DecisionCompared():
            case = f":{fact.case}" if fact.case else ""
            return f"compared:{fact.release}:{fact.account}:{fact.seq}:{fact.rule}{case}"
        case ShadowReseeded():
            return f"reseeded:{fact.release}:{fact.account}:{fact.turn}"
        case _:
            return ""


def _shadowed(engine: Engine, number: int) -> Account | None:
    """Return an account that another release holds, and that can be folded here."""
    account = engine.world.accounts.get(number)
    is_ours = account is None or account.shadow is None or number in engine.poisoned
    return None if is_ours else account


def _tells_of_a_death(fact: Fact) -> bool:
    """Tell whether a process died: what it had decided may never be said."""
    return isinstance(fact, AlarmRaised) and fact.source == SUPERVISOR


def _shows_its_finding(case: _Case) -> bool:
    """Tell whether what follows from a finding was said, and only the finding itself was not."""
    fields = {one.field for one in (*case.other.values(), *case.then_other.values())}
    return bool(fields) and BREACH not in fields


def _sent(watch: _Watch, sent: RequestSent) -> None:
    """A goal that leaves was decided, also where its link was told of it beside the journal."""
    what = f"{GOAL}:" + (f"order {sent.order}" if sent.order else sent.contract)
    for case in watch.cases.values():
        mine = case.mine.get(what)
        if mine is not None and sent.key.split(":")[2:3] == [str(case.seq)]:
            case.other.setdefault(what, mine)


def _is_repeated(output: Fact, entry: Entry) -> bool:
    """Tell what a new lease has said again from what is decided at this record."""
    match output:
        case LockPlaced(began_at=began_at):
            return began_at != entry.at
        case Intended(cause_seq=cause_seq):
            return cause_seq != entry.seq
        case _:
            return False


def _has_earlier(account: Account, other: Decision) -> bool:
    """Tell whether we had decided it before the holder did, and still stand by it."""
    what = other.name.partition(":")[2]
    if other.field == BREACH:
        incident = account.incidents.get(what)
        return incident is not None and incident.is_open and incident.seq < other.seq
    if other.field == GOAL:
        slot = account.slots.get(what)
        asked = next((one for n, one in account.asked.items() if what == f"order {n}"), None)
        goals = [one for one in (slot, asked) if one is not None and one.cause_seq < other.seq]
        return any(-one.goal.allowed >= other.strength[0] for one in goals)
    assert account.shadow is not None
    decided = [account.locks[name].placed for name in account.locks.keys() - account.shadow.forced]
    mine = [canonical(placed) for placed in decided if placed.rule == other.rule]
    return any(
        one is not None and one.seq < other.seq and one.strength[0] >= other.strength[0]
        for one in mine
    )


def _words(decisions: dict[str, Decision]) -> tuple[str, str]:
    """Return what was seen, and what was wanted because of it."""
    ordered = [decisions[name] for name in sorted(decisions)]
    saw = "; ".join(one.words for one in ordered if one.field == BREACH)
    return saw, ", ".join(one.words for one in ordered if one.field != BREACH)
