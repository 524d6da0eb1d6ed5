"""A link at work: the real SDK, a simulated gateway and a journal as processes, and what they say.

The link itself runs in the test's own process, so that a test can look at its
view. The test plays the worker: it asks the journal for goals, under a lease.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from risk_daemon.broker import fence
from risk_daemon.broker.port import Broker
from risk_daemon.broker.projectx.adapter import ProjectXBroker
from risk_daemon.broker.projectx.intake import Intake
from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.core.events import (
    Entry,
    Fact,
    FeedChanged,
    Goal,
    GoalRefused,
    Intended,
    PolicyAdopted,
    Reconciled,
    RequestSent,
    RequestSettled,
)
from risk_daemon.link.loop import Link
from risk_daemon.link.send_log import path_of
from risk_daemon.settings import Gateway as Addresses
from risk_daemon.settings import Login
from risk_daemon.stage.gateway import Gateway
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Grant
from risk_daemon.wire.record import Record, decode, new_record
from risk_daemon.wire.transport import Hello, Server
from tests.journal.homes import Home

MNQ: Final = "CON.F.US.MNQ.Z26"
#: A link on a machine that does much else needs its time to load alone.
WITHIN_S: Final = 40.0
LOOK_EVERY_S: Final = 0.005
ASK_EVERY_S: Final = 0.05
RECONCILE_EVERY_S: Final = 1.5
CLOSING: Final = ("/Position/closeContract", "/Position/partialCloseContract")
CHANGING: Final = (*CLOSING, "/Order/cancel", "/Order/modify", "/Order/place")


class Floor:
    """One gateway for a whole run of tests: each takes a login that nobody has used."""

    def __init__(self, folder: Path, logins: int, offset_s: float) -> None:
        self.offset_s = offset_s
        self._free = list(range(1, logins + 1))
        config = folder / "floor.yaml"
        config.write_text(floor_config(logins))
        self.gateway = Gateway(folder, config=config, seed=3, offset_s=offset_s)

    def take(self) -> int:
        """Return the number of a login that nobody has used."""
        return self._free.pop(0)


def floor_config(logins: int) -> str:
    lines = ["seed: 3", "profile: calm", "traders: false", "logins:"]
    for number in range(1, logins + 1):
        lines += [f"  - user: {user_of(number)}", f"    api_key: {key_of(number)}", "    accounts:"]
        lines += [f"      - {{id: {account}}}" for account in accounts_of(number)]
    lines += ["limits:", '  default: {max_contracts: 50, daily_realized_loss: "20000.00"}']
    return "\n".join(lines)


def user_of(number: int) -> str:
    return f"user-{number}"


def key_of(number: int) -> str:
    return f"key-of-user-{number:03}"


def accounts_of(number: int) -> tuple[int, int]:
    return 9_300_000_000 + number * 10 + 1, 9_300_000_000 + number * 10 + 2


def addresses_of(gateway: Gateway) -> Addresses:
    return Addresses(
        api_url=gateway.url + "/api",
        user_hub_url=gateway.url + "/hubs/user",
        market_hub_url=gateway.url + "/hubs/market",
    )


def policy_of(account: int, login: str) -> PolicyAdopted:
    return PolicyAdopted(
        account=account,
        login=login,
        name=f"SIM-{account}",
        calendar="cme_equity",
        day_roll="cme_trade_date",
        rules=(),
        digest="d",
    )


class _OftenRead(Login, frozen=True, kw_only=True):
    """A login whose accounts are read so often that what only a read mends is mended soon."""

    @property
    def reconcile_every_s(self) -> float:
        return RECONCILE_EVERY_S


class Stream:
    """Everything that got into the journal, as facts."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.truncated: list[int] = []

    def take(self, records: list[Record]) -> None:
        self.entries += [decode(record) for record in records]

    def of[F: Fact](self, kind: type[F], after: int = 0) -> list[F]:
        """Return the facts of one kind behind a seq."""
        return [
            entry.fact
            for entry in self.entries
            if isinstance(entry.fact, kind) and entry.seq > after
        ]

    @property
    def last_seq(self) -> int:
        return self.entries[-1].seq if self.entries else 0


