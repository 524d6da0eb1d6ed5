"""From a finding to its incident, its lock, and the target it demands.

Latching is here, once for all rules: a breach is found once until its condition
is false and its lock is over; a limit that was broken when it was adopted holds
back until it was met. Locks are remembered by name after their end, because
their own records come back in the stream.
"""

from __future__ import annotations

from typing import Final, assert_never

from risk_daemon.core import session, shadow
from risk_daemon.core.account import Account, Incident
from risk_daemon.core.decision import (
    ALERT,
    ENFORCE,
    REDUCE_ONLY,
    SHADOW,
    Breach,
    Clear,
    Finding,
    LockWish,
    Several,
    Target,
    Undecided,
    target_of,
)
from risk_daemon.core.events import (
    AlarmRaised,
    BreachFound,
    Fact,
    LockEnded,
    LockPlaced,
    RuleSetting,
)
from risk_daemon.core.lockout import Lock
from risk_daemon.core.world import World

REASONS_MAX: Final = 12
LOCK_NAMES_MAX: Final = 128


def weigh(
    account: Account, setting: RuleSetting, finding: Finding, world: World
) -> tuple[list[Fact], list[Target]]:
    """Turn one finding into its incidents, its locks, and the targets it demands."""
    match finding:
        case Undecided():
            return [], []
        case Clear():
            return _clear(account, setting, finding), []
        case Breach() as breach:
            return _breach(account, setting, breach, world)
        case Several(breaches=breaches):
            _close_incidents(account, setting, {breach.part for breach in breaches})
            outputs: list[Fact] = []
            targets: list[Target] = []
            for breach in breaches:
                found, wanted = _breach(account, setting, breach, world)
                outputs += found
                targets += wanted
            return outputs, targets
        case _ as never:
            assert_never(never)


def _close_incidents(account: Account, setting: RuleSetting, but: set[str]) -> None:
    """End a rule's latches, but those of the named parts and those whose lock still stands."""
    for name in sorted(account.incidents):
        rule, _, part = name.partition("|")
        incident = account.incidents[name]
        if rule == setting.rule and part not in but:
            shadow.lift(account, name)
            if incident.lock not in account.locks:
                incident.is_open = False


def _clear(account: Account, setting: RuleSetting, finding: Clear) -> list[Fact]:
    outputs = _warn(account, setting, finding)
    _close_incidents(account, setting, set())
    if setting.rule in account.unarmed and account.known:
        account.unarmed.remove(setting.rule)
        name = f"unarmed:{setting.rule}"
        shadow.lift(account, name)
        if name in account.locks:
            outputs.append(end_lock(account, name, "the condition is false"))
    return outputs


def _warn(account: Account, setting: RuleSetting, finding: Clear) -> list[Fact]:
    """Tell once a day that a share of a limit is used; a larger share is told anew."""
    nearing = finding.nearing
    if nearing is None or setting.mode == SHADOW:
        return []
    if nearing.share <= account.warned.get(setting.rule, 0):
        return []
    account.warned[setting.rule] = nearing.share
    return [alarm(account, "warn", f"{setting.rule} is near", nearing.text)]


def _breach(
    account: Account, setting: RuleSetting, breach: Breach, world: World
) -> tuple[list[Fact], list[Target]]:
    if setting.rule in account.unarmed:
        return _hold_back(account, setting, breach, world), []
    outputs: list[Fact] = []
    part = f"{setting.rule}|{breach.part}"
    if shadow.is_overruled(account, part):
        return [], []
    incident = account.incidents.get(part)
    lock_is_gone = incident is not None and incident.lock and incident.lock not in account.locks
    if incident is None or not incident.is_open or lock_is_gone:
        incident = _open_incident(account, part, breach, world)
        outputs.append(_breach_found(account, setting, breach, incident))
        _tell(account, setting, breach, world)
        if setting.mode == ALERT:
            outputs.append(alarm(account, "warn", setting.rule, breach.text))
        if setting.mode == ENFORCE:
            account.trips[setting.rule] = account.trips.get(setting.rule, 0) + 1
            if breach.remedy.lock is not None:
                wish = breach.remedy.lock
                outputs += _place_lock(account, setting.rule, breach, wish, incident, world)
    if setting.mode != ENFORCE:
        return outputs, []
    return outputs, [target_of(breach.remedy)]


