"""Two releases on one stream, in one process: the holder's decisions come back as records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from risk_daemon.core.account import Account
from risk_daemon.core.decision import Breach, Finding, Quiet
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import (
    DecisionCompared,
    DrainAsked,
    Entry,
    Fact,
    FeedChanged,
    Intended,
    LeaseGranted,
    Pulse,
    RequestAnswered,
    RequestSent,
    RequestSettled,
    RuleSetting,
    ShadowReseeded,
)
from risk_daemon.core.instrument import UNIT
from risk_daemon.core.world import Parser, Rule, World
from risk_daemon.rules import CATALOG
from risk_daemon.rules.common import Common
from risk_daemon.rules.declared import Declared
from risk_daemon.wire.view import projection
from risk_daemon.worker import recovery
from risk_daemon.worker.differing import LIVE, Comparer, once_of
from risk_daemon.worker.speech import once_of as said_once
from risk_daemon.worker.view import view_of
from tests.build import (
    ACCOUNT,
    GRIDS,
    LOGIN,
    MS,
    SECOND,
    WEDNESDAY_RESET,
    WEDNESDAY_TEN,
    contract,
    contract_seen,
    policy,
    position,
    reading,
    rule,
    trade,
)

OLD, NEW = "v1.2.0", "v1.3.0"
Change = Callable[[Rule], Rule]


def changed(name: str, how: Change) -> Mapping[str, Parser]:
    """The rules of a release in which one is made otherwise."""
    return {**CATALOG, name: lambda params: how(CATALOG[name](params))}


def limit(by: int) -> Change:
    """Move a rule's limit by so much."""

    def move(rule: Rule) -> Rule:
        found: Any = rule
        if isinstance(found, Common):
            return msgspec.structs.replace(found, inner=move(found.inner))
        return msgspec.structs.replace(found, limit=found.limit + by)  # type: ignore[no-any-return]

    return move


class Side:
    """One worker of the candidate."""

    def __init__(self, catalog: Mapping[str, Parser], declared: tuple[Declared, ...]) -> None:
        self.engine = Engine(catalog, release=NEW)
        self.comparer = Comparer(NEW, declared, source=LIVE)

    def take(self, entry: Entry) -> list[Fact]:
        return self.comparer.take(entry, self.engine.step(entry), self.engine)


