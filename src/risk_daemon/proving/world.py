"""One history: a host with the whole daemon, a broker, traders, and trouble; played from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Final

import msgspec

from risk_daemon.core.account import STOP
from risk_daemon.core.events import Entry, Fact, OperatorActed, PolicyAdopted, RuleSetting
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.proving.chance import Chance, Fault, Offer, streams
from risk_daemon.proving.clockwork import BEGIN, MS, SECOND, Clockwork, Host
from risk_daemon.proving.disk import Disk
from risk_daemon.proving.exchange import CONTRACT, CONTRACTS, TICK, Exchange
from risk_daemon.proving.journal import Journal
from risk_daemon.proving.judge import Broken, Judge
from risk_daemon.proving.link import Link
from risk_daemon.proving.pace import PACES
from risk_daemon.proving.scenes import SCENES
from risk_daemon.proving.script import Script
from risk_daemon.proving.shell import Shell
from risk_daemon.proving.supervisor import Supervisor
from risk_daemon.proving.without import INCARNATION, LOCK_FILE, Without
from risk_daemon.proving.worker import Worker
from risk_daemon.settings import Login
from risk_daemon.supervisor.release import workers_of
from risk_daemon.wire import control
from risk_daemon.wire.record import PROMISES, Record, decode, new_record

RELEASES: Final = ("v1", "v2")
LIMIT: Final = 3
OPEN_LOSS: Final[dict[str, object]] = {"limit": "2500.00"}
#: After the faults are over everything must come right within so long.
HEALS_WITHIN: Final = 45 * SECOND
BACK_AFTER: Final = 500 * MS
STALLED_FOR: Final = 1_500 * MS
REAPED_AFTER: Final = (MS, 10 * MS)

ON_MESSAGE: Final = Offer(0.004, (("message-slow", 10 * MS, 400 * MS),))
TROUBLE: Final = Offer(
    1.0,
    (
        *(("kill", 0, 99),) * 3,
        *(("freeze", 0, 99),) * 2,
        *(("streams-broke", 0, 99),) * 3,
        *(("session-stolen", 0, 99),) * 2,
        *(("maintenance", 100 * MS, 2 * SECOND),) * 2,
        ("power-cut", 0, 0),
        *(("clock-stepped", -90, 90),) * 2,
        ("host-slept", 1, 8),
        ("old-copy", 0, 0),
        *(("price-jump", -24, 25),) * 4,
        *(("other-client", 0, 99),) * 4,
        *(("reopened", 0, 99),) * 4,
        ("supervisor-killed", 0, 0),
        *(("supervisor-stalled", 0, 99),) * 2,
        *(("two-moves", 0, 99),) * 2,
        *(("quote-crossed", 2, 200),) * 2,
        *(("quote-wild", -99, 100),) * 2,
        *(("quotes-stopped", 1, 60),) * 2,
        ("quotes-withdrawn", 0, 0),
    ),
)


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a history is made of.

    `seconds` of trade and trouble, 0: as many as the pace and the seed say.
    """

    seed: int
    seconds: float = 0.0
    pace: str = "quick"
    tape: tuple[Fault, ...] | None = None
    off: frozenset[str] = frozenset()
    #: What is not judged: the absence of a mask breaks it by itself.
    deaf: frozenset[str] = frozenset()
    accounts: tuple[tuple[int, str], ...] = ((101, "north"), (102, "north"), (201, "south"))
    is_traced: bool = False
    #: A script instead of traders, market and trouble.
    scene: str = ""


def length(plan: Plan) -> float:
    """Return for how many seconds a history is traded and troubled."""
    chance = random.Random(f"{plan.seed} length")
    return plan.seconds or chance.uniform(*PACES[plan.pace].seconds)


