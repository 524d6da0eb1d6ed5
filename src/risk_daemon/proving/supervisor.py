"""The supervisor of the simulation: the real promotion and process machines, and who watches it.

Its children are the other processes; it knows of a death when the dead one is reaped.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from risk_daemon.core.events import DrainAsked, FeedChanged
from risk_daemon.proving.clockwork import MS, SECOND
from risk_daemon.proving.shell import Shell
from risk_daemon.supervisor import process, promotion
from risk_daemon.supervisor.moving import DRAIN_MS, Showing, unlikeness
from risk_daemon.supervisor.release import is_worker, release_of
from risk_daemon.wire import control
from risk_daemon.wire.heart import LINK_IS_DOWN
from risk_daemon.wire.record import new_record

if TYPE_CHECKING:
    from risk_daemon.proving.world import World

WATCH_EVERY: Final = 100 * MS
MISSED: Final = 500 * MS
FIRST_BEAT: Final = 2 * SECOND
SHOW_WITHIN: Final = 500 * MS
RECONNECT: Final = 50 * MS
#: After how long without an answer a process that tells nothing of itself is killed.
SILENT: Final = {"journal": 1_400 * MS, "link": 2_500 * MS}


class Supervisor(Shell):
    """Starts, watches, promotes."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "supervisor")
        self.promotion = promotion.State(accounts=tuple(world.accounts))

    def begin(self) -> None:
        """Find what runs, start what does not."""
        self.promotion = promotion.State(accounts=tuple(self.world.accounts))
        self.children: dict[str, process.Child] = {}
        self._lives: dict[str, int] = {}
        self._beats: dict[str, int] = {}
        self.journal_life = 0
        self._seq = self._turn = self._moves = 0
        self._shown: dict[str, dict[int, Any]] = {}
        self.moves: dict[int, tuple[str, int]] = {}
        for shell in self.world.children():
            self.children[shell.name] = process.Child(name=shell.name)
            if shell.is_alive:
                self._adopt(shell)
            else:
                self._feed_child(shell.name, process.Want())
        self._connect()
        self._watch(self.life)

    def _adopt(self, shell: Shell) -> None:
        now = self.clock.steady_ns()
        self.children[shell.name] = process.Child(
            name=shell.name, phase=process.Phase.RUNNING, wanted=True, since=now
        )
        self._lives[shell.name] = shell.life
        if is_worker(shell.name):
            self._beats[shell.name] = now + FIRST_BEAT - MISSED
            self.feed(promotion.WorkerFound(shell.name))

    # --- children ------------------------------------------------------------------

    def _feed_child(self, name: str, given: process.Input) -> None:
        now = self.clock.steady_ns()
        self.children[name], outputs = process.step(self.children[name], given, now)
        for output in outputs:
            if isinstance(output, process.Spawn):
                self._say_blind(name)
                self.do(f"starts {name}", self._spawn, name)

    def _spawn(self, name: str) -> None:
        shell = self.world.shells[name]
        if not shell.is_alive:
            shell.start()
        self._lives[name] = shell.life
        self._beats[name] = self.clock.steady_ns() + FIRST_BEAT - MISSED
        self._feed_child(name, process.Started())

    def reaped(self, name: str, life: int) -> None:
        """A child ended and was waited for."""
        if self._lives.get(name) != life:
            return
        del self._lives[name]
        self._beats.pop(name, None)
        self._say_blind(name)
        if is_worker(name):
            self.feed(promotion.WorkerGone(name))
        self._feed_child(name, process.Ended())

    def _say_blind(self, name: str) -> None:
        if name.startswith("link-"):
            login = name.removeprefix("link-")
            blind = FeedChanged(login=login, state="blind", why=LINK_IS_DOWN)
            self.world.to_journal(self, control.Append(0, [new_record(blind)]), _unheard)

    def _watch(self, life: int) -> None:
        if life != self.life:
            return
        now = self.clock.steady_ns()
        for shell in self.world.children():
            if self._lives.get(shell.name) == shell.life and shell.is_alive:
                self._look_at(shell, now)
        for name in sorted(self.children):
            if self.children[name].phase is process.Phase.BACKOFF:  # no other waits for time
                self._feed_child(name, process.Passed())
        if self.promotion.move is not None or self.promotion.dying:
            self.feed(promotion.Passed(now))
        self.later(WATCH_EVERY, self._watch, life)

    def _look_at(self, shell: Any, now: int) -> None:
        """Hear a heartbeat, or notice that there was none for too long."""
        if not (shell.is_frozen or shell.is_held_up):
            self._beats[shell.name] = max(now, self._beats.get(shell.name, 0))
            is_new = is_worker(shell.name) and shell.name not in self.promotion.ready
            if is_new and shell.is_ready:
                self.feed(promotion.WorkerReady(shell.name, release_of(shell.name)))
            return
        within = MISSED if is_worker(shell.name) else SILENT[shell.name.split("-")[0]]
        if now - self._beats.get(shell.name, now) <= within:
            return
        if is_worker(shell.name):
            beyond = now - self._beats.get(shell.name, now) - within
            self.feed(promotion.BeatMissed(shell.name, beyond))
        else:
            self.do(f"kills {shell.name}", shell.kill)

    # --- leases -----------------------------------------------------------------------

    def feed(self, given: promotion.Input) -> None:
        """Hand an input to the promotion machine and do what it says."""
        self.promotion, outputs = promotion.step(self.promotion, given)
        for output in outputs:
            self._carry_out(output)

    def _carry_out(self, output: promotion.Output) -> None:
        match output:
            case promotion.Kill(name=name):
                if not self.world.without.kill(self, name):
                    self.do(f"kills {name}", self.world.shells[name].kill)
            case promotion.Grant():
                self._grant(output)
            case promotion.AskLeases():
                self.world.to_journal(self, control.Leases(0), self._leases_told)
            case promotion.Drain():
                self._drain(output)
            case promotion.EndDrain():
                records = [_drain(output, n, epoch, 0) for n, epoch in output.accounts]
                self.world.to_journal(self, control.Append(0, records), _unheard)
            case promotion.Compare():
                self._compare(output)
            case promotion.Moved(number=number, account=account):
                self.world.judge.moved(account, self.moves[number][0])
            case promotion.Kept():
                pass
            case promotion.MoveEnded(number=number):
                self.moves.pop(number, None)

    def _grant(self, wanted: promotion.Grant) -> None:
        release = release_of(wanted.holder)
        grants = [
            control.Grant(account, epoch, wanted.holder, release)
            for account, epoch in wanted.accounts
        ]
        asked = control.GrantLeases(self.world.judge.granting(), grants)
        self.world.to_journal(self, asked, self._granted)

    def _granted(self, said: Any) -> None:
        if said is None or said.refused:
            self.feed(promotion.GrantFailed())
            return
        mine = {lease.account: lease for lease in self.promotion.leases}
        mine |= {lease.account: _lease(lease) for lease in said.leases}
        self.feed(promotion.LeasesSeen(tuple(mine[n] for n in sorted(mine))))

    def _leases_told(self, said: Any) -> None:
        if said is not None:
            self.feed(promotion.LeasesSeen(tuple(_lease(lease) for lease in said.leases)))

    def _connect(self) -> None:
        journal = self.world.journal
        if not journal.is_alive:
            self.later(RECONNECT, self._connect)
            return
        self.journal_life = journal.life
        self.feed(promotion.GrantFailed())

    def on_lost_journal(self, life: int) -> None:
        """The connection to the journal broke."""
        if life == self.journal_life:
            self.journal_life = 0
            self.later(RECONNECT, self._connect)

    # --- moves -------------------------------------------------------------------------

    def move(self, release: str, accounts: tuple[int, ...]) -> None:
        """Give accounts to a release, as a person asked."""
        self._moves += 1
        self.moves[self._moves] = (release, self.world.clockwork.now)
        now = self.clock.steady_ns()
        self.feed(promotion.MoveAsked(self._moves, accounts, release, now))

    def _drain(self, wanted: promotion.Drain) -> None:
        self._turn += 1
        records = [_drain(wanted, n, epoch, DRAIN_MS) for n, epoch in wanted.accounts]
        answer = partial(self._drained, self._turn)
        self.world.to_journal(self, control.Append(0, records), answer)

    def _drained(self, turn: int, said: Any) -> None:
        if turn != self._turn:
            return
        if said is None or said.refused:
            self.feed(promotion.DrainFailed("the drain was not stored"))
            return
        self._seq = said.last_seq
        self.feed(promotion.DrainStored(self.clock.steady_ns()))

    def _compare(self, wanted: promotion.Compare) -> None:
        turn = self._turn
        self._shown = {}
        for name in (wanted.heir, wanted.holder):
            worker = self.world.shells[name]
            answer = partial(self._was_shown, turn, name, wanted)
            self.send(worker, worker.show, self._seq, wanted.accounts, answer)
        self.later(SHOW_WITHIN, self._is_silent, turn, wanted)

    def _was_shown(
        self, turn: int, name: str, wanted: promotion.Compare, shown: dict[int, Showing]
    ) -> None:
        if turn != self._turn:
            return
        self._shown[name] = shown
        if len(self._shown) < 2:
            return
        holder, heir = self._shown[wanted.holder], self._shown[wanted.heir]
        unlike = {
            account: why
            for account in wanted.accounts
            if (why := unlikeness(holder.get(account), heir.get(account)))
        }
        alike = tuple(account for account in wanted.accounts if account not in unlike)
        self.feed(promotion.Shown(alike, tuple(sorted(unlike.items()))))

    def _is_silent(self, turn: int, wanted: promotion.Compare) -> None:
        if turn == self._turn and wanted.heir not in self._shown:
            self.feed(promotion.HeirSilent(f"{wanted.heir} did not show its accounts in time"))


def _lease(lease: control.Lease) -> promotion.Lease:
    return promotion.Lease(lease.account, lease.holder, lease.epoch, lease.release)


def _drain(
    wanted: promotion.Drain | promotion.EndDrain, account: int, epoch: int, for_ms: int
) -> Any:
    return new_record(
        DrainAsked(
            account=account,
            holder=wanted.holder,
            epoch=epoch,
            release=wanted.release,
            for_ms=for_ms,
        )
    )


def _unheard(said: Any) -> None:
    """Nobody waits for this answer."""
    del said
