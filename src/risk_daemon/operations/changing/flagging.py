"""`flag list | set | clear`: rules in another mode for a while, on an account or a percentage."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from risk_daemon.core.events import PolicyAdopted
from risk_daemon.errors import NotFound, Refused, UsageError
from risk_daemon.operations import home, state_file
from risk_daemon.operations.accounts.looking import find_account
from risk_daemon.operations.changing import difference, editing, policy
from risk_daemon.operations.changing.editing import Wish
from risk_daemon.operations.configuration import flags
from risk_daemon.operations.configuration.flags import LONGEST_DAYS, Flag
from risk_daemon.operations.configuration.flags_file import FILE
from risk_daemon.operations.configuration.loading import Configuration, load
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import Outcome

LIST: Final = "risk-daemon-admin flag list"
NEXT: Final = "risk-daemon-admin flag set --help"


# --- list ----------------------------------------------------------------------


def show(at: Home) -> Outcome:
    """Show every flag that is not over, with the accounts on which it is in force."""
    home.open_home(at)
    configuration = load(at.config)
    policies = {one.account: one for one in configuration.policies}
    flagged = [one for one in configuration.flags if not one.ends]
    living = flags.living(flagged, policies, configuration.at)
    in_force = modes_in_force(at)
    rows = [_row(flag, policies, in_force, living, configuration.at) for flag in living]
    lines = tuple(_line(flag, row) for flag, row in zip(living, rows, strict=True))
    return Outcome(
        lines or ("no flag is set: every rule is in its policy's own mode",),
        data={"flags": rows},
        next_command=NEXT,
    )


def modes_in_force(at: Home) -> dict[tuple[int, str], str]:
    """The mode of each rule of each account, as it was adopted last."""
    try:
        standing = state_file.standing(at)
    except NotFound:
        return {}
    return {
        (number, rule.rule): rule.mode
        for number, one in standing.policies.items()
        for rule in one.rules
    }


def _row(
    flag: Flag,
    policies: dict[int, PolicyAdopted],
    in_force: dict[tuple[int, str], str],
    living: Sequence[Flag],
    now: int,
) -> dict[str, Any]:
    mine = [
        number
        for number in flag.accounts
        if number in policies
        and flags.speaks(living, policies[number], flag.rule, now) == flag
        and any(one.rule == flag.rule for one in policies[number].rules)
    ]
    acting = [number for number in mine if in_force.get((number, flag.rule)) == flag.mode]
    row: dict[str, Any] = msgspec.to_builtins(flag)
    row["in_force"] = acting
    row["not_yet"] = [number for number in mine if number not in acting]
    return row


def _line(flag: Flag, row: dict[str, Any]) -> str:
    parts = [
        f"{words} {', '.join(map(str, row[key]))}"
        for key, words in (("in_force", "in force on"), ("not_yet", "not yet in force on"))
        if row[key]
    ]
    why = f": {flag.reason}" if flag.reason else ""
    return (
        f"{flag.rule}: {flag.mode} on {flag.scope} until {flag.until}, owner {flag.owner}{why}; "
        f"{'; '.join(parts) or 'in force nowhere'}"
    )


# --- set -----------------------------------------------------------------------


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a person asks for: exactly one of `account` and `percent`."""

    rule: str
    mode: str
    account: str | None
    percent: int | None
    owner: str
    until: str


def put(at: Home, asked: Asked, who: Who, *, dry_run: bool, accepts: int = 0) -> Outcome:
    """Set a flag; one of the same rule and scope is replaced."""
    home.open_home(at)
    editing.known_rule(asked.rule)
    editing.check_mode(asked.rule, asked.mode)
    if (asked.account is None) == (asked.percent is None):
        raise UsageError("say whom the flag is for: either --account A or --percent P.")
    if not asked.owner.strip():
        raise UsageError("--owner is empty; it names who answers for the flag.")
    configuration = load(at.config)
    flag = _flag(at, asked, who, configuration)
    _check_until(flag, configuration)
    text = f"flag {flag.rule}: {flag.mode} on {flag.scope} until {flag.until} ({flag.owner})"
    wish = Wish(FILE, lambda tree: _replace(tree, flag, configuration), text)
    return carry_out(at, wish, flag, who, dry_run=dry_run, accepts=accepts)


def _flag(at: Home, asked: Asked, who: Who, configuration: Configuration) -> Flag:
    accounts: tuple[int, ...]
    if asked.account is not None:
        accounts, percent = (find_account(at, asked.account)[0],), 0
    else:
        percent = asked.percent or 0
        known = sorted(
            one.account
            for one in configuration.policies
            if any(rule.rule == asked.rule for rule in one.rules)
        )
        if not known:
            raise Refused(
                f"no account's policy has {asked.rule}, and a flag brings no limit; nothing was "
                f"changed. `risk-daemon-admin config set-rule all {asked.rule} mode=alert` adds it."
            )
        before = [
            one.accounts for one in configuration.flags if one.percent and one.rule == asked.rule
        ]
        accounts = flags.drawn(asked.rule, percent, known, before[0] if before else ())
    return Flag(
        rule=asked.rule,
        mode=asked.mode,
        accounts=accounts,
        percent=percent,
        owner=asked.owner.strip(),
        until=asked.until,
        reason=who.reason,
    )


