"""Every comparison of a rule, turned round, makes some vector of that rule fail.

Each comparison is replaced in the rule's own source by its neighbours (`<` by
`<=`, `==` by `!=`, ...); the changed module then plays the rule's table. One
that nobody notices is a boundary without a test.
"""

from __future__ import annotations

import ast
import types
from pathlib import Path
from typing import Any

import pytest

from risk_daemon import rules
from risk_daemon.rules import CATALOG
from risk_daemon.worker.script import play
from risk_daemon.worker.tables import vectors_of

FOLDER = Path(rules.__file__).parent
NEIGHBOURS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
#: Building a rule and rehearsing it have tests of their own, and which quotes it need not see
#: is judged by the oracle in tests/core/test_quiet.py; the others decide.
NOT_DECIDING = {"_build", "_rehearsal", "quiet", "_side_of"}


def comparisons(rule: str) -> list[tuple[int, int, type[ast.cmpop]]]:
    """Return (which comparison, its line, what it is turned into)."""
    return [
        (number, node.lineno, turned)
        for number, node in enumerate(_deciding(ast.parse(_source(rule))))
        for turned in NEIGHBOURS[type(node.ops[0])]
    ]


def _source(rule: str) -> str:
    return (FOLDER / f"{rule.replace('-', '_')}.py").read_text()


def _deciding(tree: ast.Module) -> list[ast.Compare]:
    found: list[ast.Compare] = []
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef) and node.name in NOT_DECIDING:
            continue
        if isinstance(node, ast.Compare):
            found.append(node)
        waiting += ast.iter_child_nodes(node)
    return found


def turned(rule: str, number: int, into: type[ast.cmpop]) -> dict[str, Any]:
    """Return a catalogue in which one comparison of one rule is turned round."""
    tree = ast.parse(_source(rule))
    _deciding(tree)[number].ops = [into()]
    module = types.ModuleType(f"turned_{rule}")
    # msgspec looks a struct's module up by name to resolve its annotations.
    module.__dict__["__name__"] = f"risk_daemon.rules.{rule.replace('-', '_')}"
    exec(compile(ast.fix_missing_locations(tree), rule, "exec"), module.__dict__)
    return {**CATALOG, rule: module.KIND}


CASES = [(rule, *row) for rule in CATALOG for row in comparisons(rule)]


@pytest.mark.parametrize(
    ("rule", "number", "line", "into"),
    CASES,
    ids=[f"{rule}:{line}:{into.__name__}" for rule, _, line, into in CASES],
)
def test_a_turned_comparison_is_noticed(
    rule: str, number: int, line: int, into: type[ast.cmpop]
) -> None:
    assert _noticed(rule, turned(rule, number, into)), f"{rule}, line {line}, as {into.__name__}"


def _noticed(rule: str, catalog: dict[str, Any]) -> bool:
    for vector in vectors_of(rule):
        try:
            rows = play(rule, vector.table, mirrored=False, catalog=catalog)
            rows += play(rule, vector.table, mirrored=True, catalog=catalog)
        except Exception:  # noqa: BLE001 - to fall over is to be noticed
            return True
        if any(came != expected for _, expected, came in rows):
            return True
    return False