class World:
    """Everything that happens, in virtual time."""

    promises = PROMISES

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.clockwork = Clockwork()
        self.host = Host(self.clockwork)
        self.pace = PACES[plan.pace]
        self.chance = Chance(plan.seed, plan.tape, self.pace.density)
        self._random = streams(plan.seed)
        self._latency = self._random["latency"].random
        self.without = Without(plan.off)
        self.judge = Judge(self)
        self.disk = Disk(self)
        self.trace: list[tuple[int, str, str, str]] = []
        #: The points at which a process had an effect: where it can be crashed.
        self.effects: list[int] = []
        self.accounts = tuple(sorted(number for number, _ in plan.accounts))
        self.logins = tuple(sorted({login for _, login in plan.accounts}))
        self.exchange = Exchange(self, dict(plan.accounts))
        self._lines: dict[Any, int] = {}
        self._asking: dict[tuple[str, int, int], list[_Answer]] = {}
        self._entries: dict[tuple[int, int], Entry] = {}
        self._refused_until: dict[str, int] = {}
        self._stalled: dict[tuple[str, int], int] = {}
        self.copies: list[list[Batch]] = []
        self._acts = 0
        self.is_up = True
        self._make_processes()

    def _make_processes(self) -> None:
        self.journal = Journal(self, "journal")
        self.links = [self._link(login) for login in self.logins]
        names = [name for release in RELEASES for name in workers_of(release)]
        self.workers = [Worker(self, name) for name in names]
        self.supervisor = Supervisor(self)
        everyone: list[Shell] = [self.journal, *self.links, *self.workers, self.supervisor]
        self.shells: dict[str, Any] = {shell.name: shell for shell in everyone}
        self._of = {n: link for link in self.links for n in link.login.accounts}

    def _link(self, name: str) -> Link:
        mine = tuple(number for number, login in self.plan.accounts if login == name)
        return Link(self, Login(name=name, user=name, credentials="env", accounts=mine))

    def children(self) -> list[Any]:
        """Return the processes that a supervisor keeps, in the order of starting."""
        return [self.journal, *self.links, *self.workers]

    def link_of(self, account: int) -> Link:
        """Return the link of an account's login."""
        return self._of[account]

    # --- playing ----------------------------------------

    def run(self) -> World:
        """Play to the end; raises Broken where something does not hold."""
        self._found()
        self.supervisor.start()
        end = int(length(self.plan) * SECOND)
        if self.plan.scene:
            end = Script(self, SCENES[self.plan.scene]).begin()
        else:
            calm = int(self.pace.calm * SECOND)
            self.clockwork.after(calm, self._trade_all)
            self.clockwork.after(calm * 8 // 10, self._market)
            self.clockwork.after(calm * 3 // 2, self._trouble)
            self.clockwork.after(calm * 3, self._move)
        self.clockwork.run(end)
        self._heal()
        return self

    def _found(self) -> None:
        """Adopt a policy for every account, as `init` does."""
        sequencer, batch = Sequencer(), Batch(0)
        batch.has_promise = True
        for number, login in self.plan.accounts:
            record = sequencer.admit(new_record(policy(number, login)), BEGIN)
            batch.records.append(record)
            batch.policies.append((number, record.seq))
        self.disk.store(batch)

    def _heal(self) -> None:
        """No more faults, no more trades: everything must come right by itself."""
        self.chance.is_healed = True
        self.host.stepped = self.host.slept
        self.exchange.is_down = False
        self.exchange.quiet_until = 0
        if self.exchange.is_misquoted:
            self.exchange.quote(CONTRACT)
        self._refused_until = {}
        self.disk.full_until = 0
        self.tell("world", "heals", "")
        if not self.supervisor.is_alive:
            self._bring_back()
        until = self.clockwork.now + HEALS_WITHIN
        why = "nothing was looked at"
        while why and self.clockwork.now < until:
            self.clockwork.run(self.clockwork.now + SECOND)
            why = self.judge.unhealed()
        if why:
            raise Broken(why.partition(":")[0], why.partition(": ")[2])

    # --- chance and time ----------------------------------------

    def draw(self, least: int, most: int) -> int:
        """Draw a time from a span."""
        return least + int(self._latency() * (most - least))

    def wait(self, what: str, key: Any, least: int, most: int) -> int:
        """Draw how long something is on its way that does not overtake what went before it."""
        line = what, key
        now = self.clockwork.now
        at = now + least + int(self._latency() * (most - least))
        before = self._lines.get(line, 0)
        if at <= before:
            at = before + 1
        self._lines[line] = at
        return at - now

    def send(
        self, who: Shell, to: Shell, life: int, call: Callable[..., None], args: tuple[Any, ...]
    ) -> None:
        """Pass a message from process to process; it arrives in order, or its reader is gone."""
        fault = self.chance.at(ON_MESSAGE)
        least, most = 100_000, 1_500_000
        if fault is not None:
            self.fault("message-slow", who.name, f"to {to.name}")
            least = most = fault.amount
        if self._stalled:
            stalled = self._stalled.get((who.name, who.life), 0)
            least, most = least + stalled, most + stalled
        wait = self.wait("message", (who.name, who.life, to.name), least, most)
        self.clockwork.after(wait, self._deliver, to, life, call, args)

    def _deliver(
        self, to: Shell, life: int, call: Callable[..., None], args: tuple[Any, ...]
    ) -> None:
        if to.life == life:
            to.take(call, *args)

    def to_journal(self, who: Any, asked: msgspec.Struct, answer: Callable[[Any], None]) -> None:
        """Ask the journal; `answer` gets None where its connection is or gets lost."""
        journal = self.journal
        if not journal.is_alive or who.journal_life != journal.life:
            who.later(0, answer, None)
            return
        asking = _Answer(answer)
        self._asking.setdefault((who.name, who.life, journal.life), []).append(asking)
        who.send(journal, journal.ask, who, who.life, asked, asking)

    def entry(self, record: Record) -> Entry:
        """Read a record, once for all who read it."""
        key = record.seq, record.crc
        found = self._entries.get(key)
        if found is None:
            found = self._entries[key] = decode(record)
        return found

    # --- processes ----------------------------------------

    def died(self, shell: Shell) -> None:
        """A process ended: who was connected to it notices, and it is reaped."""
        if shell is self.journal:
            self._lose_journal(shell.life)
        if isinstance(shell, Link) and self.exchange.streams.get(shell.login.name):
            del self.exchange.streams[shell.login.name]
        if not self.is_up:
            return
        if shell is self.supervisor:
            self.clockwork.after(BACK_AFTER, self._bring_back)
        else:
            self.clockwork.after(self.draw(*REAPED_AFTER), self._reap, shell.name, shell.life)

    def _lose_journal(self, life: int) -> None:
        for name in sorted(self.shells):
            shell = self.shells[name]
            if shell is self.journal or not shell.is_alive:
                continue
            for asking in self._asking.pop((name, shell.life, life), []):
                if not asking.is_over:
                    self.clockwork.after(MS, self._deliver, shell, shell.life, asking, (None,))
            self.clockwork.after(
                MS, self._deliver, shell, shell.life, shell.on_lost_journal, (life,)
            )

    def _reap(self, name: str, life: int) -> None:
        if self.supervisor.is_alive:
            self.supervisor.take(self.supervisor.reaped, name, life)

    def _bring_back(self) -> None:
        """The service manager starts a supervisor that is not there."""
        self.is_up = True
        if not self.supervisor.is_alive:
            self.supervisor.start()

    def ask_past(self, link: Link) -> None:
        """A new link asks the journal for all that an earlier run left."""
        journal = self.journal
        if not journal.is_alive:
            link.later(50 * MS, link.begin)
            return
        leases = [self.disk.leases[n] for n in sorted(self.disk.leases)]
        records = self.disk.records[: journal.intake.stored_seq]
        seen = (records[-1].seq, records[-1].crc) if records else (0, 0)
        self.send(journal, link, link.life, link.on_past, (leases, records, seen))

    def open_intents(self, account: int) -> list[str]:
        """Return the goals of an account that its holder still waits for."""
        holder = self.shells[self.disk.leases[account].holder]
        found = holder.engine.world.accounts[account]
        return [slot.key for slot in found.slots.values()] + [
            asked.key for asked in found.asked.values() if not asked.done
        ]

    def waits_for_a_person(self, account: int) -> bool:
        """Tell whether a position came out on the other side twice, so that only a person acts."""
        holder = self.shells[self.disk.leases[account].holder]
        plans = holder.engine.world.accounts[account].plans.values()
        return any(len(plan.residues) > 1 for plan in plans)

    def limit_of(self, account: int) -> int:
        """Return the limit that is enforced; none where it was broken when it was adopted."""
        holder = self.shells[self.disk.leases[account].holder]
        found = holder.engine.world.accounts[account]
        params = {one.rule: one.params for one in found.policy.rules}["max-contracts"]
        return 1_000 if "max-contracts" in found.unarmed else int(params["limit"])

    def is_refused(self, login: str) -> bool:
        """Tell whether another client has the session of a login now."""
        return self.clockwork.now < self._refused_until.get(login, 0)

    # --- market and traders ----------------------------------------

    def _market(self) -> None:
        chance = self._random["market"]
        for contract in sorted(CONTRACTS):
            self.exchange.move(contract, chance.randrange(-self.pace.ticks, self.pace.ticks + 1))
        if not self.chance.is_healed:
            least, most = self.pace.prices
            self.clockwork.after(self.draw(int(least * SECOND), int(most * SECOND)), self._market)

    def _trade_all(self) -> None:
        for number in self.accounts:
            self._trade(number)

    def _trade(self, number: int) -> None:
        if self.chance.is_healed:
            return
        chance = self._random["traders"]
        self.act(number, chance.randrange(12), chance)
        self.clockwork.after(int(chance.uniform(*self.pace.trades) * SECOND), self._trade, number)

    def act(self, number: int, what: int, chance: random.Random) -> None:
        """Let a trader do one thing."""
        book = self.exchange.books[number]
        held = book.positions.get(CONTRACT, 0)
        price = self.exchange.price[CONTRACT]
        side = chance.choice((1, -1))
        if what < 5:
            self.exchange.place(number, CONTRACT, side, chance.choice(self.pace.sizes))
        elif what < 7 and held:
            self.exchange.place(number, CONTRACT, -1 if held > 0 else 1, abs(held))
        elif what < 9 and held:
            stop = price - (6 if held > 0 else -6) * TICK
            side = -1 if held > 0 else 1
            self.exchange.place(number, CONTRACT, side, abs(held), type=STOP, stop_price=stop)
        elif what == 9:
            limit = price - side * 8 * TICK
            self.exchange.place(number, CONTRACT, side, 2, type=1, limit_price=limit)
        elif what == 10:
            for order in sorted(book.orders):
                self.exchange.cancel(number, order)
        elif what == 11:
            self._operator(number, chance)

    def _operator(self, number: int, chance: random.Random) -> None:
        """A person locks the account for a while, or unlocks it."""
        act = chance.choice(("flatten-lock", "reduce-only", "unlock", "confirm"))
        self.order(number, act, chance.randrange(2, 9))

    def order(self, number: int, act: str, seconds: int) -> None:
        """A person's order about an account, for so long (0: until it is ended)."""
        self._acts += 1
        is_lock = act in ("flatten-lock", "reduce-only")
        now = BEGIN + self.clockwork.now
        acted = OperatorActed(
            account=number,
            act=act,
            by="a",
            reason="r",
            act_id=f"a{self._acts}",
            until=now + seconds * SECOND if is_lock and seconds else None,
        )
        self.append(acted, acted.act_id)

    def adopt(self, number: int, limit: int) -> None:
        """A person changes the limit of an account."""
        self.append(policy(number, dict(self.plan.accounts)[number], limit))

    def append(self, fact: Fact, once: str = "") -> None:
        """Somebody outside has a fact stored, if the journal lives."""
        if self.journal.is_alive:
            asked = control.Append(0, [new_record(fact, once)])
            self.journal.take(self.journal.ask, self.supervisor, -1, asked, _unheard)

    def _move(self) -> None:
        """A person gives accounts to a release: a promotion, or a rollback."""
        if self.chance.is_healed:
            return
        chance = self._random["moves"]
        self.move(chance.choice(RELEASES), chance.random() < 0.6, chance)
        self.clockwork.after(int(chance.uniform(1.0, 4.0) * SECOND), self._move)

    def move(self, release: str, is_whole: bool, chance: random.Random) -> None:
        """Ask the supervisor for a move, of all accounts or of one."""
        accounts = self.accounts if is_whole else (chance.choice(self.accounts),)
        if self.supervisor.is_alive:
            self.tell("person", "moves", f"{accounts} to {release}")
            self.supervisor.take(self.supervisor.move, release, accounts)

    # --- trouble ----------------------------------------

    def _trouble(self) -> None:
        if self.chance.is_healed:
            return
        self.copies = [*self.copies[-3:], self.disk.copy()]
        fault = self.chance.at(TROUBLE)
        if fault is not None:
            self.strike(fault)
        wait = self.draw(300 * MS, 1_300 * MS) / self.pace.density
        self.clockwork.after(int(wait), self._trouble)

    def strike(self, fault: Fault) -> None:
        """Let one thing go wrong; it counts if something was there to go wrong."""
        kind, amount = fault.kind, fault.amount
        name = kind.replace("-", "_")
        done = getattr(self, f"_strike_{name}")(amount)
        if done:
            self.fault({"kill": "killed"}.get(kind, kind), "world", f"{done}")

    def _pick(self, amount: int) -> Any:
        children = self.children()
        return children[amount % len(children)]

    def _strike_kill(self, amount: int) -> str:
        shell = self._pick(amount)
        if not shell.is_alive:
            return ""
        shell.kill()
        return str(shell.name)

    def _strike_supervisor_killed(self, amount: int) -> str:
        del amount
        if not self.supervisor.is_alive:
            return ""
        self.supervisor.kill()
        return "supervisor"

    def _strike_freeze(self, amount: int) -> str:
        shell = self._pick(amount)
        if not shell.is_alive or shell.is_frozen:
            return ""
        shell.freeze((amount + 1) * 40 * MS)
        return str(shell.name)

    def _strike_streams_broke(self, amount: int) -> str:
        login = self.logins[amount % len(self.logins)]
        return login if self.exchange.drop(login) else ""

    def _strike_session_stolen(self, amount: int) -> str:
        login = self.logins[amount % len(self.logins)]
        if not self.exchange.drop(login):
            return ""
        self._refused_until[login] = self.clockwork.now + self.draw(SECOND, 5 * SECOND)
        return login

    def _strike_maintenance(self, amount: int) -> str:
        if self.exchange.is_down:
            return ""
        self.exchange.is_down = True
        self.clockwork.after(amount, self._maintained)
        for login in self.logins:
            self.exchange.drop(login)
        return "broker"

    def _maintained(self) -> None:
        self.exchange.is_down = False

    def _strike_power_cut(self, amount: int) -> str:
        del amount
        if not self.is_up:
            return ""
        self._stop_all()
        for link in self.links:
            link.lose_log()
        lost = self.disk.cut_power()
        self.clockwork.after(self.draw(200 * MS, SECOND), self._bring_back)
        return f"{lost} records lost"

    def _stop_all(self) -> None:
        self.is_up = False
        for name in sorted(self.shells):
            self.shells[name].kill()

    def _strike_clock_stepped(self, amount: int) -> str:
        self.host.stepped += amount * SECOND
        return f"by {amount} s" if amount else ""

    def _strike_host_slept(self, amount: int) -> str:
        """Nobody here runs meanwhile; the market does."""
        self.host.slept += amount * 200 * MS
        for name in sorted(self.shells):
            shell = self.shells[name]
            if shell.is_alive and not shell.is_frozen:
                shell.freeze(amount * 200 * MS)
        return f"{amount * 200} ms"

    def _strike_old_copy(self, amount: int) -> str:
        del amount
        if not self.is_up or not self.copies:
            return ""
        self._stop_all()
        self.exchange.come_to_rest()  # a person takes longer to put a copy back than an order hides
        off = self.plan.off
        self.judge.restored(self.disk)
        self.disk.restore(
            self.copies[0], knows_locks=LOCK_FILE not in off, knows_epochs=INCARNATION not in off
        )
        self.clockwork.after(self.draw(200 * MS, SECOND), self._bring_back)
        return f"of {len(self.copies[0])} batches"

    def _strike_price_jump(self, amount: int) -> str:
        self.exchange.move(CONTRACT, amount)
        return f"{amount} ticks" if amount else ""

    def _strike_quote_crossed(self, amount: int) -> str:
        """A bid far above its ask: no mark at all."""
        away = amount * TICK
        return self.exchange.misquote(CONTRACT, bid=away, ask=-away)

    def _strike_quote_wild(self, amount: int) -> str:
        """One side is a multiple of what it was, or next to nothing, until the next quote."""
        price = self.exchange.price[CONTRACT]
        if amount < 0:
            return self.exchange.misquote(CONTRACT, bid=price * amount // 100)
        return self.exchange.misquote(CONTRACT, ask=price * (amount + 1))

    def _strike_quotes_stopped(self, amount: int) -> str:
        """Nobody is told of the market for a while; it counts when it moves."""
        self.exchange.quiet_until = self.clockwork.now + amount * 100 * MS
        self.exchange.is_misquoted = False
        return ""

    def _strike_quotes_withdrawn(self, amount: int) -> str:
        """A quote without any price: nobody follows the contract any more, until the next one."""
        del amount
        return self.exchange.misquote(CONTRACT, is_empty=True)

    def _strike_other_client(self, amount: int) -> str:
        number = self.accounts[amount % len(self.accounts)]
        self.exchange.place(number, CONTRACT, 1 if amount % 2 else -1, 1 + amount % 4)
        return f"account {number}"

    def _strike_reopened(self, amount: int) -> str:
        """The trader opens again in a locked account, the moment it is flat."""
        number = self.accounts[amount % len(self.accounts)]
        if not self.judge.standing.locks.get(number):
            return ""
        return self._strike_other_client(amount)

    def _strike_supervisor_stalled(self, amount: int) -> str:
        """What it says is on its way for long, and a new one is there before it arrives."""
        supervisor = self.supervisor
        if not supervisor.is_alive:
            return ""
        self._stalled[supervisor.name, supervisor.life] = STALLED_FOR
        if amount % 2:
            supervisor.take(supervisor.move, RELEASES[amount % 4 // 2], self.accounts)
        else:
            self.workers[amount % len(self.workers)].kill()
        self.clockwork.after(150 * MS, self._end, supervisor, supervisor.life)
        return "supervisor"

    def _end(self, shell: Shell, life: int) -> None:
        if shell.life == life:
            shell.kill()

    def _strike_two_moves(self, amount: int) -> str:
        if not self.supervisor.is_alive:
            return ""
        for release in RELEASES if amount % 2 else reversed(RELEASES):
            self.supervisor.take(self.supervisor.move, release, self.accounts)
        return "both releases"

    # --- telling ----------------------------------------

    def fault(self, kind: str, who: str, what: str) -> None:
        """Count a fault that took place, and write it into the trace."""
        self.chance.count(kind)
        self.tell(who, f"FAULT {kind}", what)

    def tell(self, who: str, what: str, text: str) -> None:
        """Write a line of the trace."""
        if self.plan.is_traced:
            self.trace.append((self.clockwork.now, who, what, text))


class _Answer:
    """Where an answer goes; it comes once, or the connection is lost."""

    def __init__(self, call: Callable[[Any], None]) -> None:
        self._call = call
        self.is_over = False

    def __call__(self, said: Any) -> None:
        if not self.is_over:
            self.is_over = True
            self._call(said)


def policy(number: int, login: str, limit: int = LIMIT) -> PolicyAdopted:
    rules: tuple[RuleSetting, ...] = (
        RuleSetting(rule="kill-switch", mode="enforce", params={}),
        RuleSetting(rule="daily-realized-loss", mode="enforce", params={"limit": "400.00"}),
        RuleSetting(rule="max-contracts", mode="enforce", params={"limit": limit}),
    )
    if number % 100 == 2:
        rules += (RuleSetting(rule="daily-combined-loss", mode="enforce", params=OPEN_LOSS),)
    if number % 100 == 1:
        rules += (RuleSetting(rule="no-stop-loss-grace", mode="enforce", params={"grace": "6s"}),)
    return PolicyAdopted(
        account=number,
        login=login,
        name=f"N-{number}",
        calendar="cme_equity",
        day_roll="cme_trade_date",
        rules=rules,
        digest=f"d{limit}",
    )


def _unheard(said: Any) -> None:
    del said
