"""What a new policy changes, and which part of it may take effect at once. Pure.

Only a tightening that one account's own file asks for applies now; a loosening,
a change of all accounts, and whatever is neither tighter nor looser wait for
the next trade day (decisions 3.3). Nothing here unlocks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from risk_daemon.core.events import PolicyAdopted, RuleSetting
from risk_daemon.operations.configuration.problems import shown
from risk_daemon.rules import CATALOG, ParameterError
from risk_daemon.rules.parameters import LOWER, Tighter

TIGHTER: Final = "tighter"
LOOSER: Final = "looser"
OTHER: Final = "other"
#: Keys an account's own file gives, by rule and key: what it asks for is no change of all accounts.
type Own = frozenset[tuple[str, str]]

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_ACCOUNT_KEYS: Final = ("name", "login", "calendar", "day_roll")


@dataclass(frozen=True, slots=True)
class Change:
    """One key of one rule of one account (`rule` "": the account itself)."""

    account: int
    rule: str
    key: str
    before: object
    after: object
    way: str
    is_own: bool

    @property
    def applies_now(self) -> bool:
        """Whether it needs neither the next trade day nor a second person."""
        return self.way == TIGHTER and self.is_own

    def words(self) -> str:
        """Say what changes, and whether it is tighter."""
        where = f"{self.rule} {self.key}".strip()
        scope = "" if self.is_own else ", for all accounts"
        change = f"from {_said(self.before)} to {_said(self.after)}"
        return f"{where} {change}: {self.way}{scope}"


def _said(value: object) -> str:
    return "none" if value is None else shown(value)


def changes(before: PolicyAdopted, after: PolicyAdopted, own: Own) -> list[Change]:
    """Every difference of two policies of an account, in the order of rules and keys."""
    found = [
        Change(after.account, "", key, getattr(before, key), getattr(after, key), OTHER, True)
        for key in _ACCOUNT_KEYS
        if getattr(before, key) != getattr(after, key)
    ]
    old = {setting.rule: setting for setting in before.rules}
    new = {setting.rule: setting for setting in after.rules}
    for rule in sorted(old.keys() | new.keys()):
        found += _of_rule(after.account, rule, (old.get(rule), new.get(rule)), own)
    return found


def _of_rule(
    account: int, rule: str, settings: tuple[RuleSetting | None, RuleSetting | None], own: Own
) -> Iterator[Change]:
    was, becomes = settings
    is_own = any(name == rule for name, _ in own)
    if was is None or becomes is None:
        modes = [one.mode if one else None for one in settings]
        way = (TIGHTER if was is None else LOOSER) if "enforce" in modes else OTHER
        yield Change(account, rule, "mode", modes[0], modes[1], way, is_own)
        return
    if was.mode != becomes.mode:
        way = _way_of_modes(was.mode, becomes.mode)
        yield Change(account, rule, "mode", was.mode, becomes.mode, way, (rule, "mode") in own)
    kind = CATALOG.get(rule)
    defaults = kind.defaults if kind else {}
    for key in sorted(was.params.keys() | becomes.params.keys()):
        before = was.params.get(key, defaults.get(key))
        after = becomes.params.get(key, defaults.get(key))
        if before != after:
            way = way_of(kind.tighter.get(key) if kind else None, before, after)
            yield Change(account, rule, key, before, after, way, (rule, key) in own)


def _way_of_modes(before: str, after: str) -> str:
    """A mode that acts is tighter than one that only tells, or records."""
    if "enforce" not in (before, after):
        return OTHER
    return TIGHTER if after == "enforce" else LOOSER


def way_of(tighter: Tighter | None, before: object, after: object) -> str:
    """Which way a value goes; what can't be compared is neither tighter nor looser."""
    if tighter is None:
        return OTHER
    if isinstance(before, Mapping) or isinstance(after, Mapping):
        return _way_of_table(tighter, before, after)
    if before is None or after is None:
        # "none" never protects more than a value.
        return TIGHTER if before is None else LOOSER
    ranks = [_rank(tighter, value) for value in (before, after)]
    if ranks[0] is None or ranks[1] is None or ranks[0] == ranks[1]:
        return OTHER
    return TIGHTER if ranks[1] > ranks[0] else LOOSER


def _way_of_table(tighter: Tighter, before: object, after: object) -> str:
    """A table, key by key: of one way if all its changes are."""
    old = before if isinstance(before, Mapping) else {}
    new = after if isinstance(after, Mapping) else {}
    ways = {
        way_of(tighter, old.get(key), new.get(key))
        for key in old.keys() | new.keys()
        if old.get(key) != new.get(key)
    }
    return ways.pop() if len(ways) == 1 else OTHER


def _rank(tighter: Tighter, value: object) -> Decimal | None:
    """How much a value protects: more is tighter. None: not comparable."""
    if isinstance(tighter, tuple):
        return Decimal(tighter.index(value)) if value in tighter else None
    measured = _measured(str(value))
    return -measured if measured is not None and tighter == LOWER else measured


def _measured(text: str) -> Decimal | None:
    """A number, a duration in seconds, or a time of the day in minutes."""
    span = re.fullmatch(r"(\d+)([smhd])", text)
    if span is not None:
        return Decimal(int(span[1]) * _SECONDS[span[2]])
    clock = re.fullmatch(r"(\d{1,2}):(\d{2})", text)
    if clock is not None:
        return Decimal(int(clock[1]) * 60 + int(clock[2]))
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


# --- what applies now -----------------------------------------------------------


def split(
    before: PolicyAdopted, after: PolicyAdopted, own: Own
) -> tuple[PolicyAdopted, list[Change]]:
    """Take what applies now into the policy in force; the rest waits, and is returned."""
    found = changes(before, after, own)
    later = [change for change in found if not change.applies_now]
    if not later:
        return after, []
    old = {setting.rule: setting for setting in before.rules}
    new = {setting.rule: setting for setting in after.rules}
    settings: list[RuleSetting] = []
    for rule in sorted(old.keys() | new.keys()):
        now = [one for one in found if one.rule == rule and one.applies_now]
        taken = _taken(old.get(rule), new.get(rule), now)
        if taken is old.get(rule):
            # Its tighter keys make no valid rule without the looser ones: all of it waits.
            later += [one for one in now if one not in later]
        settings += [taken] if taken is not None else []
    return msgspec.structs.replace(before, rules=tuple(settings)), later


def _taken(
    was: RuleSetting | None, becomes: RuleSetting | None, now: Iterable[Change]
) -> RuleSetting | None:
    """A rule with the changes that apply now; as it was where there are none."""
    mode, params, is_changed = "", dict(was.params if was else {}), False
    for change in now:
        is_changed = True
        if was is None:
            return becomes
        assert becomes is not None
        if change.key == "mode":
            mode = becomes.mode
        elif change.key in becomes.params:
            params[change.key] = becomes.params[change.key]
        else:
            params.pop(change.key, None)
    if was is None or not is_changed:
        return was
    try:
        CATALOG[was.rule].parse(params)
    except (KeyError, ParameterError):
        return was
    return RuleSetting(rule=was.rule, mode=mode or was.mode, params=params)
