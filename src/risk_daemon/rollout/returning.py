"""The way back: every account, the largest open risk first. Pure.

Nothing is asked before it: no guard, no freeze, no hold, no verdict. It raises the epoch of every
account in scope, also of those that never moved, and it ends: each account is back and looked at,
or pinned where it is, with somebody told.
"""

from __future__ import annotations

import msgspec

from risk_daemon.rollout import row as rows
from risk_daemon.rollout import telling
from risk_daemon.rollout.row import Row
from risk_daemon.rollout.turn import CONTROLLER, Turn, retire, verify

_replace = msgspec.structs.replace


def go_back(turn: Turn, ending: str, actor: str, reason: str) -> None:
    """Bring every account back, the largest open risk first. Nothing is asked before it."""
    row = turn.row
    if row.stage in rows.GOING_BACK:
        unpin(turn)
        return
    is_done = row.stage == rows.DONE
    turn.go(rows.ROLLING_BACK if is_done else rows.ABORTING)
    turn.put(
        bumps=row.bumps + 1,
        ending=rows.ROLLED_BACK if is_done else ending,
        why=reason,
        holds=(),
        asked="",
        commands={},
        retired=False,
    )
    turn.accounts(
        {
            number: _replace(
                holding,
                at=rows.SWITCHING,
                moved=holding.moved or holding.has != row.plan.ways_back[0],
                way=0,
                failures=0,
                smoke="",
                reconcile="",
                why="",
            )
            for number, holding in row.accounts.items()
        }
    )
    target = row.plan.ways_back[0]
    if target not in row.warm:
        turn.order(rows.WARM, 0, target)
    for number in by_risk(row):
        turn.order(rows.BACK, number, target)
    turn.note(turn.row.stage, actor, reason)
    turn.tell(telling.GOING_BACK, reason)


def trip(turn: Turn, by: str, why: str) -> None:
    """Go back because of what was seen; before anything was staged nothing can have been."""
    if turn.row.stage not in (rows.DRAFT, rows.GATED, *rows.ENDED, *rows.GOING_BACK):
        go_back(turn, rows.ABORTED, CONTROLLER, f"{by}: {why}")


def by_risk(row: Row) -> tuple[int, ...]:
    """Return all accounts, the largest open risk first."""
    return tuple(sorted(row.accounts, key=lambda one: (-row.accounts[one].risk, one)))


def unpin(turn: Turn) -> None:
    """Try again for accounts that nobody could take back."""
    for number in by_risk(turn.row):
        if turn.row.accounts[number].at == rows.PINNED:
            turn.account(number, at=rows.SWITCHING, way=0, failures=0)
            turn.order(rows.BACK, number, turn.row.plan.ways_back[0])


def settle(turn: Turn) -> None:
    """Count the accounts home, and end when the last one is and has been looked at."""
    row = turn.row
    ways = row.plan.ways_back
    for number, holding in row.accounts.items():
        wanted = ways[holding.way : holding.way + 1] if holding.at == rows.SWITCHING else ways
        is_away = holding.at in (rows.SWITCHING, rows.PINNED)
        if is_away and holding.bumped == row.bumps and holding.has in wanted:
            turn.drop(number, rows.BACK)
            turn.account(number, at=rows.INCUMBENT, failures=0, why="")
            if holding.moved:
                verify(turn, number)
        if holding.at == rows.INCUMBENT and holding.has not in ways:
            # A fail-over gave it to the candidate once more: it is not home any longer.
            turn.drop(number, rows.SMOKE, rows.RECONCILE)
            turn.account(number, at=rows.SWITCHING, way=0, failures=0, smoke="", reconcile="")
            turn.order(rows.BACK, number, ways[0])
    if all(one.at == rows.INCUMBENT for one in turn.row.accounts.values()) and not _left(turn):
        turn.go(turn.row.ending)
        turn.note(turn.row.stage, CONTROLLER, row.why)
        turn.tell(telling.BACK)
        retire(turn, row.plan.candidate)


def _left(turn: Turn) -> bool:
    waited_for = (rows.BACK, rows.SMOKE, rows.RECONCILE)
    return any(one.does in waited_for for one in turn.row.commands.values())
