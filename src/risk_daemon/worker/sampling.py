"""What a release is judged by, as its worker sees it, while a release is rolled out.

Pure but for what it remembers, and the same in every worker that folds the same records: what was
counted, which rules fired, which goals came to their end, whether the feed is there. So a standby
that takes over goes on with the span that its holder had begun. Only how long a record took is one
process's own; it comes through the stream too (`Timed`), and is paired from there.

Rules for editors: within a span every other sample comes before its `Decided`, which says how many
there were; nothing may be told twice, nor left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from risk_daemon.core.account import Account
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import (
    TOLD_UNASKED,
    AccountSeen,
    DecisionCompared,
    Entry,
    Fact,
    FeedChanged,
    MarkChanged,
    Pulse,
    Reconciled,
    RequestAnswered,
    RequestSent,
    RolloutStored,
    SampleTaken,
    Timed,
)
from risk_daemon.wire import sample
from risk_daemon.wire.sample import (
    FAILURES_MAX,
    SPAN_NS,
    Class,
    Connected,
    Decided,
    Failure,
    Fired,
    How,
    Latencies,
    Reached,
    Source,
)
from risk_daemon.worker.goals import Goals

#: Stages of a rollout in which nothing is judged: docs/architecture/rollout.md.
IDLE: Final = ("draft", "gated", "done", "aborted", "rolled back", "superseded")
BROKER_FACTS: Final = (AccountSeen, *TOLD_UNASKED, Reconciled)
#: So many records of each second are timed, in every release the same ones.
TIMED_MAX: Final = 16
PAIRS: Final = 10
#: Characters of what was raised that tell one fault from another.
FINGERPRINT: Final = 60
#: How the engine words a rule that raised, and not one that could not know.
RAISED: Final = " failed: "
#: So many accounts are told of at one record. A thousand of them at the beginning of a phase, by
#: each release, kept every worker from its drain for longer than a holder is waited for.
AT_ONCE: Final = 100
#: A timing that the other release has not told of by then is not waited for.
PAIRED_WITHIN_NS: Final = 30_000_000_000
_SOURCES: Final[dict[str, Source]] = {one: one for one in ("live", "recorded", "generated")}
#: What a worker tells; of memory and damage others do.
type Told = Connected | Decided | Fired | Latencies | Reached
_PLACES: Final[dict[Class, int]] = {"fact": 0, "mark": 1, "enforcement": 2}
_HOW: Final[dict[str, How]] = {
    "agrees": "agreeing",
    "looser": "looser",
    "stricter": "stricter",
    "declared": "declared",
}


class _Span:
    """What was seen of one account since the last `Decided`."""

    def __init__(self, begin: int) -> None:
        self.begin = begin
        self.decided = [0, 0, 0]
        self.failed = [0, 0, 0]
        self.failures: list[Failure] = []
        self.told = 0


class Sampler:
    """One worker's samples; `take` returns what is to be stored, in order."""

    def __init__(self, name: str, release: str) -> None:
        self._name, self.release = name, release
        self.is_on = False
        self._stage = ""
        self._spans: dict[int, _Span] = {}
        self._connected: dict[int, bool] = {}
        #: Accounts whose feed is still to be told of in this phase.
        self._unsaid: list[int] = []
        self._under_way = Goals()
        self._timed: list[tuple[int, int, int]] = []
        self._left = TIMED_MAX
        #: By account and seq: when it was told of, in which release, µs.
        self._waiting: dict[tuple[int, int], tuple[int, str, int]] = {}
        self._pairs: dict[int, list[tuple[int, int]]] = {}

    def take(self, entry: Entry, engine: Engine) -> list[Fact]:
        """Count a folded record, and return what is to be stored because of it."""
        if isinstance(entry.fact, RolloutStored):
            return self._switch(entry, entry.fact, engine)
        if not self.is_on:
            return []
        accounts = engine.world.accounts
        said: list[Told] = []
        self._count(entry, engine)
        match entry.fact:
            case FeedChanged(login=login):
                for number in sorted(accounts):
                    if accounts[number].login == login:
                        said += self._feed(accounts[number], entry.at)
                        self._under_way.look(accounts[number])
            case DecisionCompared() as compared:
                said += self._fired(compared, entry.at)
            case Timed() as timed:
                said += self._pair(timed, accounts, entry.at)
            case _:
                pass
        if entry.account in accounts:
            said += self._goals(accounts[entry.account], entry.at)
            if isinstance(entry.fact, RequestSent):
                self._under_way.sent(entry.fact, entry.at)
        facts = self._said(said, accounts)
        if isinstance(entry.fact, Pulse):
            facts += self._said(self._feeds(accounts, entry.at), accounts)
            facts += self._pulse(entry.at, accounts)
        return facts

    # --- on and off ---

    def _switch(self, entry: Entry, row: RolloutStored, engine: Engine) -> list[Fact]:
        """Begin or end with a rollout; at each new stage say again what is told once in a phase."""
        stage = row.latch.rsplit("/", 2)[-2] if row.latch.count("/") > 1 else ""
        if stage == self._stage:
            return []
        self._stage, is_on = stage, stage not in (*IDLE, "")
        accounts = engine.world.accounts
        if is_on != self.is_on:
            for kept in (self._spans, self._under_way, self._waiting, self._pairs):
                kept.clear()
            self._timed, self._left = [], TIMED_MAX
        self.is_on = is_on
        self._connected.clear()
        self._unsaid = sorted(accounts, reverse=True) if is_on else []
        return self._said(self._feeds(accounts, entry.at), accounts)

    def _said(self, said: Sequence[Told], accounts: dict[int, Account]) -> list[Fact]:
        """Return the samples that this worker is to tell, as they are stored."""
        return [
            self._stored(one)
            for one in said
            if not one.account or self._speaks(accounts.get(one.account))
        ]

    def _speaks(self, account: Account | None) -> bool:
        """Tell whether this worker tells of an account: its holder, or who decides beside it."""
        if account is None:
            return False
        return account.holder == self._name or account.release != self.release

    def _stored(self, one: Told) -> SampleTaken:
        return SampleTaken(account=one.account, release=self.release, body=sample.encode(one))

    # --- counting ---

    def _span(self, number: int, at: int) -> _Span:
        found = self._spans.get(number)
        if found is None:
            found = self._spans[number] = _Span(at)
        return found

    def _count(self, entry: Entry, engine: Engine) -> None:
        """Count the record for each account that decides on it, and what failed in it."""
        kind: Class
        if isinstance(entry.fact, BROKER_FACTS):
            kind, numbers = "fact", [entry.account]
        elif isinstance(entry.fact, MarkChanged):
            kind, numbers = "mark", sorted(engine.holders(entry.fact.contract))
        elif isinstance(entry.fact, RequestAnswered):
            kind, numbers = "enforcement", [entry.account]
        else:
            return
        place = _PLACES[kind]
        for number in numbers:
            span = self._span(number, entry.at)
            span.decided[place] += 1
            fault = fault_of(engine, number)
            if fault:
                span.failed[place] += 1
                if len(span.failures) < FAILURES_MAX:
                    nth = span.decided[place] - 1
                    span.failures.append(Failure(kind, fault, entry.at, entry.seq, nth))

    # --- other samples ---

    def _tell(self, number: int, at: int) -> None:
        self._span(number, at).told += 1

    def _feeds(self, accounts: dict[int, Account], at: int) -> list[Told]:
        """Tell of the next feeds that are to be told once in a phase, but not all at once."""
        said: list[Told] = []
        for _ in range(min(AT_ONCE, len(self._unsaid))):
            said += self._feed(accounts[self._unsaid.pop()], at)
        return said

    def _feed(self, account: Account, at: int) -> list[Told]:
        number = account.account
        if self._connected.get(number) == account.is_seen:
            return []
        self._connected[number] = account.is_seen
        self._tell(number, at)
        return [
            Connected(account=number, release=self.release, at=at, is_connected=account.is_seen)
        ]

    def _fired(self, compared: DecisionCompared, at: int) -> list[Told]:
        how, source = _HOW.get(compared.verdict), _SOURCES.get(compared.source)
        if compared.release != self.release or how is None or source is None:
            return []
        if source == "live":  # of the others a span does not say how many there were
            self._tell(compared.account, at)
        return [
            Fired(
                account=compared.account,
                release=self.release,
                at=at,
                rule=compared.rule,
                how=how,
                name=compared.declared,
                source=source,
            )
        ]

    def _goals(self, account: Account, at: int) -> list[Told]:
        """Tell of each contract whose plan is over: its target was reached, and proven."""
        said: list[Told] = []
        for goal in self._under_way.take(account):
            self._tell(account.account, at)
            said.append(
                Reached(
                    account=account.account,
                    release=self.release,
                    at=at,
                    goal=f"{goal.contract}:{goal.since}",
                    flaw=goal.flaw,
                )
            )
        return said

    # --- how long a record took ---

    def timed(self, entry: Entry, took_ns: int) -> None:
        """Take how long a record took to fold and decide here."""
        if self.is_on and self._left and isinstance(entry.fact, BROKER_FACTS):
            self._left -= 1
            self._timed.append((entry.account, entry.seq, took_ns // 1_000))

    def _pair(self, timed: Timed, accounts: dict[int, Account], at: int) -> list[Told]:
        """Put two releases' timings of one record together; ten pairs are a sample."""
        said: list[Told] = []
        for number, seq, took_us in timed.rows:
            key = (number, seq)
            other = self._waiting.get(key)
            if other is None:
                self._waiting[key] = (at, timed.release, took_us)
            elif other[1] != timed.release and self.release in (other[1], timed.release):
                del self._waiting[key]
                mine = timed.release == self.release
                pair = (took_us, other[2]) if mine else (other[2], took_us)
                said += self._paired(number, pair, at) if number in accounts else []
        for key in [key for key, one in self._waiting.items() if at - one[0] > PAIRED_WITHIN_NS]:
            del self._waiting[key]
        return said

    def _paired(self, number: int, pair: tuple[int, int], at: int) -> list[Told]:
        pairs = self._pairs.setdefault(number, [])
        pairs.append(pair)
        if len(pairs) < PAIRS:
            return []
        del self._pairs[number]
        self._tell(number, at)
        ours, theirs = zip(*pairs, strict=True)
        return [Latencies(account=number, release=self.release, at=at, ours=ours, theirs=theirs)]

    # --- a pulse ---

    def _pulse(self, at: int, accounts: dict[int, Account]) -> list[Fact]:
        """Tell what was timed, and end the spans that are long enough."""
        rows = tuple(row for row in self._timed if self._times(accounts.get(row[0])))
        facts: list[Fact] = []
        if rows:
            facts.append(Timed(release=self.release, holder=self._name, rows=rows))
        self._timed, self._left = [], TIMED_MAX
        for number in self._due(accounts, at):
            ended = self._ended(number, at)
            if self._speaks(accounts[number]):
                facts.append(self._stored(ended))
        return facts

    def _due(self, accounts: dict[int, Account], at: int) -> list[int]:
        """Return whose spans are long enough, of many those that began first."""
        due = [number for number in sorted(accounts) if self._is_long(number, at)]
        due.sort(key=lambda number: self._spans[number].begin)
        return due[:AT_ONCE]

    def _is_long(self, number: int, at: int) -> bool:
        span = self._span(number, at)
        is_quiet = not any(span.decided) and not span.told
        return at - span.begin >= SPAN_NS[is_quiet]

    def _times(self, account: Account | None) -> bool:
        """Tell whether this worker's timing of an account counts: the holder's, or the first's."""
        if account is None:
            return False
        if account.release == self.release:
            return account.holder == self._name
        return self._name.startswith("worker-1")

    def _ended(self, number: int, at: int) -> Decided:
        span, self._spans[number] = self._spans[number], _Span(at)
        facts, marks, attempts = span.decided
        return Decided(
            account=number,
            release=self.release,
            begin=span.begin,
            end=at,
            decided=(facts, marks, attempts),
            failed=(span.failed[0], span.failed[1], span.failed[2]),
            failures=tuple(span.failures),
            told=span.told,
        )


def fault_of(engine: Engine, number: int) -> str:
    """Name what the release failed on at the newest record of an account; empty if on nothing."""
    if number in engine.poisoned:
        return f"poison: {engine.poisoned[number].why[:FINGERPRINT]}"
    doubts = engine.world.accounts[number].doubts
    return next(
        (
            f"{name}: {doubts[name].why[:FINGERPRINT]}"
            for name in sorted(doubts)
            if name.startswith("rule:") and RAISED in doubts[name].why
        ),
        "",
    )


def once_of(fact: Fact, seq: int) -> str:
    """Name what two workers of a release may say at a record, so that it is stored once."""
    if isinstance(fact, SampleTaken):
        return f"{fact.release}:{fact.account}:{seq}:{sample.name_of(fact.body)}"
    return ""
