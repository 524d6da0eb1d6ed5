"""What a rollout's controller acts with: the supervisor's moves, and looks at each account.

Every look is asked of the process that knows: the worker that holds an account, the link of its
login, the journal. Silence is no pass: it is *unmeasurable*, and asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from risk_daemon.errors import DaemonError, OperatorError
from risk_daemon.operations.home import Home
from risk_daemon.operations.rollouts.policies import Policies
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.controller import Moved, Said
from risk_daemon.rollout.messages import Held
from risk_daemon.rollout.plan import Plan, Version
from risk_daemon.supervisor.loop import Supervisor
from risk_daemon.wire.client import ask
from risk_daemon.wire.control import Grant, Lease
from risk_daemon.wire.record import new_record

RULES_WITHIN_S: Final = 9.0
CONNECTION_WITHIN_S: Final = 9.0
RECONCILE_WITHIN_S: Final = 28.0
JOURNAL_WITHIN_S: Final = 5.0
#: One look at a login, or at the disk, serves all accounts that are looked at meanwhile.
FRESH_S: Final = 2.0
#: So many accounts of one release, and of one login, are looked at together. Five hundred at once
#: waited for each other until their time was up, and kept from their work whom they asked.
TOGETHER: Final = 4


class Hands:
    """Acts for the controller of one home."""

    def __init__(self, daemon: Supervisor, plan: Callable[[], Plan | None]) -> None:
        self._daemon, self._plan = daemon, plan
        self._run = daemon.home / "run"
        self._policies = Policies(Home(daemon.home), daemon.journal)
        self._looks: dict[str, tuple[int, asyncio.Task[Said]]] = {}
        #: The supervisor carries out one move at a time.
        self._moving = asyncio.Lock()
        #: By release, and by link: how many more may be asked of it.
        self._free: dict[str, asyncio.Semaphore] = {}

    def _one_of_few(self, name: str) -> asyncio.Semaphore:
        return self._free.setdefault(name, asyncio.Semaphore(TOGETHER))

    # --- who has what ---

    def version_of(self, plan: Plan, account: int, release: str) -> Version:
        """Return what an account that a release holds has in a plan, as far as is known."""
        if plan.is_configuration:
            return self._policies.version_of(plan, account)
        return plan.version_of(release)

    def _held(self, plan: Plan, lease: Lease) -> Held:
        version = self.version_of(plan, lease.account, lease.release)
        return Held(lease.account, version, lease.epoch)

    async def held(self, plan: Plan) -> tuple[Held, ...]:
        """Return what enforces each guarded account, by the journal's word, as a plan names it."""
        answer = await self._daemon.journal.leases()
        if plan.is_configuration:
            await self._policies.learn(plan)
        self._daemon.leasing.learn(answer.leases)
        mine = set(self._daemon.promotion.accounts)
        return tuple(self._held(plan, lease) for lease in answer.leases if lease.account in mine)

    # --- moving ---

    async def switch(
        self, version: Version, epochs: Mapping[int, int], latch: str
    ) -> Mapping[int, Moved]:
        """Move accounts to a version, each only at its epoch, while the row has this latch."""
        plan = self._plan()
        assert plan is not None
        async with self._moving:
            before = {one.account: one for one in await self.held(plan)}
            stale = {n: epoch for n, epoch in epochs.items() if before[n].epoch != epoch}
            wanted = [n for n in epochs if n not in stale]
            move = self._adopt if plan.is_configuration else self._move
            why = await move(version, wanted, latch) if wanted else {}
            after = {one.account: one for one in await self.held(plan)}
        why |= {
            number: f"its epoch is {before[number].epoch}, it was to be switched at {epoch}"
            for number, epoch in stale.items()
        }
        return {number: Moved(after[number], why.get(number, "")) for number in epochs}

    async def _move(self, version: Version, accounts: list[int], latch: str) -> dict[int, str]:
        """Move, and return why of each account that is not there, or not for sure."""
        try:
            plan = self._plan()
            is_back = plan is not None and version != plan.candidate
            found = await self._daemon.pairs.move(version.release, accounts, latch, is_back=is_back)
        except OperatorError as error:
            return dict.fromkeys(accounts, error.sentence)
        said = {row["account"]: str(row["why"]) for row in found}
        return {
            number: said.get(number, "the supervisor did not tell what became of it")
            for number in accounts
            if said.get(number, "?")
        }

    async def _adopt(self, version: Version, accounts: list[int], latch: str) -> dict[int, str]:
        """Have accounts follow a commit's policy, and return why of each that does not.

        Who holds an account goes on holding it: epoch and policy change in one transaction, so a
        controller that is late changes neither.
        """
        leases = {one.account: one for one in (await self._daemon.journal.leases()).leases}
        policies = await self._policies.of(version.commit)
        unknown = [number for number in accounts if number not in policies]
        if unknown:
            return dict.fromkeys(accounts, f"{version} has no policy for {unknown[0]}")
        answer = await self._daemon.journal.grant(
            [
                Grant(number, leases[number].epoch, leases[number].holder, leases[number].release)
                for number in accounts
            ],
            latch,
            [new_record(policies[number]) for number in accounts],
        )
        return dict.fromkeys(accounts, answer.refused) if answer.refused else {}

    async def warm(self, version: Version) -> None:
        """Have a release's workers warm. Raises OperatorError where they do not stay up."""
        await self._daemon.pairs.warm(version.release)

    async def retire(self, version: Version) -> None:
        """Let a release's workers go; our own stay, and so do those that hold an account."""
        if (
            version.release in self._daemon.pairs.releases
            and version.release != self._daemon.release
        ):
            await self._daemon.pairs.retire(version.release)

    # --- looking ---

    async def smoke(self, account: int, version: Version) -> Said:
        """Ask the smoke lines of one account: enforced, connected, stored, and its rules work."""
        async with self._one_of_few(version.release):
            said = await asyncio.gather(
                self._enforced(account, version),
                self._shared(f"link-{self._login(account)}", self._connected),
                self._shared("journal", self._persists),
                self._rules(account),
            )
        for wanted in (rows.FAIL, rows.UNMEASURABLE):
            found = [one.why for one in said if one.says == wanted]
            if found:
                return Said(wanted, "; ".join(found))
        return Said(rows.PASS)

    async def _enforced(self, account: int, version: Version) -> Said:
        lease = {one.account: one for one in self._daemon.promotion.leases}.get(account)
        if lease is None or lease.release != version.release:
            has = lease.release if lease else "nobody"
            return Said(rows.FAIL, f"it is held by {has}, not by {version}")
        try:
            only = {"accounts": [account]}
            answer = await ask(self._run, lease.holder, "enforcing", only, JOURNAL_WITHIN_S)
        except DaemonError as error:
            return Said(rows.UNMEASURABLE, f"{lease.holder}: {error}")
        pairs = {(int(n), int(epoch)) for n, epoch in answer.data.get("enforcing", ())}
        if (account, lease.epoch) not in pairs:
            return Said(rows.FAIL, f"{lease.holder} does not say that it enforces it")
        if answer.data.get("release") != version.release:
            return Said(rows.FAIL, f"{lease.holder} says it is {answer.data.get('release')}")
        return Said(rows.PASS)

    async def _rules(self, account: int) -> Said:
        """Every rule trips on a generated breach and not on a near miss, in the one that holds."""
        lease = {one.account: one for one in self._daemon.promotion.leases}.get(account)
        if lease is None:
            return Said(rows.FAIL, "nobody holds it")
        args = {"rule": "all", "account": account}
        try:
            answer = await ask(self._run, lease.holder, "test-rule", args, RULES_WITHIN_S)
        except DaemonError as error:
            return Said(rows.UNMEASURABLE, f"{lease.holder}: {error}")
        found = answer.data.get("accounts", ()) if answer.ok else ()
        results = {str(row["rule"]): str(row["result"]) for row in found}
        failed = [name for name, result in results.items() if result == "fail"]
        if failed:
            return Said(rows.FAIL, f"rules that do not work: {', '.join(sorted(failed))}")
        if "pass" not in results.values():
            return Said(rows.UNMEASURABLE, answer.error or "no rule is configured for it")
        return Said(rows.PASS)

    def _login(self, account: int) -> str:
        logins = self._daemon.settings.logins
        return next(one.name for one in logins if account in one.accounts)

    async def _shared(self, name: str, look: Callable[[str], Any]) -> Said:
        """Ask a process once for all who want to know at about the same time."""
        now = self._daemon.clock.steady_ns()
        kept = self._looks.get(name)
        if kept is None or now - kept[0] > FRESH_S * 1e9:
            kept = self._looks[name] = (now, asyncio.ensure_future(look(name)))
        return await asyncio.shield(kept[1])

    async def _connected(self, link: str) -> Said:
        try:
            answer = await ask(self._run, link, "connection", {}, CONNECTION_WITHIN_S)
        except DaemonError as error:
            return Said(rows.UNMEASURABLE, f"{link}: {error}")
        if not answer.ok:
            return Said(rows.UNMEASURABLE, f"{link}: {answer.error}")
        return Said(rows.PASS) if answer.data.get("ok") else Said(rows.FAIL, f"{link} is blind")

    async def _persists(self, _name: str) -> Said:
        """A promise is written, and the stream goes on."""
        try:
            probed = await asyncio.wait_for(self._daemon.journal.probe(), JOURNAL_WITHIN_S)
        except (DaemonError, TimeoutError) as error:
            return Said(rows.UNMEASURABLE, f"the journal does not answer: {error}")
        if probed.refused:
            return Said(rows.FAIL, f"the journal keeps nothing: {probed.refused}")
        return Said(rows.PASS)

    async def reconcile(self, account: int) -> Said:
        """Read one account from the broker; repaired is good, what can't be repaired is not."""
        link = f"link-{self._login(account)}"
        try:
            async with self._one_of_few(link):
                answer = await ask(
                    self._run, link, "reconcile", {"accounts": [account]}, RECONCILE_WITHIN_S
                )
        except DaemonError as error:
            return Said(rows.UNMEASURABLE, f"{link}: {error}")
        found = [row for row in answer.data.get("accounts", ()) if row["account"] == account]
        if not found:
            return Said(rows.UNMEASURABLE, answer.error or f"{link} does not name it")
        (row,) = found
        if row.get("consistent") or row.get("repaired"):
            return Said(rows.PASS)
        differences = "; ".join(map(str, row.get("differences", ())))
        if "could not be read" in differences:
            return Said(rows.UNMEASURABLE, differences)
        return Said(rows.FAIL, differences)