def _check_until(flag: Flag, configuration: Configuration) -> None:
    """Refuse what is no date, is over, or is too far to be a trial."""
    days = [
        flags.day_of(one, configuration.at)
        for one in configuration.policies
        if one.account in flag.accounts
    ]
    today = dt.date.fromisoformat(max(days, default="1970-01-01"))
    last = today + dt.timedelta(days=LONGEST_DAYS)
    try:
        until = dt.date.fromisoformat(flag.until)
        is_plain = until.isoformat() == flag.until
    except ValueError:
        until, is_plain = today, False
    if not is_plain or not today <= until <= last:
        raise UsageError(
            f"--until is {flag.until!r}; allowed: a date from {today} (this trade date) to {last}, "
            "like 2026-12-31; the flag ends with that trade date. Nothing was changed."
        )


def _rows(tree: Any) -> Any:
    if tree.get("flags") is None:
        tree["flags"] = CommentedSeq()
    return tree["flags"]


def _is_same(row: Any, flag: Flag) -> bool:
    if row["rule"] != flag.rule:
        return False
    return "percent" in row if flag.percent else row.get("account") == flag.accounts[0]


def _replace(tree: Any, flag: Flag, configuration: Configuration) -> None:
    """Put a flag in the place of the one it replaces, else behind all; what is over goes."""
    rows, made = _rows(tree), _entry(flag)
    policies = {one.account: one for one in configuration.policies}
    gone = {
        one.name
        for one in configuration.flags
        if all(
            flags.day_of(policies[number], configuration.at) > one.until
            for number in one.accounts
            if number in policies
        )
    }
    for place in reversed(range(len(rows))):
        same = _is_same(rows[place], flag)
        row = rows[place]
        name = f"{row['rule']}:{str(row['percent']) + '%' if 'percent' in row else row['account']}"
        if same or name in gone:
            del rows[place]
    rows.append(made)


def _entry(flag: Flag) -> CommentedMap:
    entry = CommentedMap({"rule": flag.rule, "mode": flag.mode})
    if flag.percent:
        entry["percent"] = flag.percent
        drawn = CommentedSeq(flag.accounts)
        drawn.fa.set_flow_style()
        entry["accounts"] = drawn
    else:
        entry["account"] = flag.accounts[0]
    entry["owner"] = DoubleQuotedScalarString(flag.owner)
    entry["until"] = DoubleQuotedScalarString(flag.until)
    entry["reason"] = DoubleQuotedScalarString(flag.reason)
    return entry


# --- clear ---------------------------------------------------------------------


def clear(
    at: Home, rule: str, account: str | None, who: Who, *, dry_run: bool, accepts: int = 0
) -> Outcome:
    """End a flag before its time: that of the account, else that of the percentage."""
    home.open_home(at)
    editing.known_rule(rule)
    number = find_account(at, account)[0] if account is not None else 0
    configuration = load(at.config)
    policies = {one.account: one for one in configuration.policies}
    living = flags.living(configuration.flags, policies, configuration.at)
    mine = [one for one in living if one.rule == rule and not one.ends]
    found = [
        one
        for one in mine
        if (one.accounts == (number,) and not one.percent if number else one.percent)
    ]
    if not found:
        scope = f"account {number}" if number else "a percentage of the accounts"
        others = ", ".join(one.scope for one in mine)
        there = f"{rule} has a flag on {others}" if others else f"{rule} has no flag"
        raise NotFound(
            f"no flag of {rule} is on {scope}: {there}; nothing was changed. `{LIST}` lists them."
        )
    flag = found[0]
    wish = Wish(
        FILE, lambda tree: _end(tree, flag), f"flag {rule}: {flag.mode} on {flag.scope} cleared"
    )
    return carry_out(at, wish, flag, who, dry_run=dry_run, accepts=accepts)


def _end(tree: Any, flag: Flag) -> None:
    for row in _rows(tree):
        if _is_same(row, flag):
            row["cleared"] = True


def carry_out(
    at: Home, wish: Wish, flag: Flag, who: Who, *, dry_run: bool, accepts: int
) -> Outcome:
    """Say what it changes of each account, in words, and do it."""
    after = editing.tried(at, wish)
    changes, rows = policy.compare(at, after, at_once=False)
    if not policy.has_adopted(at):
        changes = list(_changes(load(at.config), after))
    done = editing.carry_out(at, wish, who, dry_run=dry_run, accepts=accepts)
    drawn = (f"drawn: {', '.join(map(str, flag.accounts))}",) if flag.percent else ()
    head, *rest = done.lines
    return Outcome(
        (head, *drawn, *changes, *rest),
        data={**done.data, "flag": msgspec.to_builtins(flag), "changes": rows},
        notes=done.notes,
        next_command=LIST,
    )


def _changes(before: Configuration, after: Configuration) -> Iterator[str]:
    """Say what an edit changes of the files, where nothing is in force to compare it with."""
    for one in after.policies:
        own = after.own.get(one.account, frozenset())
        for change in difference.changes(before.policy(one.account), one, own):
            yield f"{one.account} {change.words()}: at the next `start`"
