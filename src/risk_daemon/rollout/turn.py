"""The row while one input is worked on, and what several inputs have in common. Pure."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from risk_daemon.rollout import exposure, telling
from risk_daemon.rollout import messages as said
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.plan import Version
from risk_daemon.rollout.row import Command, Hold, Holding, Row

CONTROLLER: Final = "controller"
PERSON: Final = "person"
#: The keys of holds that each account has for itself begin so.
OF_ONE_ACCOUNT: Final = (rows.SWITCH, rows.SMOKE, rows.RECONCILE)

_replace = msgspec.structs.replace


class Outcome(msgspec.Struct, frozen=True):
    """The row after an input, and what is written, told and answered with it."""

    row: Row
    entries: tuple[said.Entry, ...]
    tells: tuple[said.Tell, ...]
    answers: tuple[said.Answer, ...]


class Turn:
    """The row while one input is worked on, and what has been noted so far."""

    def __init__(self, row: Row, given: said.Heard) -> None:
        self.row, self.at = row, given.at
        self.given = given
        self.entries: list[said.Entry] = []
        self.tells: list[said.Tell] = []
        self.answers: list[said.Answer] = []
        self._evidence = ""

    def outcome(self) -> Outcome:
        """Return what came of it."""
        return Outcome(self.row, tuple(self.entries), tuple(self.tells), tuple(self.answers))

    def put(self, **changes: Any) -> None:
        """Change the row."""
        self.row = _replace(self.row, **changes)

    def account(self, number: int, **changes: Any) -> None:
        """Change one account."""
        changed = _replace(self.row.accounts[number], **changes)
        self.put(accounts={**self.row.accounts, number: changed})

    def accounts(self, changed: dict[int, Holding]) -> None:
        """Change several accounts."""
        self.put(accounts={**self.row.accounts, **changed})

    def note(self, what: str, actor: str, reason: str, evidence: str = "") -> None:
        """Write one line of the audit."""
        name = f"{self.row.plan.rollout}/{self.row.notes}"
        evidence = evidence or getattr(self.given, "evidence", "") or self._digest()
        self.entries.append(said.Entry(name, what, actor, reason, evidence))
        self.put(notes=self.row.notes + 1)

    def _digest(self) -> str:
        """Return what names the input; worked out once, however much is noted because of it."""
        if not self._evidence:
            self._evidence = hashlib.sha256(msgspec.msgpack.encode(self.given)).hexdigest()
        return self._evidence

    def tell(self, event: str, why: str = "") -> None:
        """Tell every audience of an event."""
        row, (level, *words) = self.row, telling.WORDS[event]
        phase = rows.phase_of(row)
        values = {
            "candidate": row.plan.candidate,
            "fallback": row.plan.ways_back[0],
            "release": row.plan.fallback,
            "accounts": len(row.order),
            "phase": row.stage,
            "percent": phase.percent if phase else 0,
            "upto": len(rows.members(row)),
            "why": why,
        }
        for audience, text in zip(telling.AUDIENCES, words, strict=True):
            name = f"{row.plan.rollout}/{row.notes}/{audience}"
            self.tells.append(said.Tell(name, audience, level, text.format(**values)))
        self.put(notes=row.notes + 1)

    def order(self, does: str, account: int, version: Version) -> None:
        """Have something done, under an id that never comes again."""
        if account:
            attempt = self.row.accounts[account].attempt + 1
            self.account(account, attempt=attempt)
        else:
            attempt = self.row.notes
            self.put(notes=attempt + 1)
        name = f"{self.row.plan.rollout}/{self.row.stage}/{does}/{account}/{attempt}"
        epoch = self.row.accounts[account].epoch if does == rows.SWITCH else 0
        command = Command(does=does, account=account, version=version, epoch=epoch)
        self.put(commands={**self.row.commands, name: command})

    def drop(self, account: int, *does: str) -> None:
        """Forget what is unanswered for an account."""
        kept = {
            name: one
            for name, one in self.row.commands.items()
            if one.account != account or one.does not in does
        }
        self.put(commands=kept)

    def go(self, stage: str) -> None:
        """Change the stage; what was allowed in the old one no longer is."""
        before = rows.kind(self.row)
        self.put(stage=stage, entered=self.at, turn=self.row.turn + 1)
        assert (before, rows.kind(self.row)) in rows.TRANSITIONS, (before, stage)


def hold(
    turn: Turn,
    key: str,
    actor: str,
    reason: str,
    *,
    abort_at: int = 0,
    event: str = telling.HELD,
) -> None:
    """Switch nobody any more; whoever has an account keeps it. Each reason holds once.

    `abort_at`: if it is still open at that watched ns, the way back. `event` is what is told; where
    the same is open for another account already, nobody is called once more.
    """
    row = turn.row
    is_answered = key in row.resumed and key != PERSON
    if is_answered or any(one.key == key for one in row.holds):
        return
    kept = {name: one for name, one in row.commands.items() if one.does != rows.SWITCH}
    new = Hold(key=key, actor=actor, reason=reason, abort_at=abort_at)
    is_told = any(_is_same_trouble(one.key, key) for one in row.holds)
    turn.put(holds=(*row.holds, new), turn=row.turn + 1, commands=kept)
    all_at(turn, (rows.SWITCHING,), rows.READY)
    turn.note("held", actor, reason)
    if not is_told:
        turn.tell(event, reason)


def _is_same_trouble(one: str, other: str) -> bool:
    """Tell whether two holds differ by their account only."""
    return one.split("/")[0] == other.split("/")[0] and one.split("/")[0] in OF_ONE_ACCOUNT


def end_holds(turn: Turn, gate: str) -> None:
    """End the holds of a gate that says otherwise now, or that a person has accepted."""
    kept = tuple(hold for hold in turn.row.holds if not hold.key.startswith(f"gate/{gate}/"))
    turn.put(holds=kept)


def all_at(
    turn: Turn, where: tuple[str, ...], to: str, among: frozenset[int] | None = None
) -> None:
    turn.accounts(
        {
            number: _replace(holding, at=to)
            for number, holding in turn.row.accounts.items()
            if holding.at in where and (among is None or number in among)
        }
    )


def verify(turn: Turn, number: int) -> None:
    """Have an account looked at, by whoever has it now."""
    version = turn.row.accounts[number].has
    turn.drop(number, rows.SMOKE, rows.RECONCILE)
    turn.account(number, smoke="", reconcile="", failures=0)
    turn.order(rows.SMOKE, number, version)
    turn.order(rows.RECONCILE, number, version)


def enter(turn: Turn, stage: str, actor: str, reason: str) -> None:
    """Begin a phase: what was seen and said in the one before counts no more."""
    row = turn.row
    for gate, opinion in sorted(row.opinions.items()):
        turn.note(f"{gate} says {opinion.says}", gate, opinion.sentence, opinion.evidence)
    turn.go(stage)
    turn.put(
        exposure=exposure.Exposure(),
        opinions={},
        resumed=(),
        asked="" if row.asked == stage else row.asked,
        done_at=row.clock.watched,
    )
    turn.note(f"entered {stage}", actor, reason)
    turn.tell(telling.DONE if stage == rows.DONE else telling.PHASE)


def retire(turn: Turn, version: Version) -> None:
    """Have a release go, once, unless an account is on it: a configuration alone is none."""
    row = turn.row
    in_use = {holding.has.release for holding in row.accounts.values()}
    if not row.retired and version.release not in in_use:
        turn.put(retired=True)
        turn.order(rows.RETIRE, 0, version)