class AtWork:
    """A link on a login of the floor, with a home and a journal of its own."""

    def __init__(self, floor: Floor, home: Path) -> None:
        self.gateway = floor.gateway
        self.number = floor.take()
        self.login = user_of(self.number)
        self.accounts: tuple[int, ...] = accounts_of(self.number)
        self.account = self.accounts[0]
        self.home = Home(home)
        self.clock = Clock(int(floor.offset_s * SECOND_NS))
        self.stream = Stream()
        self.link: Link
        self.offset_s = floor.offset_s
        self._journal: JournalClient
        self._running: asyncio.Task[None]
        self._goals = 0
        self.servers: list[Server] = []
        self.login_type: type[Login] = _OftenRead

    # --- beginning and end ------------------------------------------------------

    async def begin(self, *, trusted: bool = True) -> None:
        """Start the journal, adopt policies, grant leases, run the link."""
        self.start_journal()
        self._journal = await self._client("worker-1", "worker")
        policies = [policy_of(account, self.login) for account in self.accounts]
        await self._journal.append([new_record(policy) for policy in policies])
        await self._journal.grant([Grant(n, 0, "worker-1", "v1") for n in self.accounts])
        self._journal.subscribe(
            1, on_records=self.stream.take, on_truncated=self.stream.truncated.append
        )
        await self.run_link()
        if trusted:
            await self.until(lambda: self.feed == "trusted", "the feed to be trusted")

    def start_journal(self) -> None:
        self.home.start("--offset-s", str(self.offset_s))

    async def _client(self, name: str, role: str) -> JournalClient:
        return await JournalClient.connect(self.home.run_dir, Hello(role, name), WITHIN_S)

    async def run_link(self) -> None:
        journal = await self._client(f"link-{self.login}", "link")
        self.link = link = Link(
            self.as_configured(),
            self.broker(),
            Intake,
            journal,
            self.clock,
            self.home.path / "state" / f"emergency-{self.login}.jsonl",
            path_of(self.home.run_dir, self.login),
            f"link-{self.login}-{os.getpid()}",
        )
        journal.on_lost = lambda _: link.lost.set()
        self._running = asyncio.create_task(link.run())

    def as_configured(self) -> Login:
        return self.login_type(
            name=self.login, user=self.login, credentials="env", accounts=self.accounts
        )

    def broker(self) -> Broker:
        return ProjectXBroker(
            addresses_of(self.gateway), self.login, self.login, key_of(self.number)
        )

    async def end(self) -> None:
        """Stop everything; a link that died says why here."""
        died = self.is_dead
        try:
            await self.end_link()
        finally:
            self._journal.close()
            self.home.kill()
        assert not died

    @property
    def is_dead(self) -> bool:
        """The link has ended by itself."""
        return self._running.done()

    async def end_link(self) -> None:
        """Stop the link; what it died of is raised."""
        self._running.cancel()
        try:
            with suppress(asyncio.CancelledError):
                await self._running
        finally:
            for server in self.servers:
                await server.close()
            self.link.journal.close()
            await self.link.broker.close()

    # --- the journal ------------------------------------------------------------

    async def journal_is_back(self, *, start: bool = True) -> None:
        """Start the journal again and follow it behind the last record seen."""
        if start:
            self.start_journal()
        await self._journal.reconnect(WITHIN_S)

    async def lease(self, epoch: int, *others: int) -> None:
        """Grant the next epoch of our accounts, or of others, before anybody else comes back."""
        supervisor = await self._client("supervisor", "supervisor")
        granted = await supervisor.grant(
            [Grant(account, epoch - 1, "worker-2", "v1") for account in others or self.accounts]
        )
        assert granted.refused == ""
        supervisor.close()

    async def want(self, act: str = "close", contract: str = MNQ, **more: Any) -> Intended:
        """Ask for a goal, as the active worker does; return it once it is durable."""
        intended = self.goal(act, contract, **more)
        answer = await self._journal.intend(
            intended.account, intended.epoch, intended.key, new_record(intended)
        )
        assert answer.refused == ""
        return intended

    def goal(self, act: str = "close", contract: str = MNQ, **more: Any) -> Intended:
        self._goals += 1
        account = more.pop("account", self.account)
        fields: dict[str, Any] = {"locked": True} | more
        goal = Goal(act=act, account=account, contract=contract, **fields)
        key = f"{account}:test:{self._goals}:{act}"
        return Intended(account=account, epoch=1, cause_seq=1, key=key, goal=goal)

    async def append(self, fact: Fact) -> None:
        await self._journal.append([new_record(fact)])

    def ends(self, intended: Intended) -> list[str]:
        """Return how the requests of a goal ended, as the stream tells it."""
        return [one.how for one in self.stream.of(RequestSettled) if one.key == intended.key]

    def refusals(self, intended: Intended) -> list[str]:
        """Return why nothing left for a goal, as the stream tells it."""
        return [one.why for one in self.stream.of(GoalRefused) if one.key == intended.key]

    async def has_ended(self, intended: Intended) -> str:
        """Wait for the end of a goal's request; return how it ended."""
        await self.until(lambda: self.ends(intended), "the request to be settled")
        return self.ends(intended)[-1]

    # --- the gateway ------------------------------------------------------------

    async def tell(self, path: str, **body: Any) -> Any:
        return await asyncio.to_thread(lambda: self.gateway.post(path, **body))

    async def fault(self, kind: str, **more: Any) -> None:
        await self.tell("/fault", kind=kind, login=self.login, **more)

    async def trade(self, signed: int, contract: str = "MNQ", account: int = 0) -> None:
        """Let the account's owner trade at the market."""
        side = "buy" if signed > 0 else "sell"
        await self.tell(
            "/order",
            account=account or self.account,
            contract=contract,
            side=side,
            size=abs(signed),
            type="market",
        )

    async def rest(
        self, signed: int, price: str, kind: str = "limit", contract: str = "MNQ"
    ) -> int:
        """Let the account's owner place a resting order; return its number."""
        side = "buy" if signed > 0 else "sell"
        answer = await self.tell(
            "/order",
            account=self.account,
            contract=contract,
            side=side,
            size=abs(signed),
            type=kind,
            price=price,
        )
        return int(answer["order"])

    async def truth(self) -> dict[int, tuple[dict[str, int], set[int]]]:
        """What the exchange holds: positions and working orders by account."""
        rows = (await asyncio.to_thread(self.gateway.get, "/truth"))["accounts"]
        return {
            row["account"]: (
                {one["contract"]: one["q"] for one in row["positions"] if one["q"]},
                {one["id"] for one in row["working"]},
            )
            for row in rows
            if row["account"] in self.accounts
        }

    async def requests(self, *paths: str) -> list[dict[str, Any]]:
        """Every request of this login to these paths, as the gateway saw it."""
        rows = (await asyncio.to_thread(self.gateway.get, "/requests"))["requests"]
        return [row for row in rows if row["login"] == self.login and row["path"] in paths]

    async def is_subscribed(self) -> bool:
        found = await asyncio.to_thread(self.gateway.get, "/connections")
        return bool(found["logins"][self.login]["is_whole"])

    async def connections(self) -> list[str]:
        """Every hub of this login that the gateway has a connection to."""
        found = await asyncio.to_thread(self.gateway.get, "/connections")
        return sorted(hub["hub"] for hub in found["logins"][self.login]["hubs"])

    # --- the link's view ----------------------------------------------------------

    @property
    def feed(self) -> str:
        """The state of the feed that was told last."""
        told = self.stream.of(FeedChanged)
        return told[-1].state if told else "blind"

    def view(self, account: int = 0) -> tuple[dict[str, int], set[int]]:
        """What the fence believes, where its three views of every position agree."""
        gate = self.link.gate.of(account or self.account)
        held = {}
        for name, view in gate.views.items():
            if not view.by_trades == view.by_orders == view.by_position:
                return {name: -999_999}, set()
            if view.by_position:
                held[name] = view.by_position
        orders = {n for n, seen in gate.orders.items() if fence.is_working(seen.order)}
        return held, orders

    def quantity(self) -> int | None:
        """Return the position in MNQ if all three views agree on it, else None."""
        view = self.link.gate.of(self.account).view(MNQ)
        agreed = view.by_trades == view.by_orders == view.by_position
        return view.by_position if agreed else None

    async def holds(self, quantity: int) -> None:
        """Wait until the link sees this position in every view."""
        await self.until(lambda: self.quantity() == quantity, f"a position of {quantity}")

    async def agrees_with_the_truth(self) -> None:
        """Wait until every account's view is what the exchange holds, and nothing is unsettled."""

        async def agrees() -> bool:
            truth = await self.truth()
            mine = {account: self.view(account) for account in self.accounts}
            return truth == mine and fence.unsettled(self.link.gate) == 0

        await self.until_so(agrees, "the view to be the truth")

    async def behaved(self) -> None:
        """One closing request at a time per contract, and nothing was ever placed."""
        under_way: dict[tuple[int, str], str] = {}
        for entry in self.stream.entries:
            match entry.fact:
                case RequestSent(act="close" | "partial") as sent:
                    about = sent.account, sent.contract
                    assert about not in under_way, f"{sent.key} left beside {under_way[about]}"
                    under_way[about] = sent.request
                case RequestSettled(act="close" | "partial") as settled:
                    assert under_way.pop((settled.account, settled.contract)) == settled.request
                case _:
                    pass
        assert await self.requests("/Order/place") == []

    async def was_read(self, since: int) -> None:
        """Wait until each account has a stable read that began after an instant."""

        def read(account: int) -> bool:
            return any(
                one.account == account and one.stable and one.began_at >= since
                for one in self.stream.of(Reconciled)
                if not one.only_positions
            )

        await self.until(lambda: all(map(read, self.accounts)), "every account to be read")

    async def is_left_alone(self) -> None:
        """Begin the link anew, with regular reads so rare that none comes within a test."""
        await self.end_link()
        before = self.stream.last_seq
        self.login_type = Login
        await self.run_link()
        self.link.reconcile_every_s = 600.0
        await self.until(
            lambda: any(one.state == "trusted" for one in self.stream.of(FeedChanged, before)),
            "the feed to be trusted again",
        )

    # --- waiting --------------------------------------------------------------------

    async def until(self, holds: Callable[[], object], what: str, within_s: float = 0.0) -> None:
        """Wait for a condition; fails after the deadline with what was waited for."""
        deadline = asyncio.get_running_loop().time() + (within_s or WITHIN_S)
        while not holds():
            assert not self.is_dead, f"the link died while a test waited for {what}"
            assert asyncio.get_running_loop().time() < deadline, f"waited for {what}"
            await asyncio.sleep(LOOK_EVERY_S)

    async def until_so(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait for something that must be asked for."""
        deadline = asyncio.get_running_loop().time() + WITHIN_S
        while not await holds():
            assert not self.is_dead, f"the link died while a test waited for {what}"
            assert asyncio.get_running_loop().time() < deadline, f"waited for {what}"
            await asyncio.sleep(ASK_EVERY_S)
