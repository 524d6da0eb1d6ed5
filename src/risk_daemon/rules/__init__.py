"""The rules. One file each; this is the list of all of them, nothing is discovered.

A rule is a frozen struct: its fields are its parameters, `check` is its only
decision. Latching, locks, modes and precedence belong to `core.engine`, once.
A new rule costs one file here, one page in docs/rules, one table of vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from risk_daemon.core.world import Rule
from risk_daemon.rules import daily_realized_loss, kill_switch, max_contracts
from risk_daemon.rules.parameters import ParameterError, RuleKind

__all__ = ["CATALOG", "ParameterError", "RuleKind", "parse"]

CATALOG: Final[Mapping[str, RuleKind]] = {
    kind.name: kind for kind in (kill_switch.KIND, daily_realized_loss.KIND, max_contracts.KIND)
}


def parse(rule: str, params: Mapping[str, object]) -> Rule:
    """Build a rule of a known name from its parameters; ParameterError says what is wrong."""
    return CATALOG[rule].parse(params)
