"""The rules. One file each; this is the list of all of them, nothing is discovered.

A rule is a frozen struct: its fields are its parameters, `check` is its only
decision, `reads` what of an account it looks at. Latching, locks, modes and
precedence belong to `core.engine`, once.
A new rule costs one file here, one page in docs/rules, one table of vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from risk_daemon.core.world import Rule
from risk_daemon.rules import (
    common,
    daily_combined_loss,
    daily_realized_loss,
    end_of_day_flatten,
    kill_switch,
    max_contracts,
    max_contracts_per_instrument,
    no_stop_loss_grace,
    trailing_max_drawdown,
)
from risk_daemon.rules.parameters import ParameterError, RuleKind

__all__ = ["CATALOG", "ParameterError", "RuleKind", "parse"]

CATALOG: Final[Mapping[str, RuleKind]] = {
    kind.name: common.widened(kind)
    for kind in (
        kill_switch.KIND,
        trailing_max_drawdown.KIND,
        daily_combined_loss.KIND,
        daily_realized_loss.KIND,
        end_of_day_flatten.KIND,
        max_contracts.KIND,
        max_contracts_per_instrument.KIND,
        no_stop_loss_grace.KIND,
    )
}


def parse(rule: str, params: Mapping[str, object]) -> Rule:
    """Build a rule of a known name from its parameters; ParameterError says what is wrong."""
    return CATALOG[rule].parse(params)
