"""`config/flags.yaml`: read and judged with the accounts' policies; it need not be there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from risk_daemon.core.events import PolicyAdopted
from risk_daemon.operations.flags import Flag
from risk_daemon.operations.models import FlagSection, FlagsFile
from risk_daemon.operations.problems import Problem, nearest
from risk_daemon.operations.sections import section
from risk_daemon.operations.yaml_file import YamlFile
from risk_daemon.rules import CATALOG

FILE: Final = "flags.yaml"
NAME: Final = f"config/{FILE}"


def read(
    config: Path, policies: Sequence[PolicyAdopted], problems: list[Problem]
) -> tuple[Flag, ...]:
    """Return the flags of a configuration; what is wrong with them is added to `problems`."""
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