def _hold_back(account: Account, setting: RuleSetting, breach: Breach, world: World) -> list[Fact]:
    """A limit that was broken the moment it was adopted reduces, and tells; it never closes."""
    name = f"unarmed:{setting.rule}"
    if name in account.locks or setting.mode != ENFORCE or shadow.is_overruled(account, name):
        return []
    text = (
        f"{setting.rule} was already broken when it was adopted ({breach.text});"
        " reduce-only until an admin confirms, or until it has been met once"
    )
    placed = LockPlaced(
        account=account.account,
        lock=name,
        rule=setting.rule,
        mode=REDUCE_ONLY,
        began_at=world.at,
        until=None,
        reason=text,
        scope="configuration",
    )
    stand(account, placed, world.seq, held_now(account))
    return [placed, alarm(account, "urgent", "limit broken at adoption", text)]


def _open_incident(account: Account, part: str, breach: Breach, world: World) -> Incident:
    before = account.incidents.get(part)
    number = before.number + 1 if before else 1
    incident = Incident(
        number=number, is_open=True, since=world.at, seq=world.seq, text=breach.text
    )
    account.incidents[part] = incident
    return incident


def _incident_name(account: Account, part: str, incident: Incident) -> str:
    return f"{account.account}:{part.replace('|', ':').rstrip(':')}:{incident.seq}"


def _breach_found(
    account: Account, setting: RuleSetting, breach: Breach, incident: Incident
) -> BreachFound:
    return BreachFound(
        account=account.account,
        rule=setting.rule,
        mode=setting.mode,
        incident=_incident_name(account, f"{setting.rule}|{breach.part}", incident),
        observed=breach.observed,
        limit=breach.limit,
        text=breach.text,
    )


def _place_lock(
    account: Account,
    rule: str,
    breach: Breach,
    wish: LockWish,
    incident: Incident,
    world: World,
) -> list[Fact]:
    part = f"{breach.part}:" if breach.part else ""
    name = wish.name or f"{rule}:{part}{world.seq}"
    placed = LockPlaced(
        account=account.account,
        lock=name,
        rule=rule,
        mode=wish.mode,
        began_at=world.at,
        until=wish.until,
        reason=breach.text,
        scope=wish.scope,
        incident=_incident_name(account, f"{rule}|{breach.part}", incident),
    )
    incident.lock = name
    stand(account, placed, world.seq, held_now(account))
    return [placed]


def _tell(account: Account, setting: RuleSetting, breach: Breach, world: World) -> None:
    line = f"{session.show_chicago(world.at)}: {setting.rule} ({setting.mode}): {breach.text}"
    account.reasons.append(line)
    del account.reasons[:-REASONS_MAX]


# --- locks and alarms, for all who place or raise them -------------------------


def alarm(account: Account, level: str, what: str, text: str) -> AlarmRaised:
    """Tell people."""
    return AlarmRaised(account=account.account, level=level, what=what, text=text, source="worker")


def end_lock(account: Account, name: str, why: str) -> LockEnded:
    """End a lock, and with it the person's act it stood for."""
    lock = account.locks.pop(name)
    for act in sorted(account.acts):
        if lock.placed.lock == f"kill-switch:{act}":
            del account.acts[act]
    return LockEnded(account=account.account, lock=name, why=why)


def stand(account: Account, placed: LockPlaced, seq: int, allowance: dict[str, int]) -> None:
    """Put a lock in force, and remember its name: its own record is about to come back."""
    account.locks[placed.lock] = Lock(placed=placed, allowance=allowance)
    names = account.lock_names
    names[placed.lock] = seq
    if len(names) > LOCK_NAMES_MAX:
        del names[min(names, key=lambda name: (names[name], name))]


def held_now(account: Account) -> dict[str, int]:
    """Return what is held, as the allowance a reduce-only lock begins with."""
    return {name: abs(held.exposure) for name, held in account.holdings.items() if held.exposure}
