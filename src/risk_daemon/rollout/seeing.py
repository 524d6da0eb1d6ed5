"""What is seen of gates, workers, leases, accounts and time, taken into the row. Pure.

What is true of an account is what the journal says of its lease, newest epoch first: an answer
that comes late, twice or never changes nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final, assert_never

import msgspec

from risk_daemon.rollout import exposure, freeze, guards, telling
from risk_daemon.rollout import messages as said
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.plan import Version
from risk_daemon.rollout.returning import trip, unpin
from risk_daemon.rollout.row import Command, Holding, Opinion, Row
from risk_daemon.rollout.turn import CONTROLLER, Turn, all_at, end_holds, hold, verify

#: So often one way is tried before the next one; so often a smoke that can't be asked is repeated.
TRIES: Final = 3
#: So many accounts are named where many are meant.
NAMED_MAX: Final = 3

_replace = msgspec.structs.replace


def take(turn: Turn, given: said.Fact) -> None:
    """Take a fact in. What it makes possible comes afterwards, in `_go_on`."""
    if rows.is_over(turn.row) and not isinstance(given, said.Carried):
        return
    match given:
        case said.Judged():
            _judged(turn, given)
        case said.Tripped():
            trip(turn, given.by, given.reason)
        case said.WorkerReady() | said.WorkerGone() | said.CaughtUp():
            _worker(turn, given)
        case said.LeasesSeen() | said.Switched() | said.SwitchFailed():
            _leases(turn, given)
        case said.SmokeSaid() | said.Reconciled():
            _looked(turn, given)
        case said.Carried(id=name):
            commands = turn.row.commands
            turn.put(commands={one: told for one, told in commands.items() if one != name})
        case said.Passed() | said.Decided() | said.Witnessed():
            _exposed(turn, given)
        case said.FreezesSet(freezes=freezes):
            turn.put(freezes=(*turn.row.plan.freezes, *freezes))
        case said.BudgetSeen(spent=spent):
            turn.put(spent=spent)
        case said.AccountAdded() | said.AccountRemoved() | said.RiskSeen():
            _population(turn, given)
        case _ as never:
            assert_never(never)


def _judged(turn: Turn, given: said.Judged) -> None:
    row = turn.row
    if given.version != row.plan.candidate:
        return
    if not given.phase:
        if given.gate in row.plan.gates:
            opinion = Opinion(says=given.says, sentence=given.sentence, evidence=given.evidence)
            turn.put(gates={**row.gates, given.gate: opinion})
        return
    if given.says == rows.FAIL:
        trip(turn, given.gate, given.sentence)
        return
    phase = rows.phase_of(row)
    if phase is None or given.phase != phase.name:
        return  # of another phase; and nothing that is judged holds a way back
    before = row.opinions.get(given.gate)
    watched = row.clock.watched
    is_blind = given.says == rows.UNMEASURABLE
    opinion = Opinion(
        says=given.says,
        sentence=given.sentence,
        evidence=given.evidence,
        measured=before.measured if before and is_blind else watched,
    )
    turn.put(opinions={**row.opinions, given.gate: opinion})
    if given.says == rows.PASS:
        end_holds(turn, given.gate)
    if given.says == rows.HOLD and not rows.is_overridden(row, given.gate, turn.at):
        deadline = watched + given.abort_after_ns if given.abort_after_ns else 0
        key = f"gate/{given.gate}/{given.evidence}"
        hold(turn, key, given.gate, given.sentence, abort_at=deadline)


def _worker(turn: Turn, given: said.WorkerReady | said.WorkerGone | said.CaughtUp) -> None:
    row = turn.row
    match given:
        case said.WorkerReady(version=version):
            turn.put(warm=tuple(dict.fromkeys((*row.warm, version))))
            if version == row.plan.candidate:
                all_at(turn, (rows.WARMING,), rows.SHADOWING)
            if row.stage in rows.GOING_BACK and version in row.plan.ways_back:
                unpin(turn)
        case said.WorkerGone(version=version):
            turn.put(warm=tuple(one for one in row.warm if one != version))
            if version == row.plan.candidate and rows.is_live(row):
                all_at(turn, (rows.SHADOWING, rows.READY), rows.WARMING)
                if given.crashed:
                    trip(turn, f"a worker of {version} crashed", given.why)
        case said.CaughtUp(accounts=accounts):
            all_at(turn, (rows.SHADOWING,), rows.READY, frozenset(accounts))
        case _ as never:
            assert_never(never)


def _leases(turn: Turn, given: said.LeasesSeen | said.Switched | said.SwitchFailed) -> None:
    if isinstance(given, said.LeasesSeen):
        see(turn, given.held)
        return
    command = turn.row.commands.get(given.id)
    if command is not None and command.does == rows.BACK:
        # It was given after every epoch had been raised, and so was its answer.
        turn.account(command.account, bumped=turn.row.bumps)
    see(turn, (given.held,))
    if command is None or given.id not in turn.row.commands:
        return  # answered before, given up, or done whatever the answer says
    if given.held.version != command.version:
        why = given.why if isinstance(given, said.SwitchFailed) else "the lease says otherwise"
        turn.drop(command.account, rows.SWITCH, rows.BACK)
        _failed(turn, command, why)


def see(turn: Turn, told: Sequence[said.Held], bumps: int = 0) -> None:
    """Take the journal's word on accounts; one hold for all that are where they should not be.

    `bumps` is after how many bumps it was read, where that is known.
    """
    members = set(rows.members(turn.row))
    outside: list[int] = []
    left: dict[Version, list[said.Held]] = {}
    for held in told:
        before = turn.row.accounts.get(held.account)
        if before is None or held.epoch < before.epoch:
            continue  # a newer word is known
        where = _seen(turn, held, before, bumps)
        if where == rows.ACTIVE and held.account not in members:
            outside.append(held.account)
        elif where == rows.SHADOWING:
            left.setdefault(held.version, []).append(held)
    if outside:
        why = f"the candidate has {_named(outside)}, whose phase has not come"
        hold(turn, f"outside/{_key(outside)}", CONTROLLER, why)
    for version, gone in left.items():
        why = f"{_named([one.account for one in gone])} left the candidate for {version}"
        key = _key([n for one in gone for n in (one.account, one.epoch)])
        hold(turn, f"left/{key}", CONTROLLER, why)


def _named(accounts: Sequence[int]) -> str:
    """Name accounts, of many the first ones."""
    if len(accounts) == 1:
        return f"account {accounts[0]}"
    shown = ", ".join(map(str, accounts[:NAMED_MAX]))
    more = len(accounts) - NAMED_MAX
    return f"{len(accounts)} accounts ({shown}{f' and {more} more' * (more > 0)})"


def _key(numbers: Sequence[int]) -> str:
    """Tell one set of accounts from any other, in few characters."""
    return hashlib.sha256("/".join(map(str, numbers)).encode()).hexdigest()[:16]


def _seen(turn: Turn, held: said.Held, holding: Holding, bumps: int) -> str:
    """Take in who has one account now; return where that is news: active, or shadowing again."""
    row = turn.row
    is_candidates = held.version == row.plan.candidate
    turn.account(
        held.account,
        has=held.version,
        epoch=held.epoch,
        moved=holding.moved or is_candidates,
        bumped=max(holding.bumped, bumps),
    )
    if rows.phase_of(row) is None:
        return ""  # going back: `settle` looks at every account
    if is_candidates and holding.at != rows.ACTIVE:
        turn.drop(held.account, rows.SWITCH)
        turn.account(held.account, at=rows.ACTIVE, failures=0, why="")
        turn.note(f"account {held.account} active", CONTROLLER, str(held.version))
        verify(turn, held.account)
        return rows.ACTIVE
    if not is_candidates and holding.at == rows.ACTIVE:
        turn.drop(held.account, rows.SMOKE, rows.RECONCILE)
        turn.account(held.account, at=rows.SHADOWING, smoke="", reconcile="")
        return rows.SHADOWING
    return ""


def _failed(turn: Turn, command: Command, why: str) -> None:
    """Try again, then otherwise, then have a person look: every account comes to an end."""
    number = command.account
    holding = turn.row.accounts[number]
    failures = holding.failures + 1
    turn.account(number, failures=failures, why=why)
    if command.does == rows.SWITCH:
        is_last = failures >= TRIES
        turn.account(number, at=rows.SWITCH_FAILED if is_last else rows.READY)
        if is_last:
            reason = f"account {number} could not be switched: {why}"
            hold(turn, f"switch/{number}/{holding.attempt}", CONTROLLER, reason)
        return
    if failures >= TRIES:
        way = holding.way + 1
        if way == len(turn.row.plan.ways_back):
            turn.account(number, at=rows.PINNED)
            reason = f"account {number} stays on {holding.has}: {why}"
            turn.note("pinned", CONTROLLER, reason)
            turn.tell(telling.STUCK, reason)
            return
        turn.account(number, failures=0, way=way)
    back = turn.row.accounts[number].way
    turn.order(rows.BACK, number, turn.row.plan.ways_back[back])


def _looked(turn: Turn, given: said.SmokeSaid | said.Reconciled) -> None:
    command = turn.row.commands.get(given.id)
    wanted = rows.SMOKE if isinstance(given, said.SmokeSaid) else rows.RECONCILE
    if command is None or command.does != wanted:
        return
    number = command.account
    kept = {name: one for name, one in turn.row.commands.items() if name != given.id}
    turn.put(commands=kept)
    turn.account(number, **{wanted: given.says})
    if given.says == rows.PASS:
        return
    reason = f"the {wanted} of account {number} says {given.says}: {given.why}"
    failures = turn.row.accounts[number].failures + 1
    if given.says == rows.UNMEASURABLE and failures < TRIES:
        turn.account(number, failures=failures)
        turn.order(wanted, number, command.version)
    elif turn.row.stage in rows.GOING_BACK:
        turn.note(wanted, CONTROLLER, reason)
        if not _is_called_for(turn.row, number, wanted, given.says):
            turn.tell(telling.STUCK, reason)
    elif given.says == rows.UNMEASURABLE:
        hold(turn, f"{wanted}/{number}/{given.id}", CONTROLLER, reason)
    else:
        trip(turn, wanted, reason)


def _is_called_for(row: Row, number: int, wanted: str, says: str) -> bool:
    """Tell whether people were called for another account that looks as bad; status names all.

    A way back begins with nobody looked at: what was seen on the way forward silences none.
    """
    return any(
        other != number and getattr(one, wanted) == says for other, one in row.accounts.items()
    )


def _exposed(turn: Turn, given: said.Passed | said.Decided | said.Witnessed) -> None:
    row = turn.row
    is_exposed = row.plan.candidate in row.warm and guards.part(row, turn.at) in guards.EXPOSED
    match given:
        case said.Passed():
            counts = is_exposed and given.trusted and freeze.is_representative(row.freezes, turn.at)
            seen, clock = exposure.count(
                row.exposure, row.clock, given.spans, turn.at, given.steady, counts
            )
            turn.put(exposure=seen, clock=clock)
        case said.Decided(events=events) if is_exposed:
            turn.put(exposure=_replace(row.exposure, events=row.exposure.events + events))
        case said.Witnessed(situation=situation) if is_exposed:
            turn.put(exposure=exposure.witness(row.exposure, situation))
        case _:
            pass  # seen before the phase has all its accounts: not of this phase


def _population(turn: Turn, given: said.AccountAdded | said.AccountRemoved | said.RiskSeen) -> None:
    row = turn.row
    match given:
        case said.AccountAdded(held=held):
            if held.account in row.accounts or rows.is_over(row):
                return
            at = rows.INCUMBENT
            if row.stage in rows.GOING_BACK:
                at = rows.SWITCHING
            elif row.stage not in (rows.DRAFT, rows.GATED):
                at = rows.SHADOWING if row.plan.candidate in row.warm else rows.WARMING
            holding = Holding(
                has=held.version, epoch=held.epoch, risk=given.risk, at=at, bumped=row.bumps
            )
            turn.accounts({held.account: holding})
            turn.put(order=(*row.order, held.account))
            if at == rows.SWITCHING:
                turn.order(rows.BACK, held.account, row.plan.ways_back[0])
        case said.AccountRemoved(account=gone):
            turn.put(
                accounts={n: one for n, one in row.accounts.items() if n != gone},
                order=tuple(n for n in row.order if n != gone),
                commands={n: one for n, one in row.commands.items() if one.account != gone},
            )
        case said.RiskSeen(risks=risks):
            turn.accounts(
                {
                    number: _replace(row.accounts[number], risk=risk)
                    for number, risk in risks
                    if number in row.accounts
                }
            )
        case _ as never:
            assert_never(never)
