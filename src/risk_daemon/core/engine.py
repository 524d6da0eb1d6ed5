"""step(world, entry) -> facts to append. One record at a time, in the order of the stream.

Per account: time that is due, then the fact, then every rule, then one merged
target, then the executor. A worker is a deterministic function of the stream:
active, standby and replay give the same outputs bit for bit, and `digest`
chains over them.

Records that the daemon itself writes about its decisions (intents, locks,
breaches, alarms, hashes) come back in the stream and are inert: the state
changed when they were decided. They may be missing (replay) or come from an
older epoch (fail-over) without any difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from risk_daemon.core import account as fold
from risk_daemon.core import doubt, executor, lockout, reseed, session, shadow, standing
from risk_daemon.core import marks as market
from risk_daemon.core.account import POLLING, Account, Doubt
from risk_daemon.core.decision import (
    NO_NEW_ENTRY,
    REDUCE_ONLY,
    Clear,
    Finding,
    Quiet,
    Target,
    Undecided,
    lock_target,
    merge,
    scoped_lock_target,
)
from risk_daemon.core.events import (
    AccountMissing,
    AccountSeen,
    AlarmRaised,
    BreachFound,
    ContractSeen,
    DrainAsked,
    Entry,
    Fact,
    FeedChanged,
    GoalRefused,
    HashTaken,
    HighWaterKept,
    Intended,
    LeaseGranted,
    LockEnded,
    LockPlaced,
    MarkChanged,
    OperatorActed,
    OrderChanged,
    PolicyAdopted,
    PositionChanged,
    PrintSeen,
    Probed,
    Pulse,
    QuoteAged,
    Reconciled,
    RecordQuarantined,
    RequestAnswered,
    RequestSent,
    RequestSettled,
    RuleSetting,
    ShadowReseeded,
    TradeSeen,
    Unknown,
)
from risk_daemon.core.incident import alarm, end_lock, held_now, stand, weigh
from risk_daemon.core.instrument import Instrument
from risk_daemon.core.lockout import Lock
from risk_daemon.core.quiet import WIDEST, Span, narrower, together
from risk_daemon.core.standing import Standing
from risk_daemon.core.world import Parser, Rule, World, seal

#: Time and prices touch many accounts and are counted by none.
_OF_NO_ACCOUNT: Final = (Pulse, MarkChanged, PrintSeen)
#: Written by the daemon about its own decisions: no news to it.
OWN: Final = (Intended, BreachFound, AlarmRaised, HashTaken, LockEnded, *shadow.KINDS)
INERT: Final = (*OWN, DrainAsked, Probed)
#: What the broker shows of one account while it trades: most records.
_OF_ONE: Final = frozenset({OrderChanged, PositionChanged, TradeSeen, AccountSeen})
#: Changes nothing that a quote is judged by, as long as the rules' own quiet prices are the same.
_OF_NO_HOLDING: Final = frozenset({OrderChanged, AccountSeen})
_SHOWS: Final = (AccountSeen, OrderChanged, PositionChanged, TradeSeen)


class Poison(NamedTuple):
    """A record that could not be folded: which, and what it led to."""

    seq: int
    why: str


class Engine:
    """The rules of all accounts, and `step`. Holds nothing that is not in the stream."""

    def __init__(
        self,
        catalog: Mapping[str, Parser],
        world: World | None = None,
        *,
        release: str = "",
        asks_always: bool = False,
    ) -> None:
        self.catalog = catalog
        #: The release that decides here; empty where nobody asks who holds an account.
        self.release = release
        self._asks_always = asks_always
        self.world = World()
        #: Accounts with a record that could not be folded here; never part of the state.
        self.poisoned: dict[int, Poison] = {}
        self._rules: dict[int, list[tuple[RuleSetting, Rule]]] = {}
        self._waits: list[int] = []
        self._held: dict[int, tuple[str, ...]] = {}
        self._holders: dict[str, set[int]] = {}
        #: What follows from the state and is made anew when it changed; never part of it.
        self._standing: dict[int, Standing] = {}
        self._quiet: dict[int, dict[str, Quiet] | None] = {}
        self._spans: dict[str, Span | None] = {}
        self._stirred: set[int] = set()
        self._due_at: int | None = None
        self.adopt(world or World())

    def adopt(self, world: World) -> None:
        """Go on from a state that was restored."""
        self.world = world
        self.poisoned = {}
        self._rules, self._held, self._holders = {}, {}, {}
        self._standing, self._quiet, self._spans = {}, {}, {}
        self._stirred, self._due_at = set(), None
        for account in world.accounts.values():
            self._index(account)

    def holders(self, contract: str) -> set[int]:
        """Return the accounts that hold a contract: whom its quotes concern."""
        return self._holders.get(contract, set())

    def step(self, entry: Entry) -> list[Fact]:
        """Fold one record; return what it makes necessary, in a fixed order."""
        world = self.world
        world.seq, world.at = entry.seq, entry.at
        if type(entry.fact) in _OF_ONE and entry.account:
            return self._one(entry, entry.account)
        match entry.fact:
            case MarkChanged() as quote:
                return self._quoted(entry, quote)
            case Pulse():
                return self._pulse(entry)
            case PrintSeen() | QuoteAged() | ContractSeen():
                return self._of_market(entry, entry.fact)
            case FeedChanged() as feed:
                return self._feed(entry, feed)
            case OperatorActed(account=0):
                return self._each(entry)
            case Unknown(kind=kind):
                world.unknown_kinds[kind] = world.unknown_kinds.get(kind, 0) + 1
                return self._unknown(entry, kind)
            case _:
                pass
        if self.release and isinstance(entry.fact, shadow.HEARD):
            self._hear(entry)
        if isinstance(entry.fact, INERT) or not entry.account:
            return []
        return self._one(entry, entry.account)

    def _hear(self, entry: Entry) -> None:
        """Take what the holder of another release says, and what it means for this one."""
        account = self.world.accounts.get(entry.account)
        if account is None or account.shadow is None or account.account in self.poisoned:
            return
        match entry.fact:
            case ShadowReseeded(release=self.release):
                reseed.reseed(account, account.shadow, entry.seq, entry.at)
            case fact:
                shadow.hear(account, account.shadow, fact, self.release)
        self._standing.pop(account.account, None)
        self._disturbed(account)

    # --- which accounts a record touches ---

    def _of_market(self, entry: Entry, seen: PrintSeen | QuoteAged | ContractSeen) -> list[Fact]:
        match seen:
            case PrintSeen():
                return self._printed(entry, seen)
            case QuoteAged():
                return self._aged(seen)
            case _:
                self.world.instruments[seen.contract] = Instrument(
                    seen.contract, seen.root, seen.tick_size, seen.tick_value
                )
                self._standing, self._quiet, self._spans = {}, {}, {}
                return []

    def _market(self, contract: str) -> market.Market:
        found = self.world.markets.get(contract)
        if found is None:
            found = self.world.markets[contract] = market.Market()
        return found

    def _quoted(self, entry: Entry, quote: MarkChanged) -> list[Fact]:
        if quote.bid is None and quote.ask is None and quote.last is None:
            return self._withdraw(quote.contract)
        here = self._market(quote.contract)
        grid = self.world.instruments.get(quote.contract)
        if not market.take_quote(here, quote, grid, entry.at):
            return []
        return self._marked(entry, quote.contract)

    def _withdraw(self, contract: str) -> list[Fact]:
        """Nobody follows the contract any more: an old mark must not value a new position."""
        self.world.markets.pop(contract, None)
        self.world.marks.pop(contract, None)
        for number in self.holders(contract):
            self._standing.pop(number, None)
            self._disturbed(self.world.accounts[number])
        return []

    def _printed(self, entry: Entry, seen: PrintSeen) -> list[Fact]:
        if not market.take_print(self._market(seen.contract), seen.price):
            return []
        return self._marked(entry, seen.contract)

    def _marked(self, entry: Entry, contract: str) -> list[Fact]:
        """The valid mark moved: ask the rules of every account that holds the contract."""
        valid = self.world.markets[contract].valid
        assert valid is not None
        self.world.marks[contract] = valid
        if self._is_quiet(contract, valid, entry.at):
            return []
        outputs: list[Fact] = []
        for number in sorted(self.holders(contract)):
            outputs += self._one(entry, number)
        return outputs

    def _is_quiet(self, contract: str, mark: MarkChanged, at: int) -> bool:
        """Tell whether a mark changes no decision of any holder: nothing due, within all spans."""
        if self._asks_always:
            return False
        if self._stirred:
            self._look_at_the_stirred()
        if contract not in self._spans:
            self._spans[contract] = self._span(contract)
        if self._due_at is None:
            self._due_at = self.wake_at()
        span = self._spans[contract]
        return span is not None and (not self._due_at or at < self._due_at) and span.holds(mark)

    def _span(self, contract: str) -> Span | None:
        bid = ask = WIDEST
        for number in self.holders(contract):
            account = self.world.accounts[number]
            if number not in self._quiet:
                self._quiet[number] = self._quiet_of(account)
            mine = self._quiet[number]
            if mine is None:
                return None
            found = mine.get(contract, WIDEST)
            if account.holdings[contract].exposure > 0:
                bid = narrower(bid, found)
            else:
                ask = narrower(ask, found)
        return Span(bid, ask)

    def _look_at_the_stirred(self) -> None:
        """Forget what was quiet for an account unless its rules still name the same prices."""
        for number in sorted(self._stirred):
            stands = self._standing.get(number)
            account = self.world.accounts[number]
            if stands is None or not standing.is_as_quiet(stands, self.world, account):
                self._moved(account)
        self._stirred.clear()

    def _quiet_of(self, account: Account) -> dict[str, Quiet] | None:
        """Join what the rules of a calm account say; while anything is open every quote asks."""
        stands = self._standing.get(account.account)
        if stands is None or not all(held.agreed for held in account.holdings.values()):
            return None
        return together(standing.quiet_of(one, self.world, account) for one in stands.all)

    def _disturbed(self, account: Account) -> None:
        """An account's state moved: what was quiet for it may not be any more."""
        self._due_at = None
        self._moved(account)

    def _moved(self, account: Account) -> None:
        before = self._held.get(account.account, ())
        self._index(account)
        self._quiet.pop(account.account, None)
        for name in (*before, *self._held[account.account]):
            self._spans.pop(name, None)

    def _aged(self, aged: QuoteAged) -> list[Fact]:
        """A stale contract keeps its last mark, and who holds it is told."""
        self.world.aged[aged.contract] = aged.state
        if aged.state != "stale":
            return []
        text = f"{aged.contract} has no quote that can be relied on: {aged.why or 'silent'}"
        outputs: list[Fact] = []
        for number in sorted(self.holders(aged.contract)):
            account = self.world.accounts[number]
            outputs += seal(account, [alarm(account, "warn", "stale quote", text)])
        return outputs

    def _index(self, account: Account) -> None:
        """Keep who holds what, so that a quote asks only the accounts it concerns."""
        held = tuple(name for name, one in account.holdings.items() if not one.is_flat)
        before = self._held.get(account.account)
        if held == before:
            return
        self._held[account.account] = held
        for name in before or ():
            self._holders[name].discard(account.account)
        for name in held:
            self._holders.setdefault(name, set()).add(account.account)

    def _pulse(self, entry: Entry) -> list[Fact]:
        outputs: list[Fact] = []
        for contract in sorted(self.world.markets):
            if market.due(self.world.markets[contract], entry.at):
                outputs += self._marked(entry, contract)
        for number in sorted(self.world.accounts):
            account = self.world.accounts[number]
            if account.wake_at and account.wake_at <= entry.at:
                outputs += self._one(entry, number)
        return outputs

    def _feed(self, entry: Entry, feed: FeedChanged) -> list[Fact]:
        self.world.feeds[feed.login] = feed.state
        outputs: list[Fact] = []
        for number in sorted(self.world.accounts):
            if self.world.accounts[number].login == feed.login:
                outputs += self._one(entry, number)
        return outputs

    def _each(self, entry: Entry) -> list[Fact]:
        outputs: list[Fact] = []
        for number in sorted(self.world.accounts):
            outputs += self._one(entry, number)
        return outputs

    def _unknown(self, entry: Entry, kind: str) -> list[Fact]:
        """A lock that a newer release wrote counts as the strictest one."""
        if "lock" not in kind or entry.account not in self.world.accounts:
            return []
        account = self.world.accounts[entry.account]
        name = f"unknown:{entry.seq}"
        placed = LockPlaced(
            account=entry.account,
            lock=name,
            rule=kind,
            mode=kind,
            began_at=entry.at,
            until=None,
            reason=f"a newer release placed {kind!r}, which this one does not know",
        )
        stand(account, placed, entry.seq, {})
        return seal(account, self._decide(account, entry))

    def _one(self, entry: Entry, number: int) -> list[Fact]:
        """Take one record for one account; what cannot be folded costs that account alone."""
        if number in self.poisoned:
            return []
        try:
            return self._take(entry, number)
        except Exception as error:  # noqa: BLE001 - whatever it was, the other accounts go on
            self._quarantine(number, entry, error)
            return []

    def _quarantine(self, number: int, entry: Entry, error: Exception) -> None:
        """A record was folded by half: nothing of this account may be believed or decided here."""
        self.poisoned[number] = Poison(entry.seq, f"{type(error).__name__}: {error}"[:200])
        account = self.world.accounts.setdefault(number, Account(account=number))
        account.wake_at = 0
        for name in self._held.pop(number, ()):
            self._holders[name].discard(number)
            self._spans.pop(name, None)
        self._standing.pop(number, None)
        self._quiet.pop(number, None)
        self._stirred.discard(number)
        self._due_at = None

    def _take(self, entry: Entry, number: int) -> list[Fact]:
        account = self.world.accounts.get(number)
        if account is None:
            account = self.world.accounts[number] = Account(account=number)
        if not isinstance(entry.fact, _OF_NO_ACCOUNT):
            account.records += 1
        if isinstance(entry.fact, LockPlaced):
            if entry.fact.lock in account.lock_names:
                account.records -= 1
                return []
            stand(account, entry.fact, entry.seq, {})
            account.locks[entry.fact.lock].is_unmeasured = True
            if account.shadow is not None:
                shadow.force(account.shadow, entry.fact.lock)
        outputs = self._due(account, entry.at)
        outputs += self._fold(account, entry)
        if self._stands(account, entry):
            return []
        outputs += self._decide(account, entry)
        self._disturbed(account)
        return seal(account, outputs)

    def _stands(self, account: Account, entry: Entry) -> bool:
        """Ask those whom a record concerns; tell whether nothing is to be decided."""
        stands = self._standing.pop(account.account, None)
        if stands is None or entry.at >= account.wake_at:
            return False
        asked = standing.concerned(stands, account, entry.fact)
        if asked is None:
            return False
        found = standing.ask(self.world, account, asked)
        if found is None:
            return False
        self._standing[account.account] = stands
        if standing.keep(account, asked, found):
            account.wake_at = standing.wake_at(stands, account, entry.at)
            self._due_at = None
        if type(entry.fact) in _OF_NO_HOLDING:
            self._stirred.add(account.account)
        else:
            self._moved(account)
        return True

    # --- time ---

    def _due(self, account: Account, at: int) -> list[Fact]:
        outputs: list[Fact] = []
        if account.next_reset and at >= account.next_reset:
            for contract in fold.roll_day(account, at, self.world.marks, self.world.instruments):
                text = f"{contract} is carried into {account.trade_date} without a settlement mark"
                outputs.append(alarm(account, "warn", "no settlement mark", text))
            if account.policy and not session.is_known(account.policy.calendar, at):
                text = f"the calendar {account.policy.calendar} ends before {account.trade_date}"
                outputs.append(alarm(account, "urgent", "calendar ended", text))
        return outputs

    def _end_locks(self, account: Account, at: int) -> list[Fact]:
        """End what is over; an unknown account or a blind feed ends nothing."""
        if not self._is_sure(account):
            return []
        over = [
            name
            for name in sorted(account.locks)
            if lockout.is_over(account.locks[name], at, is_flat=self._is_flat(account, name))
        ]
        for name in sorted(account.acts):
            until = account.acts[name].until
            if until is not None and at >= until and f"kill-switch:{name}" not in account.locks:
                del account.acts[name]
        outputs = [end_lock(account, name, "its time is over") for name in over]
        return outputs + doubt.end_platform_lock(self.world, account)

    def _is_flat(self, account: Account, name: str) -> bool:
        """Tell whether nothing is held in the roots that a lock covers."""
        lock = account.locks[name]
        return all(
            held.is_flat or not lockout.covers(lock, self._root(contract))
            for contract, held in account.holdings.items()
        )

    def _root(self, contract: str) -> str:
        grid = self.world.instruments.get(contract)
        return grid.root if grid else ""

    def _is_sure(self, account: Account) -> bool:
        return account.pnl_is_known and account.is_seen

    def _next_wake(self, account: Account, at: int) -> int:
        found = executor.wakes(account)
        found.append(account.next_reset)
        ends = [lock.placed.until for lock in account.locks.values()]
        ends += [act.until for act in account.acts.values()]
        found += [until for until in ends if until is not None]
        found += doubt.wakes(account)
        found += self._waits
        return min((instant for instant in found if instant > at), default=0)

    def wake_at(self) -> int:
        """Return the earliest instant any account waits for, 0 for none."""
        waits = [a.wake_at for a in self.world.accounts.values() if a.wake_at]
        waits += [due for one in self.world.markets.values() if (due := market.wake_at(one))]
        return min(waits, default=0)

    # --- folding ---

    def _fold(self, account: Account, entry: Entry) -> list[Fact]:
        fact, seq, at = entry.fact, entry.seq, entry.at
        match fact:
            case OrderChanged():
                fold.fold_order(account, fact, at)
                executor.wake_for_news(account, fact.contract)
            case PositionChanged():
                fold.fold_position(account, fact, seq, at)
                executor.wake_for_news(account, fact.contract)
            case TradeSeen():
                grid = self.world.instruments.get(fact.contract)
                fold.fold_trade(account, fact, grid, seq, at)
                executor.wake_for_news(account, fact.contract)
            case AccountSeen():
                fold.fold_account(account, fact, at)
            case AccountMissing():
                fold.fold_missing(account, at)
            case PolicyAdopted():
                return self._adopt(account, fact, at)
            case Reconciled():
                return self._reconciled(account, fact, seq, at)
            case FeedChanged():
                account.feed = fact.state
            case RecordQuarantined():
                return self._quarantined(account, fact, at)
            case LeaseGranted():
                return self._leased(account, fact, entry)
            case OperatorActed():
                return self._operator(account, fact)
            case HighWaterKept():
                fold.fold_high_water(account, fact)
            case GoalRefused() | RequestSent() | RequestAnswered() | RequestSettled():
                executor.note(account, fact, at)
            case _:
                pass
        if isinstance(fact, _SHOWS):
            account.last_fact_at = at
        return []

    def _adopt(self, account: Account, fact: PolicyAdopted, at: int) -> list[Fact]:
        if account.policy is not None and account.policy.digest == fact.digest:
            return []
        account.policy = fact
        account.login = account.login or fact.login
        account.name = account.name or fact.name
        account.feed = self.world.feeds.get(fact.login, account.feed)
        # No change of limits flattens by itself: a rule acts after its condition was false once.
        account.unarmed = sorted(
            setting.rule for setting in fact.rules if setting.rule != "kill-switch"
        )
        fold.begin_day(account, at)
        self._rules.pop(account.account, None)
        return []

    def _reconciled(self, account: Account, fact: Reconciled, seq: int, at: int) -> list[Fact]:
        outputs: list[Fact] = []
        differences = fold.fold_reconciled(account, fact, self.world.instruments, seq, at)
        if account.feed != POLLING:  # where reads are the only news, to differ is no repair
            outputs += [alarm(account, "warn", "view repaired", text) for text in differences]
        account.last_fact_at = at
        if fact.stable:
            _measure(account)
            account.doubts.pop("quarantine", None)
            executor.note_read(account, fact.began_at)
            for contract in sorted(account.plans):
                executor.wake_for_news(account, contract)
        return outputs

    def _quarantined(self, account: Account, fact: RecordQuarantined, at: int) -> list[Fact]:
        """One message could not be believed: until the next read something is unknown."""
        account.doubts.setdefault("quarantine", Doubt(since=at, why=fact.why, is_alarmed=True))
        text = f"a message of {fact.source} was set aside: {fact.why}"
        return [alarm(account, "urgent", "message quarantined", text)]

    def _leased(self, account: Account, fact: LeaseGranted, entry: Entry) -> list[Fact]:
        account.epoch, account.holder, account.release = fact.epoch, fact.holder, fact.release
        shadow.leased(account, self.release)
        outputs: list[Fact] = [account.locks[name].placed for name in sorted(account.locks)]
        return outputs + executor.again(account, self._scene(account, entry, Target()))

    def _operator(self, account: Account, fact: OperatorActed) -> list[Fact]:
        if fact.act == "confirm":
            account.unarmed = []
            return [
                end_lock(account, name, f"confirmed by {fact.by}: {fact.reason}")
                for name in sorted(account.locks)
                if name.startswith("unarmed:")
            ]
        if fact.act == "unlock":
            account.acts = {}
            return [
                end_lock(account, name, f"ended by {fact.by}: {fact.reason}")
                for name in sorted(account.locks)
                if _waits_for_a_person(account.locks[name].placed)
            ]
        account.acts[fact.act_id] = fact
        return []

    # --- deciding ---

    def rules_of(self, account: Account) -> list[tuple[RuleSetting, Rule]]:
        """Return the account's rules, built once per adopted policy."""
        found = self._rules.get(account.account)
        if found is None:
            settings = account.policy.rules if account.policy else ()
            found = [(s, self.catalog[s.rule](s.params)) for s in settings]
            found.sort(key=lambda pair: (pair[1].priority, pair[0].rule))
            self._rules[account.account] = found
        return found

    def _decide(self, account: Account, entry: Entry) -> list[Fact]:
        if account.policy is None:
            return []
        outputs = doubt.platform(self.world, account)
        outputs += self._end_locks(account, entry.at)
        targets: list[Target] = []
        primary = ""
        self._waits = []
        findings: list[Finding] = []
        for setting, rule in self.rules_of(account):
            finding = self._check(account, rule, entry.at)
            findings.append(finding)
            found, wanted = weigh(account, setting, finding, self.world)
            outputs += found + self._remember(account, rule, finding, entry)
            targets += wanted
            if wanted:
                primary = primary or setting.rule
        outputs += doubt.doubts(self.world, account)
        outputs += self._read_balance(account, entry)
        outputs += self._act(account, entry, targets, primary)
        account.wake_at = self._next_wake(account, entry.at)
        self._let_stand(account, findings)
        return outputs

    def _let_stand(self, account: Account, findings: list[Finding]) -> None:
        """Keep what everybody found where it will stand; nobody is left out by the oracle."""
        self._standing.pop(account.account, None)
        if self._asks_always:
            return
        found = standing.standing(account, self.rules_of(account), findings)
        if found is not None:
            self._standing[account.account] = found

    def _remember(self, account: Account, rule: Rule, finding: Finding, entry: Entry) -> list[Fact]:
        """Keep what a rule wants to know again, when it wants to be asked, what is to be read."""
        if isinstance(finding, Undecided):
            return []
        if finding.memory is not None:
            account.memory[rule.name] = finding.memory
        if finding.wake_at:
            self._waits.append(finding.wake_at)
        if isinstance(finding, Clear) and finding.look:
            scene = self._scene(account, entry, Target(), rule.name)
            return [executor.look(account, scene, finding.look, rule.name)]
        return []

    def _read_balance(self, account: Account, entry: Entry) -> list[Fact]:
        """Read once when the balance moved without a trade: a payout, or a fill that was missed."""
        found = account.doubts.get("balance")
        if found is None or found.is_read:
            return []
        found.is_read = True
        return [executor.look(account, self._scene(account, entry, Target()), "", "balance")]

    def _check(self, account: Account, rule: Rule, at: int) -> Finding:
        """Ask one rule; its exception is its own unknown, the others go on."""
        name = f"rule:{rule.name}"
        try:
            finding = rule.check(self.world, account)
        except Exception as error:  # noqa: BLE001 - isolated and alarmed, never "passed"
            finding = Undecided(why=f"{rule.name} failed: {type(error).__name__}: {error}")
        if isinstance(finding, Undecided):
            account.doubts.setdefault(name, Doubt(since=at, why=finding.why))
        else:
            account.doubts.pop(name, None)
        return finding

    def _act(
        self, account: Account, entry: Entry, targets: list[Target], primary: str
    ) -> list[Fact]:
        exposures = {name: held.exposure for name, held in account.holdings.items()}
        for name in sorted(account.locks):
            lock = account.locks[name]
            lockout.tighten(lock, exposures)
            targets.append(self._lock_target(account, lock))
            primary = primary or lock.placed.rule
        scene = self._scene(account, entry, merge(targets), primary)
        return executor.advance(account, scene)

    def _lock_target(self, account: Account, lock: Lock) -> Target:
        mode, allowance = lock.placed.mode, lock.allowance
        if mode == REDUCE_ONLY and lock.is_unmeasured:
            mode = NO_NEW_ENTRY
        if not lockout.is_scoped(lock):
            return lock_target(mode, allowance, sorted(account.holdings))
        names = {*account.holdings, *(order.contract for order in account.orders.values())}
        covered = [name for name in names if lockout.covers(lock, self._root(name))]
        return scoped_lock_target(mode, allowance, covered)

    def _scene(
        self, account: Account, entry: Entry, target: Target, primary: str = ""
    ) -> executor.Scene:
        near = {
            name: (mark.bid, mark.ask)
            for name, mark in self.world.marks.items()
            if mark.bid and mark.ask
        }
        reason = account.reasons[-1] if account.reasons else ""
        return executor.Scene(
            seq=entry.seq,
            at=entry.at,
            target=target,
            primary=primary,
            reason=reason,
            near=near,
            instruments=self.world.instruments,
        )

    def open_demands(self, account: Account) -> list[Fact]:
        """Return the locks in force and the goals not known to have left; changes nothing.

        Asking twice is harmless: locks and intents are stored once by their names.
        """
        placed: list[Fact] = [account.locks[name].placed for name in sorted(account.locks)]
        return placed + executor.unsent(account)


def _measure(account: Account) -> None:
    """What is held at a stable read is what a lock from elsewhere allows from here on."""
    for name in sorted(account.locks):
        lock = account.locks[name]
        if lock.is_unmeasured:
            lock.allowance, lock.is_unmeasured = held_now(account), False


def _waits_for_a_person(placed: LockPlaced) -> bool:
    """Tell whether a person may end a lock: their own, and a rule's that has no end of its own.

    What the platform, something unknown or an adoption placed ends by its own condition.
    """
    if placed.rule == "kill-switch":
        return True
    own = placed.rule in ("platform", "unknown") or placed.scope == "configuration"
    return placed.until is None and not own
