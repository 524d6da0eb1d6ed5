"""The pairs of workers, one of each release: had ready, given accounts, and let go."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

from risk_daemon.errors import NotFound, OperatorError, TimedOut
from risk_daemon.supervisor import process, restarting
from risk_daemon.supervisor.children import last_words
from risk_daemon.supervisor.release import interpreter, is_worker, workers_of

if TYPE_CHECKING:
    from risk_daemon.supervisor.loop import Supervisor

#: A worker of a new release that ended so often without staying up is not waited for.
GIVEN_UP_AFTER: Final = 2


class Pairs:
    """The releases whose workers run here; the supervisor's own is always one of them."""

    def __init__(self, of: Supervisor) -> None:
        self._of = of
        self._leases = of.leasing
        self.releases = [of.release]
        #: Those of them that were never ready, and are left to fold what there is.
        self.warming: set[str] = set()

    async def move(
        self, release: str, accounts: Sequence[int], latch: str = "", *, is_back: bool = False
    ) -> list[dict[str, Any]]:
        """Give accounts to a release, its workers started and warm first; return a row each.

        With a `latch` only while it is the rollout's. `is_back`: what the present release sees
        otherwise is told, and holds nothing up.
        """
        unknown = sorted(set(accounts) - set(self._leases.state.accounts))
        if unknown:
            known = ", ".join(map(str, self._leases.state.accounts))
            raise NotFound(f"account {unknown[0]} is not guarded here; guarded: {known}")
        await self.warm(release)
        return await self._leases.mover.move(accounts, release, latch, is_back=is_back)

    async def warm(self, release: str) -> None:
        """Have a release's workers ready to take accounts over; they stay so until retired.

        Of a release that was warm before, one suffices: nothing stands in the way back. Raises
        OperatorError for workers that do not stay up, TimedOut for slow ones; a release that was
        not warm before then runs nothing any more, unless its workers fold on: without snapshots
        of its own, a large journal takes a release longer than anybody waits.
        """
        interpreter(self._of.home, release, self._of.release)
        is_new = release not in self.releases or release in self.warming
        self.keep_warm(release)
        pair, began = set(workers_of(release)), self._of.clock.steady_ns()
        before = self._folded(pair)

        def is_settled() -> bool:
            # One that was there before may be on its way back from whatever ended it.
            gives_up = is_new and bool(self._failing(release))
            return pair <= set(self._leases.state.ready) or gives_up or release not in self.releases

        with contextlib.suppress(TimedOut):
            await restarting.until(self._of.clock, is_settled, began)
        ready = pair & set(self._leases.state.ready)
        if ready == pair or (ready and not is_new):
            self.warming.discard(release)
            return
        why, folded = self._failing(release), self._folded(pair)
        if is_new and not why and folded > before:
            self.warming.add(release)
            raise TimedOut(
                f"the workers of {release} have folded {folded} records by now and go on; nothing "
                "was moved, every account is enforced by whom it was. Repeat it in a while"
            )
        if is_new and release in self.releases:
            await self._dismiss(release)
        kept = "nothing was moved, every account is enforced by whom it was"
        if not why:
            raise TimedOut(
                f"the workers of {release} are not ready after {restarting.READY_WITHIN_S:g} s; "
                f"{kept}. It is safe to repeat"
            )
        raise OperatorError(
            f"the workers of {release} do not stay up ({why}); {kept}. "
            f"`risk-daemon-admin release verify {release}` says whether it is as it was signed"
        )

    def _folded(self, names: Iterable[str]) -> int:
        """Return how far the slowest of some workers has come by its own word; 0 of one unheard."""
        beats = self._of.beats
        return min((beats[one][1].seq if one in beats else 0 for one in names), default=0)

    def keep_warm(self, release: str) -> None:
        """Start a release's workers, if they are not there, and wait for nothing."""
        if release not in self.releases:
            self.releases.append(release)
            for name in workers_of(release):
                self._of.keep(name)

    def _failing(self, release: str) -> str:
        """Say which worker of a release ended again and again, and its last words; "" if none."""
        for name in workers_of(release):
            child = self._of.children.get(name)
            if child is None:
                return f"{name} was stopped"
            if child.restarts >= GIVEN_UP_AFTER:
                return f"{name} ended {child.restarts} times: {last_words(self._of.home, name)}"
        return ""

    async def retire(self, release: str) -> None:
        """Stop a release's workers; refused while they hold an account, or are our own."""
        held = [lease.account for lease in self._leases.state.leases if lease.release == release]
        is_ours = any(
            self._of.version_of(name) == release for name in self._of.running if not is_worker(name)
        )
        if release == self._of.release or is_ours or held:
            why = f"account {held[0]} is held by it" if held else "the daemon itself is of it"
            raise OperatorError(f"{release} is not retired: {why}", 3)
        if release not in self.releases:
            raise NotFound(f"{release} has no workers here; running: {', '.join(self.releases)}")
        await self._dismiss(release)

    async def _dismiss(self, release: str) -> None:
        for name in workers_of(release):
            self._of.feed_child(name, process.Unwant())
            if name in self._of.running:
                await restarting.gone(self._of.running[name])
        for name in workers_of(release):
            del self._of.children[name]
        self.releases.remove(release)
        self.warming.discard(release)
        self._of.write_down()