class Two:
    """The stream: whatever is put in is followed by what the holder decides, a ms apart."""

    def __init__(
        self, catalog: Mapping[str, Parser] = CATALOG, *declared: Declared, workers: int = 2
    ) -> None:
        self.catalog, self.declared = catalog, declared
        self.holder = Engine(CATALOG, release=OLD)
        self.sides = [Side(catalog, declared) for _ in range(workers)]
        self.entries: list[Entry] = []
        self.at = WEDNESDAY_TEN
        self.request = 0
        #: Nothing is said of what the holder decides.
        self.is_mute = False
        #: Of these kinds nothing is said either.
        self.unsaid: tuple[type[Fact], ...] = ()
        #: Re-seeds do not get into the stream.
        self.is_deaf = False
        #: What the holder says is stored after the next fact from elsewhere.
        self.is_late = False
        self._late: list[Fact] = []
        #: Goals are stored before the findings they follow from.
        self.goals_first = False
        self._once: set[str] = set()
        self._trade = 0

    # --- what came of it ---

    @property
    def found(self) -> list[DecisionCompared]:
        facts = (entry.fact for entry in self.entries)
        return [fact for fact in facts if isinstance(fact, DecisionCompared)]

    @property
    def verdicts(self) -> list[str]:
        return [one.verdict for one in self.found]

    @property
    def reseeds(self) -> list[ShadowReseeded]:
        facts = (entry.fact for entry in self.entries)
        return [fact for fact in facts if isinstance(fact, ShadowReseeded)]

    @property
    def candidate(self) -> Account:
        return self.sides[0].engine.world.accounts[ACCOUNT]

    @property
    def overruled(self) -> list[str]:
        """What the candidate holds back."""
        shadow = self.candidate.shadow
        return shadow.overruled if shadow is not None else []

    @property
    def facts_at(self) -> int:
        """When the broker last told of the account."""
        return self.candidate.last_fact_at

    @property
    def forced(self) -> list[str]:
        """The locks that the candidate took over."""
        shadow = self.candidate.shadow
        return shadow.forced if shadow is not None else []

    def shown(self, engine: Engine) -> dict[str, str]:
        return projection(view_of(engine, engine.world.accounts[ACCOUNT], "anyone"))

    @property
    def is_alike(self) -> bool:
        """Both see the account alike: a move would be made."""
        return self.shown(self.holder) == self.shown(self.sides[0].engine)

    # --- the stream ---

    def feed(self, *facts: Fact, after: int = MS) -> None:
        """Append facts, each followed by what is said because of it."""
        for fact in facts:
            late, self._late = self._late, []
            self.put(fact, after)
            for one in late:
                self.put(one)

    def put(self, fact: Fact, after: int = MS) -> None:
        once = once_of(fact) or _once(fact)
        if once and once in self._once:
            return
        self._once.add(once) if once else None
        self.at += after
        entry = Entry(len(self.entries) + 1, self.at, getattr(fact, "account", 0), fact)
        self.entries.append(entry)
        said = self.holder.step(entry)
        said = [one for one in said if not isinstance(one, self.unsaid)]
        if self.goals_first:
            said.sort(key=lambda one: not isinstance(one, Intended))
        compared = [one for side in self.sides for one in side.take(entry)]
        if self.is_deaf:
            compared = [one for one in compared if not isinstance(one, ShadowReseeded)]
        said = said if self.holds() and not self.is_mute else []
        if self.is_late:
            self._late += said
            said = []
        for one in (*compared, *said):
            self.put(one)

    def next_entry(self, fact: Fact) -> Entry:
        """The record a fact would have next."""
        return Entry(len(self.entries) + 1, self.at + MS, getattr(fact, "account", 0), fact)

    def holds(self) -> bool:
        account = self.holder.world.accounts.get(ACCOUNT)
        return account is not None and account.release == OLD

    def pulse(self, seconds: int = 1) -> None:
        """Let time pass, second by second; wishes to be woken are served."""
        for _ in range(seconds):
            until = self.at + SECOND
            while (wake := self._wake()) and wake < until:
                self.put(Pulse(), max(wake - self.at, 0))
            self.put(Pulse(), until - self.at)

    def _wake(self) -> int:
        engines = [self.holder, *(side.engine for side in self.sides)]
        times = [engine.wake_at() for engine in engines]
        times += [side.comparer.wake_at() for side in self.sides]
        return min((time for time in times if time), default=0)

    def restart(self, which: int = 0) -> list[Fact]:
        """Have a worker fold everything anew; return what it says that was never said before."""
        self.sides[which] = side = Side(self.catalog, self.declared)
        said = [one for entry in self.entries for one in side.take(entry)]
        return [one for one in said if (once_of(one) or "?") not in self._once]

    def next_day(self) -> None:
        """Let the day turn; the time between is slept."""
        self.pulse(2)
        self.put(Pulse(), WEDNESDAY_RESET + SECOND - self.at)

    def resume(self) -> None:
        """Have the candidate's workers go on from a snapshot made here."""
        for side in self.sides:
            world = recovery.restore(recovery.take(side.engine.world, NEW))
            assert world is not None
            side.engine.adopt(world)
            side.comparer = Comparer(NEW, self.declared, source=LIVE)

    # --- what happens ---

    def open(self, *rules: RuleSetting) -> Two:
        self.feed(*(contract_seen(root) for root in GRIDS))
        self.feed(policy(*rules))
        self.feed(FeedChanged(login=LOGIN, state="trusted"), lease(1), reading())
        self.feed(Pulse())
        return self

    def fill(self, side: int, size: int, root: str = "MNQ", **more: Any) -> None:
        """A fill, as the broker tells of it."""
        account = self.holder.world.accounts[ACCOUNT]
        after = account.holding(contract(root)).by_position + side * size
        self._trade += 1
        more.setdefault("traded_at", self.at)
        self.feed(trade(self._trade, side, size, contract=contract(root), **more))
        self.feed(position(after, root))

    def goals(self) -> list[Intended]:
        """The holder's goals that close, newest last."""
        facts = (entry.fact for entry in self.entries)
        return [one for one in facts if isinstance(one, Intended) and one.goal.act != "look"]

    @property
    def is_open(self) -> bool:
        """The holder's newest goal has not been carried out."""
        goal = self.goals()[-1]
        account = self.holder.world.accounts[ACCOUNT]
        slot = account.slots.get(goal.goal.contract)
        return slot is not None and slot.key == goal.key and goal.goal.act != "cancel"

    def answered(self) -> None:
        """The holder's newest goal leaves, is filled, and a read confirms it."""
        goal = self.goals()[-1]
        self.request += 1
        number = f"r{self.request}"
        given = {"account": ACCOUNT, "key": goal.key, "request": number}
        what = {"contract": goal.goal.contract, "order": 0, "act": goal.goal.act}
        self.feed(RequestSent(size=1, epoch=1, **given, **what))  # type: ignore[arg-type]
        self.feed(RequestAnswered(outcome="accepted", **given))  # type: ignore[arg-type]
        account = self.holder.world.accounts[ACCOUNT]
        held = account.holding(goal.goal.contract).by_position
        excess = abs(held) - goal.goal.allowed
        if excess > 0:
            self.fill(-1 if held > 0 else 1, excess, pnl=0)
        self.feed(RequestSettled(how="filled", **given, **what))  # type: ignore[arg-type]
        rows = [position(account.holding(contract("MNQ")).by_position)]
        self.feed(reading(*rows, began_at=self.at + 1))


