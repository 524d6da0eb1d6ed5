"""`override disable | list | clear`: one rule off on one account, for minutes or hours.

A flag with an instant as its end (docs/adr/0055). It makes looser, so it waits for a second person,
or for the next trade day if that comes first; it comes back by itself, approved or not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

import msgspec
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from risk_daemon.clock import SECOND_NS
from risk_daemon.errors import NotFound, Refused, UsageError
from risk_daemon.operations import home
from risk_daemon.operations.accounts.looking import find_account
from risk_daemon.operations.changing import editing, flagging
from risk_daemon.operations.changing.editing import Wish
from risk_daemon.operations.configuration import flags, overridden
from risk_daemon.operations.configuration.flags import LONGEST_OVERRIDE_NS, OFF, Flag
from risk_daemon.operations.configuration.flags_file import OVERRIDES
from risk_daemon.operations.configuration.loading import Configuration, load
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who, span_of
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.words import both_times, iso

LIST: Final = "risk-daemon-admin override list"


def disable(
    at: Home, account: str, rule: str, duration: str, who: Who, *, dry_run: bool
) -> Outcome:
    """Ask for a rule to be off on an account for a time; it is, once a second person agrees."""
    home.open_home(at)
    editing.known_rule(rule)
    if rule == "kill-switch":
        raise Refused(
            "the kill switch can't be overridden: without it no order of a person would be "
            "enforced; nothing was changed."
        )
    span = span_of("--duration", duration)
    if span > LONGEST_OVERRIDE_NS:
        raise UsageError(
            f"--duration is {duration}; allowed: at most 1d. For longer there is "
            "`risk-daemon-admin flag set`; nothing was changed."
        )
    number, title = find_account(at, account)
    configuration = load(at.config)
    _refuse(configuration, number, title, rule)
    since = configuration.at // SECOND_NS * SECOND_NS
    flag = Flag(
        rule=rule,
        mode=OFF,
        accounts=(number,),
        owner=who.by,
        until=flags.day_of(configuration.policy(number), since + span),
        reason=who.reason,
        since=since,
        ends=since + span,
    )
    end = both_times(iso(flag.ends))
    wish = Wish(
        OVERRIDES,
        lambda tree: _add(tree, flag, configuration),
        f"override of {rule} on account {number} until {_shown(flag.ends)} ({who.by})",
    )
    done = flagging.carry_out(at, wish, flag, who, dry_run=dry_run, accepts=0)
    back = f"it comes back by itself: {end}; no lock ends by it"
    waits = any(f"{rule} mode " in line and "waits until" in line for line in done.lines)
    approve = f"risk-daemon-admin config approve {number} --by SECOND --reason ..."
    notes = (*done.notes, back)
    if waits:
        notes = (*notes, f"it makes looser: it needs a second person: `{approve}`")
    return replace(done, notes=notes, next_command=approve if waits else LIST)


def _refuse(configuration: Configuration, number: int, title: str, rule: str) -> None:
    """Refuse what does not act, and what is off already: nobody stretches an override alone."""
    for one in _living(configuration):
        if one.rule == rule and one.accounts == (number,):
            raise Refused(
                f"{title}: {rule} has an override until {both_times(iso(one.ends))} already, by "
                f"{one.owner}; nothing was changed. It is not made longer: `risk-daemon-admin "
                f"override clear {number} {rule}` ends it, then ask anew."
            )
    policy = configuration.policy(number)
    modes = [setting.mode for setting in policy.rules if setting.rule == rule]
    if not modes:
        raise NotFound(f"{title}: its policy has no {rule}; nothing was changed.")
    if modes[0] != "enforce":
        raise Refused(
            f"{title}: {rule} is in mode {modes[0]}, it does not act; nothing to disable."
        )


def _living(configuration: Configuration) -> Iterator[Flag]:
    policies = {one.account: one for one in configuration.policies}
    asked = [one for one in configuration.flags if one.ends]
    yield from flags.living(asked, policies, configuration.at)


def _shown(at: int) -> str:
    return dt.datetime.fromtimestamp(at // SECOND_NS, dt.UTC).isoformat()


def _rows(tree: Any) -> Any:
    if tree.get("overrides") is None:
        tree["overrides"] = CommentedSeq()
    return tree["overrides"]


def _add(tree: Any, flag: Flag, configuration: Configuration) -> None:
    """Put an override behind the others; what is over goes."""
    rows, now = _rows(tree), configuration.at
    ended = {one.name for one in configuration.flags if 0 < one.ends <= now}
    for place in reversed(range(len(rows))):
        name = f"override:{rows[place]['rule']}:{rows[place]['account']}"
        if name in ended or name == flag.name:
            del rows[place]
    entry = CommentedMap({"rule": flag.rule, "account": flag.accounts[0]})
    entry["since"] = DoubleQuotedScalarString(_shown(flag.since))
    entry["ends"] = DoubleQuotedScalarString(_shown(flag.ends))
    entry["owner"] = DoubleQuotedScalarString(flag.owner)
    entry["reason"] = DoubleQuotedScalarString(flag.reason)
    rows.append(entry)


# --- list, clear ---------------------------------------------------------------


def show(at: Home) -> Outcome:
    """Show what is off, or waits to be, on whom, by whom, and until when."""
    home.open_home(at)
    configuration = load(at.config)
    in_force = flagging.modes_in_force(at)
    rows, lines = [], []
    for one in _living(configuration):
        is_off = in_force.get((one.accounts[0], one.rule)) == one.mode
        rows.append(msgspec.to_builtins(one) | {"in_force": is_off})
        lines.append(f"{one.accounts[0]}: {overridden.line(one, is_off=is_off)}")
    return Outcome(
        tuple(lines) or ("nothing is overridden",),
        data={"overrides": rows},
        next_command="risk-daemon-admin override disable --help",
    )


def clear(at: Home, account: str, rule: str, who: Who, *, dry_run: bool) -> Outcome:
    """End an override before its time; the rule acts again at once."""
    home.open_home(at)
    editing.known_rule(rule)
    number, title = find_account(at, account)
    configuration = load(at.config)
    found = [
        one for one in _living(configuration) if one.rule == rule and one.accounts == (number,)
    ]
    if not found:
        raise NotFound(
            f"{title}: {rule} has no override; nothing was changed. `{LIST}` lists them."
        )

    def end(tree: Any) -> None:
        for row in _rows(tree):
            if (row["rule"], row["account"]) == (rule, number):
                row["cleared"] = True

    wish = Wish(OVERRIDES, end, f"override of {rule} on account {number} cleared")
    done = flagging.carry_out(at, wish, found[0], who, dry_run=dry_run, accepts=0)
    return replace(done, next_command=LIST)
