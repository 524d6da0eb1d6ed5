"""Tests show what matters: builders of an invented account's facts, and questions about outputs."""

from __future__ import annotations

from types import ModuleType

import msgspec

from risk_daemon.core.events import Fact, Goal, Intended
from risk_daemon.worker.invented import (
    ACCOUNT,
    GRIDS,
    LOGIN,
    MS,
    SECOND,
    WEDNESDAY_RESET,
    WEDNESDAY_TEN,
    Stream,
    contract,
    contract_seen,
    lease,
    order,
    policy,
    position,
    reading,
    rule,
    trade,
)

__all__ = [
    "ACCOUNT",
    "GRIDS",
    "LOGIN",
    "MS",
    "SECOND",
    "WEDNESDAY_RESET",
    "WEDNESDAY_TEN",
    "Stream",
    "contract",
    "contract_seen",
    "goals",
    "intents",
    "lease",
    "loud_defaults",
    "of_kind",
    "order",
    "policy",
    "position",
    "reading",
    "rule",
    "trade",
]


def goals(outputs: list[Fact]) -> list[Goal]:
    """Return the goals among outputs."""
    return [output.goal for output in outputs if isinstance(output, Intended)]


def intents(outputs: list[Fact]) -> list[Intended]:
    """Return the intents among outputs, looks left out."""
    return [o for o in outputs if isinstance(o, Intended) and o.goal.act != "look"]


def of_kind[F: Fact](outputs: list[Fact], kind: type[F]) -> list[F]:
    """Return the outputs of one kind."""
    return [output for output in outputs if isinstance(output, kind)]


def loud_defaults(module: ModuleType) -> dict[str, object]:
    """Return what the structs of a module say where nothing is given, silence left out."""
    structs = [
        found
        for found in vars(module).values()
        if isinstance(found, type)
        and issubclass(found, msgspec.Struct)
        and found.__module__ == module.__name__
    ]
    return {
        f"{one.__name__}.{field.name}": field.default
        for one in structs
        for field in msgspec.structs.fields(one)
        if field.default is not msgspec.NODEFAULT and field.default
    }
