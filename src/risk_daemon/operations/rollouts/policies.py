"""Which commit of the configuration each account follows, for a rollout of a configuration alone.

What an account follows is what was adopted for it last, by the journal's word. Which policy a
commit means for it, the program that adopts says, in a process of its own.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Final

import msgspec

from risk_daemon.core.events import PolicyAdopted
from risk_daemon.errors import OperatorError
from risk_daemon.operations.home import Home
from risk_daemon.rollout.plan import Plan, Version
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import decode

READ_WITHIN_S: Final = 30.0
_PAGE: Final = 1_000


class Policies:
    """The policies of commits, and what stands for each account."""

    def __init__(self, home: Home, journal: JournalClient) -> None:
        self._home, self._journal = home, journal
        self._of: dict[str, dict[int, PolicyAdopted]] = {}
        #: By account: the digest of what was adopted last, as far as the journal was read.
        self._adopted: dict[int, str] = {}
        self._next = 1

    async def of(self, commit: str) -> dict[int, PolicyAdopted]:
        """Return each account's policy in a commit. Raises OperatorError where it can't be read."""
        if commit not in self._of:
            self._of[commit] = await asyncio.to_thread(_read, self._home, commit)
        return self._of[commit]

    async def learn(self, plan: Plan) -> None:
        """Read what was adopted since, and what a plan's commits mean."""
        for version in (plan.candidate, *plan.ways_back):
            await self.of(version.commit)
        while True:
            found = await self._journal.tail(self._next, kinds=("policy-adopted",), limit=_PAGE)
            for record in found:
                fact = decode(record).fact
                if isinstance(fact, PolicyAdopted):
                    self._adopted[fact.account] = fact.digest
            if found:
                self._next = found[-1].seq + 1
            if len(found) < _PAGE:
                return

    def version_of(self, plan: Plan, account: int) -> Version:
        """Return what an account follows; of no commit, where the plan does not know it."""
        digest = self._adopted.get(account, "")
        for version in (*plan.ways_back, plan.candidate):
            policy = self._of.get(version.commit, {}).get(account)
            if policy is not None and policy.digest == digest:
                return version
        return Version(plan.release, "")


def _read(home: Home, commit: str) -> dict[int, PolicyAdopted]:
    words = [sys.executable, "-m", "risk_daemon.programs.adopt", "--home", str(home.path)]
    try:
        done = subprocess.run(
            [*words, "--policies", commit],
            capture_output=True,
            text=True,
            timeout=READ_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise OperatorError(
            f"commit {commit} was not read within {READ_WITHIN_S:g} s.", 7
        ) from None
    if done.returncode != 0:
        raise OperatorError(done.stderr.strip().removeprefix("adopt: "), done.returncode)
    found = msgspec.json.decode(done.stdout, type=list[PolicyAdopted])
    return {one.account: one for one in found}