def lease(epoch: int, release: str = OLD, holder: str = "") -> LeaseGranted:
    return LeaseGranted(
        account=ACCOUNT,
        holder=holder or f"worker-1@{release}",
        release=release,
        epoch=epoch,
        incarnation=1,
    )


def drain(for_ms: int = 1_000) -> DrainAsked:
    return DrainAsked(
        account=ACCOUNT, holder=f"worker-1@{OLD}", epoch=1, release=NEW, for_ms=for_ms
    )


def _once(fact: Fact) -> str:
    if isinstance(fact, Intended):
        return f"key:{fact.key}"
    return said_once(fact)


class Renamed:
    """A rule of another priority."""

    def __init__(self, rule: Rule, priority: int) -> None:
        self._rule = rule
        self.name, self.priority, self.reads = rule.name, priority, rule.reads

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        return self._rule.quiet(world, account)

    def check(self, world: World, account: Account) -> Finding:
        return self._rule.check(world, account)


class Poisonous(Renamed):
    """A rule whose finding nobody can weigh."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(rule, rule.priority)

    def check(self, world: World, account: Account) -> Finding:
        found = super().check(world, account)
        return None if isinstance(found, Breach) else found  # type: ignore[return-value]


SIZE = rule("max-contracts", limit=2)
LOSS = rule("daily-realized-loss", limit="500")
BARRED = rule("daily-realized-loss", limit="500", lockout="admin")
HIGHER = changed("max-contracts", limit(UNIT))
LOWER = changed("max-contracts", limit(-UNIT))
LATER = changed("daily-realized-loss", limit(100 * UNIT))
EARLIER = changed("daily-realized-loss", limit(-100 * UNIT))


def two(catalog: Mapping[str, Parser] = CATALOG, *declared: Declared) -> Two:
    return Two(catalog, *declared).open(rule("kill-switch"), SIZE, LOSS)


def alerting(catalog: Mapping[str, Parser] = CATALOG) -> Two:
    return Two(catalog).open(rule("max-contracts", "alert", limit=2))
