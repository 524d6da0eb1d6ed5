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

import hashlib
from collections.abc import Callable, Mapping
from typing import Final, Protocol, assert_never

import msgspec

from risk_daemon.core import account as fold
from risk_daemon.core import executor, lockout, session
from risk_daemon.core.account import Account, Doubt, Incident
from risk_daemon.core.decision import (
    ALERT,
    ENFORCE,
    REDUCE_ONLY,
    Breach,
    Clear,
    Finding,
    LockWish,
    Target,
    Undecided,
    lock_target,
    merge,
    target_of,
)
from risk_daemon.core.events import (
    AccountSeen,
    AlarmRaised,
    BreachFound,
    ContractSeen,
    Entry,
    Fact,
    FeedChanged,
    GoalRefused,
    HashTaken,
    Intended,
    LeaseGranted,
    LockEnded,
    LockPlaced,
    MarkChanged,
    OperatorActed,
    OrderChanged,
    PolicyAdopted,
    PositionChanged,
    Pulse,
    Reconciled,
    RecordQuarantined,
    RequestAnswered,
    RequestSent,
    RequestSettled,
    RuleSetting,
    TradeSeen,
    Unknown,
)
from risk_daemon.core.instrument import Instrument
from risk_daemon.core.lockout import Lock

STATE_SCHEMA: Final = 1
ALARM_AFTER: Final = 500 * executor.MS
REDUCE_ONLY_AFTER: Final = 15_000 * executor.MS
PLATFORM_UNLOCK_AFTER: Final = 30_000 * executor.MS
REASONS_MAX: Final = 12
LOCK_NAMES_MAX: Final = 128

#: Written by the daemon about its own decisions: no news to it.
INERT: Final = (Intended, BreachFound, AlarmRaised, HashTaken, LockEnded)


