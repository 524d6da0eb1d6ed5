"""The dull half of a move: stores drains, asks holder and heir what they show, tells who asked.

What is compared: workers of one release must have the same state hash at the drain; of two
releases the account view, field by field (`wire.view.differences`). On a way back a view that
differs is told and holds nothing up: the release that is left is not the one to be believed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.clock import Timekeeper
from risk_daemon.core.events import AlarmRaised, DrainAsked
from risk_daemon.errors import DaemonError, TimedOut
from risk_daemon.supervisor import promotion
from risk_daemon.supervisor.release import release_of
from risk_daemon.wire.client import JournalClient, ask
from risk_daemon.wire.record import new_record
from risk_daemon.wire.view import AccountView, differences

#: A holder goes on by itself after this, whatever became of the supervisor.
DRAIN_MS: Final = 1_000
SHOW_WITHIN_S: Final = 0.5
ENFORCES_WITHIN_S: Final = 2.0
MOVE_WITHIN_S: Final = 60.0
SUPERVISOR: Final = "supervisor"

Feed = Callable[[promotion.Input], None]


class Mover:
    """Carries out what the promotion machine says of moves. One move at a time."""

    def __init__(
        self, run_dir: Path, journal: JournalClient, clock: Timekeeper, feed: Feed
    ) -> None:
        self._run_dir, self._journal, self._clock, self._feed = run_dir, journal, clock, feed
        self._seq = 0
        #: Counts drains: an answer about an earlier group says nothing of the present one.
        self._turn = 0
        self._number = 0
        self._rows: dict[int, dict[int, dict[str, Any]]] = {}
        self._ended: dict[int, asyncio.Future[None]] = {}
        self._drained_ns: dict[int, int] = {}
        #: Releases that accounts go back to.
        self._ways_back: set[str] = set()

    async def move(
        self, accounts: Sequence[int], release: str, latch: str = "", *, is_back: bool = False
    ) -> list[dict[str, Any]]:
        """Have accounts held by a release; return a row for each: moved or why not, and its gap.

        `gap_ms` is from the request to fall silent to the heir's own word that it enforces.
        """
        self._number += 1
        number = self._number
        self._rows[number] = {}
        self._ended[number] = asyncio.get_running_loop().create_future()
        (self._ways_back.add if is_back else self._ways_back.discard)(release)
        now = self._clock.steady_ns()
        self._feed(promotion.MoveAsked(number, tuple(accounts), release, now, latch, is_back))
        try:
            await asyncio.wait_for(self._ended[number], MOVE_WITHIN_S)
        except TimeoutError:
            raise TimedOut(
                f"the move to {release} has not ended after {MOVE_WITHIN_S:g} s;"
                " `risk-daemon-admin status` shows who holds what"
            ) from None
        finally:
            del self._ended[number]
        rows = self._rows.pop(number)
        await self._enforced([row for row in rows.values() if row["moved"]])
        return [rows[account] for account in accounts if account in rows]

    # --- told by the machine ---

    async def drain(self, wanted: promotion.Drain) -> None:
        """Store the drain of a group."""
        self._turn += 1
        turn, now = self._turn, self._clock.steady_ns()
        for account, _ in wanted.accounts:
            self._drained_ns[account] = now
        try:
            answer = await self._journal.append(
                [
                    new_record(_drain(account, epoch, wanted.holder, wanted.release, DRAIN_MS))
                    for account, epoch in wanted.accounts
                ]
            )
        except DaemonError as error:
            self._say(turn, promotion.DrainFailed(f"the drain was not stored: {error}"))
            return
        if answer.refused:
            self._say(turn, promotion.DrainFailed(f"the journal refused it: {answer.refused}"))
            return
        self._seq = answer.last_seq
        self._say(turn, promotion.DrainStored(self._clock.steady_ns()))

    def _say(self, turn: int, given: promotion.Input) -> None:
        if turn == self._turn:
            self._feed(given)

    def end_drain(self, wanted: promotion.EndDrain) -> None:
        """Let the holder go on; if this is lost it does so by itself."""
        self._journal.append(
            [
                new_record(_drain(account, epoch, wanted.holder, wanted.release, 0))
                for account, epoch in wanted.accounts
            ]
        )

    async def compare(self, wanted: promotion.Compare) -> None:
        """Ask both what they show; say what is alike. A silent holder is the machine's to kill."""
        turn = self._turn
        heir, holder = await asyncio.gather(
            self._shown(wanted.heir, wanted.accounts), self._shown(wanted.holder, wanted.accounts)
        )
        if heir is None:
            why = f"{wanted.heir} did not show its accounts in time"
            self._say(turn, promotion.HeirSilent(why))
        elif holder is not None:
            both = {
                account: (holder.get(account), heir.get(account)) for account in wanted.accounts
            }
            unlike = {account: why for account, pair in both.items() if (why := unlikeness(*pair))}
            if release_of(wanted.heir) in self._ways_back:
                unlike = self._let_go(wanted.heir, unlike, both)
            alike = tuple(account for account in wanted.accounts if account not in unlike)
            self._say(turn, promotion.Shown(alike, tuple(sorted(unlike.items()))))

    def _let_go(
        self,
        heir: str,
        unlike: dict[int, str],
        both: dict[int, tuple[Showing | None, Showing | None]],
    ) -> dict[int, str]:
        """Tell what two releases see otherwise, and return what holds an account up even so."""
        seen = {account: why for account, why in unlike.items() if are_views(*both[account])}
        alarms = [
            AlarmRaised(
                account=account,
                level="page",
                what="went back, seen otherwise",
                text=f"account {account} goes back to {release_of(heir)}, though {why}",
                source=SUPERVISOR,
            )
            for account, why in sorted(seen.items())
        ]
        if alarms:
            self._journal.append([new_record(one) for one in alarms])
        return {account: why for account, why in unlike.items() if account not in seen}

    async def _shown(self, name: str, accounts: tuple[int, ...]) -> dict[int, Showing] | None:
        args = {"accounts": list(accounts), "seq": self._seq}
        try:
            answer = await ask(self._run_dir, name, "shown", args, SHOW_WITHIN_S)
        except DaemonError:
            return None
        if not answer.ok:
            return None
        rows = msgspec.convert(answer.data["accounts"], list[Showing])
        return {row.account: row for row in rows}

    def told(self, said: promotion.Moved | promotion.Kept) -> None:
        """Remember what became of one account."""
        row: dict[str, Any] = {"account": said.account, "moved": isinstance(said, promotion.Moved)}
        if isinstance(said, promotion.Moved):
            row |= {"holder": said.holder, "epoch": said.epoch, "why": ""}
        else:
            row |= {"holder": "", "epoch": 0, "why": said.why}
        self._rows.setdefault(said.number, {})[said.account] = row

    def ended(self, said: promotion.MoveEnded) -> None:
        """Let whoever asked for the move go on."""
        future = self._ended.get(said.number)
        if future is not None and not future.done():
            future.set_result(None)

    async def _enforced(self, rows: list[dict[str, Any]]) -> None:
        """Wait for the heirs' own word; a lease alone enforces nothing."""
        deadline = self._clock.steady_ns() + int(ENFORCES_WITHIN_S * 1e9)
        missing = {row["account"]: row for row in rows}
        while missing:
            for holder in sorted({row["holder"] for row in missing.values()}):
                mine = [row for row in missing.values() if row["holder"] == holder]
                for account, epoch in await self._enforcing(holder, mine):
                    row = missing.get(account)
                    if row is not None and row["epoch"] == epoch:
                        began = self._drained_ns.pop(account, self._clock.steady_ns())
                        row["gap_ms"] = round((self._clock.steady_ns() - began) / 1e6, 1)
                        del missing[account]
            if missing and self._clock.steady_ns() > deadline:
                for row in missing.values():
                    row["why"] = f"{row['holder']} does not say that it enforces it"
                return
            if missing:
                await asyncio.sleep(0.01)

    async def _enforcing(self, holder: str, rows: list[dict[str, Any]]) -> list[tuple[int, int]]:
        until = [[row["account"], row["epoch"]] for row in rows]
        try:
            answer = await ask(self._run_dir, holder, "enforcing", {"until": until}, SHOW_WITHIN_S)
        except DaemonError:
            return []
        return [(int(a), int(b)) for a, b in answer.data.get("enforcing", [])]


class Showing(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker shows of an account at a drain."""

    account: int
    seq: int
    digest: str = ""
    view: AccountView | None = None


def unlikeness(holder: Showing | None, heir: Showing | None) -> str:
    """Say why an heir does not show what the holder shows; empty when it does."""
    if holder is None or heir is None:
        who = "the holder" if holder is None else "the heir"
        return f"{who} does not know the account"
    if holder.seq != heir.seq:
        return f"shown at record {holder.seq} and at {heir.seq}"
    if holder.view is None or heir.view is None:
        same = holder.digest == heir.digest
        return "" if same else f"state {holder.digest} and {heir.digest} at record {heir.seq}"
    return "; ".join(differences(holder.view, heir.view))


def are_views(holder: Showing | None, heir: Showing | None) -> bool:
    """Tell whether both, of two releases, were shown at the same record."""
    if holder is None or heir is None or holder.seq != heir.seq:
        return False
    return holder.view is not None and heir.view is not None


def _drain(account: int, epoch: int, holder: str, release: str, for_ms: int) -> DrainAsked:
    return DrainAsked(account=account, holder=holder, epoch=epoch, release=release, for_ms=for_ms)
