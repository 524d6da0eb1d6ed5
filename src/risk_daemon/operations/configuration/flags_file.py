"""`config/flags.yaml` and `config/overrides.yaml`: judged with the accounts' policies.

Neither need be there. Overrides have a file of their own, which a release from before them does not
read: where such a one starts or reloads nothing is off any more.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from risk_daemon.clock import SECOND_NS
from risk_daemon.core.events import PolicyAdopted
from risk_daemon.operations.configuration.flags import LONGEST_OVERRIDE_NS, OFF, Flag, day_of
from risk_daemon.operations.configuration.models import (
    FlagSection,
    FlagsFile,
    OverrideSection,
    OverridesFile,
)
from risk_daemon.operations.configuration.problems import Problem, nearest
from risk_daemon.operations.configuration.sections import section
from risk_daemon.operations.configuration.yaml_file import YamlFile
from risk_daemon.rules import CATALOG

FILE: Final = "flags.yaml"
NAME: Final = f"config/{FILE}"
OVERRIDES: Final = "overrides.yaml"
OVERRIDES_NAME: Final = f"config/{OVERRIDES}"


def read(
    config: Path, policies: Sequence[PolicyAdopted], problems: list[Problem]
) -> tuple[Flag, ...]:
    """Return the flags of a configuration; what is wrong with them is added to `problems`."""
    return (*_flags(config, policies, problems), *_overrides(config, policies, problems))


def _overrides(
    config: Path, policies: Sequence[PolicyAdopted], problems: list[Problem]
) -> Iterator[Flag]:
    if not (config / OVERRIDES).exists():
        return
    file, model = section(config / OVERRIDES, OVERRIDES_NAME, OverridesFile, problems)
    if file is None or model is None:
        return
    known = {policy.account: policy for policy in policies}
    names: set[str] = set()
    for index, one in enumerate(model.overrides):
        found, flag = _override(file, index, one, known)
        if flag is not None:
            if flag.name in names:
                allowed = "one that is not there yet"
                found.append(file.problem(["overrides", index, "rule"], allowed))
            names.add(flag.name)
            yield flag
        problems += found


def _override(
    file: YamlFile, index: int, one: OverrideSection, known: Mapping[int, PolicyAdopted]
) -> tuple[list[Problem], Flag | None]:
    since, ends = _instant(one.since), _instant(one.ends)
    wrong: list[tuple[str, str]] = []
    if not since:
        wrong.append(("since", 'a time with its offset, like "2026-11-25T15:00:00+00:00"'))
    elif not since < ends <= since + LONGEST_OVERRIDE_NS:
        wrong.append(("ends", "a time with its offset, after `since` by a day at most"))
    if one.account not in known:
        wrong.append(("account", "an account of config/daemon.yaml"))
    elif one.rule == "kill-switch":
        wrong.append(("rule", "any but the kill switch, without which no person is obeyed"))
    elif not any(rule.rule == one.rule for rule in known[one.account].rules):
        wrong.append(("rule", "a rule that the account's policy has"))
    if wrong:
        return [file.problem(["overrides", index, key], allowed) for key, allowed in wrong], None
    return [], Flag(
        rule=one.rule,
        mode=OFF,
        accounts=(one.account,),
        owner=one.owner,
        until=day_of(known[one.account], ends),
        reason=one.reason,
        cleared=one.cleared,
        since=since,
        ends=ends,
    )


def _instant(text: str) -> int:
    """Read a time with its offset as ns UTC; 0 where it is none."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return 0
    return int(moment.timestamp()) * SECOND_NS if moment.tzinfo else 0


def _flags(
    config: Path, policies: Sequence[PolicyAdopted], problems: list[Problem]
) -> tuple[Flag, ...]:
    if not (config / FILE).exists():
        return ()
    file, model = section(config / FILE, NAME, FlagsFile, problems)
    if file is None or model is None:
        return ()
    names: set[str] = set()
    flags: list[Flag] = []
    for index, one in enumerate(model.flags):
        found = list(_shape(file, index, one))
        if not found:
            flag = _flag(one)
            found = list(_objections(file, index, flag, policies))
            if flag.name in names:
                found.append(file.problem(["flags", index, "rule"], "a flag that is not there yet"))
            names.add(flag.name)
            flags.append(flag)
        problems += found
    return tuple(flags)


def _shape(file: YamlFile, index: int, one: FlagSection) -> Iterator[Problem]:
    if (one.account is None) == (one.percent is None):
        yield file.problem(["flags", index, "account"], "either `account` or `percent`")
    elif one.account is not None and one.accounts:
        yield file.problem(["flags", index, "accounts"], "nothing beside `account`")
    elif one.percent is not None and not one.accounts:
        yield file.problem(["flags", index, "accounts"], "the accounts of the percentage")
    try:
        dt.date.fromisoformat(one.until)
    except ValueError:
        yield file.problem(["flags", index, "until"], "a date of the calendar")


def _flag(one: FlagSection) -> Flag:
    return Flag(
        rule=one.rule,
        mode=one.mode,
        accounts=tuple(one.accounts) if one.account is None else (one.account,),
        percent=one.percent or 0,
        owner=one.owner,
        until=one.until,
        reason=one.reason,
        cleared=one.cleared,
    )


def _objections(
    file: YamlFile, index: int, flag: Flag, policies: Sequence[PolicyAdopted]
) -> Iterator[Problem]:
    known = {policy.account: {one.rule for one in policy.rules} for policy in policies}
    if flag.rule not in CATALOG:
        names = sorted(CATALOG)
        allowed = f"a rule: {', '.join(names)}"
        yield file.problem(["flags", index, "rule"], allowed, nearest(flag.rule, names))
    elif flag.rule == "kill-switch" and flag.mode != "enforce":
        allowed = "enforce: without the kill switch no order of a person would be enforced"
        yield file.problem(["flags", index, "mode"], allowed)
    elif not flag.percent and flag.accounts[0] not in known:
        allowed = f"an account of config/daemon.yaml: {', '.join(map(str, sorted(known)))}"
        yield file.problem(["flags", index, "account"], allowed)
    elif not flag.cleared and not any(flag.rule in known.get(one, ()) for one in flag.accounts):
        allowed = "a rule that the policy of these accounts has, as a flag brings no limit"
        yield file.problem(["flags", index, "rule"], allowed)