class World(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The state of everything a worker folds."""

    seq: int = 0
    at: int = 0
    instruments: dict[str, Instrument] = msgspec.field(default_factory=dict)
    marks: dict[str, MarkChanged] = msgspec.field(default_factory=dict)
    feeds: dict[str, str] = msgspec.field(default_factory=dict)
    accounts: dict[int, Account] = msgspec.field(default_factory=dict)
    unknown_kinds: dict[str, int] = msgspec.field(default_factory=dict)


class Rule(Protocol):
    """One rule with its parameters. It stores nothing, sends nothing and knows no clock."""

    @property
    def name(self) -> str:
        """The rule's name, as policies and people write it."""
        ...

    @property
    def priority(self) -> int:
        """Which rule names an incident when several trip at once; smallest first."""
        ...

    def check(self, world: World, account: Account) -> Finding:
        """Compare the account with the limit, on figures as they stand."""
        ...


Parser = Callable[[Mapping[str, object]], Rule]

_canonical = msgspec.msgpack.Encoder(order="deterministic")


def _write(state: msgspec.Struct) -> bytes:
    # Sorted output wants text keys, and state has numbers for keys.
    plain = msgspec.to_builtins(state, str_keys=True, order="deterministic", builtin_types=(bytes,))
    return _canonical.encode(plain)


def encode_account(account: Account) -> bytes:
    """Write an account's whole state; equal states give equal bytes."""
    return _write(account)


def decode_account(raw: bytes) -> Account:
    """Read what `encode_account` wrote in this schema."""
    return msgspec.convert(msgspec.msgpack.decode(raw), Account, str_keys=True)


def encode_surroundings(world: World) -> bytes:
    """Write what belongs to no account: instruments, marks, feeds."""
    bare = msgspec.structs.replace(world, accounts={})
    return _write(bare)


def decode_surroundings(raw: bytes) -> World:
    """Read what `encode_surroundings` wrote; accounts are added by the caller."""
    return msgspec.convert(msgspec.msgpack.decode(raw), World, str_keys=True)


def state_hash(account: Account) -> str:
    """Name an account's state in 32 characters."""
    return hashlib.blake2b(encode_account(account), digest_size=16).hexdigest()


class Engine:
    """The rules of all accounts, and `step`. Holds nothing that is not in the stream."""

    def __init__(self, catalog: Mapping[str, Parser], world: World | None = None) -> None:
        self.catalog = catalog
        self.world = world or World()
        self._rules: dict[int, list[tuple[RuleSetting, Rule]]] = {}

    def step(self, entry: Entry) -> list[Fact]:
        """Fold one record; return what it makes necessary, in a fixed order."""
        world = self.world
        world.seq, world.at = entry.seq, entry.at
        match entry.fact:
            case Pulse():
                return self._pulse(entry)
            case MarkChanged() as mark:
                world.marks[mark.contract] = mark
                return []
            case ContractSeen() as seen:
                world.instruments[seen.contract] = Instrument(
                    seen.contract, seen.root, seen.tick_size, seen.tick_value
                )
                return []
            case FeedChanged() as feed:
                return self._feed(entry, feed)
            case OperatorActed(account=0):
                return self._each(entry)
            case Unknown(kind=kind):
                world.unknown_kinds[kind] = world.unknown_kinds.get(kind, 0) + 1
                return self._unknown(entry, kind)
            case _:
                pass
        if isinstance(entry.fact, INERT) or not entry.account:
            return []
        return self._one(entry, entry.account)

    # --- which accounts a record touches ---

    def _pulse(self, entry: Entry) -> list[Fact]:
        outputs: list[Fact] = []
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
        _stand(account, placed, entry.seq, {})
        return self._seal(account, self._decide(account, entry))

    def _one(self, entry: Entry, number: int) -> list[Fact]:
        account = self.world.accounts.get(number)
        if account is None:
            account = self.world.accounts[number] = Account(account=number)
        if not isinstance(entry.fact, Pulse):
            account.records += 1
        if isinstance(entry.fact, LockPlaced):
            if entry.fact.lock in account.lock_names:
                account.records -= 1
                return []
            _stand(account, entry.fact, entry.seq, {})
        outputs = self._due(account, entry.at)
        outputs += self._fold(account, entry)
        outputs += self._decide(account, entry)
        return self._seal(account, outputs)

    # --- time ---

    def _due(self, account: Account, at: int) -> list[Fact]:
        outputs: list[Fact] = []
        if account.next_reset and at >= account.next_reset:
            for contract in fold.roll_day(account, at, self.world.marks, self.world.instruments):
                text = f"{contract} is carried into {account.trade_date} without a settlement mark"
                outputs.append(_alarm(account, "warn", "no settlement mark", text))
            if account.policy and not session.is_known(account.policy.calendar, at):
                text = f"the calendar {account.policy.calendar} ends before {account.trade_date}"
                outputs.append(_alarm(account, "urgent", "calendar ended", text))
        return outputs

    def _end_locks(self, account: Account, at: int) -> list[Fact]:
        """End what is over; an unknown account or a blind feed ends nothing."""
        if not self._is_sure(account):
            return []
        over = [
            name
            for name in sorted(account.locks)
            if lockout.is_over(account.locks[name], at, is_flat=account.is_flat)
        ]
        for name in sorted(account.acts):
            until = account.acts[name].until
            if until is not None and at >= until and f"kill-switch:{name}" not in account.locks:
                del account.acts[name]
        outputs = [_end_lock(account, name, "its time is over") for name in over]
        return outputs + self._end_platform_lock(account, at)

    def _end_platform_lock(self, account: Account, at: int) -> list[Fact]:
        name = "platform"
        if name not in account.locks or not account.can_trade:
            return []
        if at - account.can_trade_since < PLATFORM_UNLOCK_AFTER:
            return []
        account.platform_since = 0
        return [_end_lock(account, name, "the platform lets the account trade again")]

    def _is_sure(self, account: Account) -> bool:
        return account.pnl_is_known and account.feed == "trusted"

    # --- folding ---

    def _fold(self, account: Account, entry: Entry) -> list[Fact]:
        fact, seq, at = entry.fact, entry.seq, entry.at
        match fact:
            case PolicyAdopted():
                return self._adopt(account, fact, at)
            case AccountSeen():
                fold.fold_account(account, fact, at)
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
            case GoalRefused():
                executor.note_refused(account, fact, at)
            case RequestSent():
                executor.note_sent(account, fact)
            case RequestAnswered():
                executor.note_answered(account, fact)
            case RequestSettled():
                executor.note_settled(account, fact, at)
            case _:
                pass
        if isinstance(fact, AccountSeen | OrderChanged | PositionChanged | TradeSeen):
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
        outputs += [_alarm(account, "warn", "view repaired", text) for text in differences]
        account.last_fact_at = at
        if fact.stable:
            account.doubts.pop("quarantine", None)
            executor.note_read(account, fact.began_at)
            for contract in sorted(account.plans):
                executor.wake_for_news(account, contract)
        return outputs

    def _quarantined(self, account: Account, fact: RecordQuarantined, at: int) -> list[Fact]:
        """One message could not be believed: until the next read something is unknown."""
        account.doubts.setdefault("quarantine", Doubt(since=at, why=fact.why, is_alarmed=True))
        text = f"a message of {fact.source} was set aside: {fact.why}"
        return [_alarm(account, "urgent", "message quarantined", text)]

    def _leased(self, account: Account, fact: LeaseGranted, entry: Entry) -> list[Fact]:
        account.epoch, account.holder, account.release = fact.epoch, fact.holder, fact.release
        outputs: list[Fact] = [account.locks[name].placed for name in sorted(account.locks)]
        return outputs + executor.again(account, self._scene(account, entry, Target()))

    def _operator(self, account: Account, fact: OperatorActed) -> list[Fact]:
        if fact.act == "confirm":
            account.unarmed = []
            return [
                _end_lock(account, name, f"confirmed by {fact.by}: {fact.reason}")
                for name in sorted(account.locks)
                if name.startswith("unarmed:")
            ]
        if fact.act == "unlock":
            account.acts = {}
            return [
                _end_lock(account, name, f"ended by {fact.by}: {fact.reason}")
                for name in sorted(account.locks)
                if account.locks[name].placed.rule == "kill-switch"
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
        outputs = self._platform(account, entry.at)
        outputs += self._end_locks(account, entry.at)
        targets: list[Target] = []
        primary = ""
        for setting, rule in self.rules_of(account):
            finding = self._check(account, rule, entry.at)
            found, target = self._weigh(account, setting, finding, entry)
            outputs += found
            if target is not None:
                targets.append(target)
                primary = primary or setting.rule
        outputs += self._doubts(account, entry.at)
        outputs += self._act(account, entry, targets, primary)
        account.wake_at = self._next_wake(account, entry.at)
        return outputs

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

    def _weigh(
        self, account: Account, setting: RuleSetting, finding: Finding, entry: Entry
    ) -> tuple[list[Fact], Target | None]:
        """Turn one finding into its incident, its lock, and the target it demands."""
        match finding:
            case Undecided():
                return [], None
            case Clear():
                return self._clear(account, setting), None
            case Breach() as breach:
                return self._breach(account, setting, breach, entry)
            case _ as never:
                assert_never(never)

    def _clear(self, account: Account, setting: RuleSetting) -> list[Fact]:
        outputs: list[Fact] = []
        for part in sorted(account.incidents):
            incident = account.incidents[part]
            if _rule_of(part) == setting.rule and incident.lock not in account.locks:
                incident.is_open = False
        if setting.rule in account.unarmed and account.known:
            account.unarmed.remove(setting.rule)
            name = f"unarmed:{setting.rule}"
            if name in account.locks:
                outputs.append(_end_lock(account, name, "the condition is false"))
        return outputs

    def _breach(
        self, account: Account, setting: RuleSetting, breach: Breach, entry: Entry
    ) -> tuple[list[Fact], Target | None]:
        if setting.rule in account.unarmed:
            return self._hold_back(account, setting, breach, entry), None
        outputs: list[Fact] = []
        part = f"{setting.rule}|{breach.part}"
        incident = account.incidents.get(part)
        lock_is_gone = incident is not None and incident.lock and incident.lock not in account.locks
        if incident is None or not incident.is_open or lock_is_gone:
            incident = _open_incident(account, part, breach, entry)
            outputs.append(_breach_found(account, setting, breach, incident))
            _tell(account, setting, breach, entry)
            if setting.mode == ALERT:
                outputs.append(_alarm(account, "warn", setting.rule, breach.text))
            if setting.mode == ENFORCE:
                account.trips[setting.rule] = account.trips.get(setting.rule, 0) + 1
                if breach.remedy.lock is not None:
                    wish = breach.remedy.lock
                    outputs += _place_lock(account, setting.rule, breach, wish, incident, entry)
        if setting.mode != ENFORCE:
            return outputs, None
        return outputs, target_of(breach.remedy)

    def _hold_back(
        self, account: Account, setting: RuleSetting, breach: Breach, entry: Entry
    ) -> list[Fact]:
        """A limit that was broken the moment it was adopted reduces, and tells; it never closes."""
        name = f"unarmed:{setting.rule}"
        if name in account.locks or setting.mode != ENFORCE:
            return []
        text = (
            f"{setting.rule} was already broken when it was adopted ({breach.text});"
            " reduce-only until an admin confirms, or until it has been met once"
        )
        placed = LockPlaced(
            account=account.account,
            lock=name,
            rule=setting.rule,
            mode=REDUCE_ONLY,
            began_at=entry.at,
            until=None,
            reason=text,
            scope="configuration",
        )
        _stand(account, placed, entry.seq, _held(account))
        return [placed, _alarm(account, "urgent", "limit broken at adoption", text)]

    def _doubts(self, account: Account, at: int) -> list[Fact]:
        """Tell of what stays unknown, and stop the account from growing after 15 s of it."""
        outputs: list[Fact] = []
        missing = account.known and not account.pnl_is_known
        _doubt(account, "trade", "a position moved by a fill that has not been shown", at, missing)
        _doubt(account, "read", "the account has not been read yet", at, not account.known)
        blind = account.feed != "trusted"
        _doubt(account, "feed", f"the broker session is {account.feed}", at, blind)
        for name in sorted(account.doubts):
            doubt = account.doubts[name]
            if not doubt.is_alarmed and at - doubt.since >= ALARM_AFTER:
                doubt.is_alarmed = True
                outputs.append(_alarm(account, "warn", "unknown", doubt.why))
            if doubt.lock or at - doubt.since < REDUCE_ONLY_AFTER or not account.has_exposure:
                continue
            outputs.append(_lock_doubt(account, name, doubt, self.world))
        over = [
            name
            for name in sorted(account.locks)
            if name.startswith("unknown-") and name.split("-", 1)[1] not in account.doubts
        ]
        return outputs + [_end_lock(account, name, "known again") for name in over]

    def _platform(self, account: Account, at: int) -> list[Fact]:
        """`canTrade` false is the platform's own lock; ours stands beside it at once."""
        if account.can_trade or "platform" in account.locks:
            return []
        account.platform_since, account.platform_looked = at, False
        placed = LockPlaced(
            account=account.account,
            lock="platform",
            rule="platform",
            mode="full",
            began_at=at,
            until=None,
            reason="the platform stopped this account from trading",
        )
        _stand(account, placed, self.world.seq, {})
        return [placed, _alarm(account, "urgent", "platform lock", placed.reason)]

    def _act(
        self, account: Account, entry: Entry, targets: list[Target], primary: str
    ) -> list[Fact]:
        exposures = {name: held.exposure for name, held in account.holdings.items()}
        for name in sorted(account.locks):
            lock = account.locks[name]
            lockout.tighten(lock, exposures)
            contracts = sorted(account.holdings)
            targets.append(lock_target(lock.placed.mode, lock.allowance, contracts))
            primary = primary or lock.placed.rule
        scene = self._scene(account, entry, merge(targets), primary)
        return executor.advance(account, scene)

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

    def _next_wake(self, account: Account, at: int) -> int:
        found = executor.wakes(account, at)
        found.append(account.next_reset)
        found += [lock.placed.until or 0 for lock in account.locks.values()]
        found += [act.until or 0 for act in account.acts.values()]
        for doubt in account.doubts.values():
            found += [doubt.since + ALARM_AFTER, doubt.since + REDUCE_ONLY_AFTER]
        if "platform" in account.locks and account.can_trade:
            found.append(account.can_trade_since + PLATFORM_UNLOCK_AFTER)
        return min((instant for instant in found if instant > at), default=0)

    def _seal(self, account: Account, outputs: list[Fact]) -> list[Fact]:
        for output in outputs:
            account.decided += 1
            raw = type(output).__name__.encode() + _canonical.encode(output)
            account.digest = hashlib.blake2b(account.digest + raw, digest_size=16).digest()
        return outputs

    def open_demands(self, account: Account) -> list[Fact]:
        """Return the locks in force and the goals not known to have left; changes nothing.

        Asking twice is harmless: locks and intents are stored once by their names.
        """
        placed: list[Fact] = [account.locks[name].placed for name in sorted(account.locks)]
        return placed + executor.unsent(account)

    def wake_at(self) -> int:
        """Return the earliest instant any account waits for, 0 for none."""
        waits = [a.wake_at for a in self.world.accounts.values() if a.wake_at]
        return min(waits, default=0)


# --- small makers and keepers ---------------------------------------------------


def _rule_of(part: str) -> str:
    return part.split("|", 1)[0]


def _alarm(account: Account, level: str, what: str, text: str) -> AlarmRaised:
    return AlarmRaised(account=account.account, level=level, what=what, text=text, source="worker")


def _doubt(account: Account, name: str, why: str, at: int, holds: bool) -> None:  # noqa: FBT001
    if not holds:
        account.doubts.pop(name, None)
    else:
        account.doubts.setdefault(name, Doubt(since=at, why=why))


def _end_lock(account: Account, name: str, why: str) -> LockEnded:
    lock = account.locks.pop(name)
    for act in sorted(account.acts):
        if lock.placed.lock == f"kill-switch:{act}":
            del account.acts[act]
    return LockEnded(account=account.account, lock=name, why=why)


def _open_incident(account: Account, part: str, breach: Breach, entry: Entry) -> Incident:
    before = account.incidents.get(part)
    number = before.number + 1 if before else 1
    incident = Incident(
        number=number, is_open=True, since=entry.at, seq=entry.seq, text=breach.text
    )
    account.incidents[part] = incident
    return incident


def _incident_name(account: Account, part: str, incident: Incident) -> str:
    return f"{account.account}:{part.replace('|', ':').rstrip(':')}:{incident.seq}"


def _breach_found(
    account: Account, setting: RuleSetting, breach: Breach, incident: Incident
) -> BreachFound:
    return BreachFound(
        account=account.account,
        rule=setting.rule,
        mode=setting.mode,
        incident=_incident_name(account, f"{setting.rule}|{breach.part}", incident),
        observed=breach.observed,
        limit=breach.limit,
        text=breach.text,
    )


def _place_lock(
    account: Account,
    rule: str,
    breach: Breach,
    wish: LockWish,
    incident: Incident,
    entry: Entry,
) -> list[Fact]:
    name = f"{rule}:{breach.part}" if breach.part else f"{rule}:{entry.seq}"
    placed = LockPlaced(
        account=account.account,
        lock=name,
        rule=rule,
        mode=wish.mode,
        began_at=entry.at,
        until=wish.until,
        reason=breach.text,
        incident=_incident_name(account, f"{rule}|{breach.part}", incident),
    )
    incident.lock = name
    _stand(account, placed, entry.seq, _held(account))
    return [placed]


def _lock_doubt(account: Account, name: str, doubt: Doubt, world: World) -> LockPlaced:
    doubt.lock = f"unknown-{name}"
    placed = LockPlaced(
        account=account.account,
        lock=doubt.lock,
        rule="unknown",
        mode=REDUCE_ONLY,
        began_at=world.at,
        until=None,
        reason=f"unknown for 15 s: {doubt.why}",
    )
    _stand(account, placed, world.seq, _held(account))
    return placed


def _stand(account: Account, placed: LockPlaced, seq: int, allowance: dict[str, int]) -> None:
    """Put a lock in force, and remember its name: its own record is about to come back."""
    account.locks[placed.lock] = Lock(placed=placed, allowance=allowance)
    names = account.lock_names
    names[placed.lock] = seq
    if len(names) > LOCK_NAMES_MAX:
        del names[min(names, key=lambda name: (names[name], name))]


def _held(account: Account) -> dict[str, int]:
    return {name: abs(held.exposure) for name, held in account.holdings.items() if held.exposure}


def _tell(account: Account, setting: RuleSetting, breach: Breach, entry: Entry) -> None:
    line = f"{session.show_chicago(entry.at)}: {setting.rule} ({setting.mode}): {breach.text}"
    account.reasons.append(line)
    del account.reasons[:-REASONS_MAX]
