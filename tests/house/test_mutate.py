"""The mutation tool: what it changes, and that a change is made where it was listed."""

import ast
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def mutate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("mutate", ROOT / "scripts" / "mutate.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["mutate"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("a < b", {"a <= b", "a >= b"}),
        ("a <= b", {"a < b", "a > b"}),
        ("a is b", {"a is not b"}),
        ("a < b < c", {"a <= b < c", "a >= b < c", "a < b <= c", "a < b >= c"}),
        ("a and b", {"a or b"}),
        ("not a", {"a"}),
        ("-a", {"a"}),
        ("a + b", {"a - b"}),
        ("a -= b", {"a += b"}),
        ("7", {"8", "6"}),
        ("True", {"False"}),
        ("min(a)", {"max(a)"}),
        ("if a: b", {"not a"}),
        ("def f(): return a", {"return None"}),
        ("def f(): return False", {"True"}),
        ("def f(): return True", {"False", "return None"}),
        ("def f(): return 0", {"1", "-1", "return None"}),
        ("def f(): return", set()),
        ("def f(): return NO_PRICE", set()),
        ("def f(a: int = 1) -> None: 'text'", {"2", "0"}),
        ("'text'", set()),
        ("raise E(1)", set()),
    ],
)
def test_what_is_changed_and_into_what(mutate: ModuleType, source: str, changes: set[str]) -> None:
    assert {one.after for one in mutate.changes_of(source, "f.py")} == changes


def test_a_change_is_made_where_it_was_listed_and_nowhere_else(mutate: ModuleType) -> None:
    source = "a = 1 < b\nc = not (d and 2 > e)\n"

    for one in mutate.changes_of(source, "f.py"):
        lines = ast.unparse(mutate.changed(source, one)).splitlines()
        untouched = ast.unparse(ast.parse(source)).splitlines()
        differing = [
            n for n, (new, old) in enumerate(zip(lines, untouched, strict=True), 1) if new != old
        ]
        assert differing == [one.line]


def test_a_survivor_of_a_rules_comparison_is_never_good_enough(mutate: ModuleType) -> None:
    def survivor(file: str, kind: str) -> object:
        return mutate.Change(file, 0, 1, 1, kind, "a", "b")

    rule, core = "src/risk_daemon/rules/x.py", "src/risk_daemon/core/x.py"
    assert mutate.Verdict(99, [survivor(core, "comparison")]).is_good
    assert mutate.Verdict(99, [survivor(rule, "constant")]).is_good
    assert not mutate.Verdict(99, [survivor(rule, "comparison")]).is_good
    assert mutate.Verdict(9, [survivor(core, "constant")]).is_good
    assert not mutate.Verdict(8, [survivor(core, "constant")]).is_good


def test_a_change_is_put_before_who_ran_its_line_and_a_default_before_everybody(
    mutate: ModuleType,
) -> None:
    seen = mutate.Seen(
        lines={"f.py": {1: {""}, 2: {"slow", "quick"}, 3: {"slow"}, 4: {"", "slow"}}},
        seconds={"slow": 2.0, "quick": 1.0, "other": 0.5},
    )

    def tests_for(line: int) -> list[str]:
        found: list[str] = seen.tests_for(mutate.Change("f.py", 0, line, 1, "kind", "a", "b"))
        return found

    assert tests_for(1) == ["quick", "slow", "other"], "run at import only"
    assert tests_for(2) == ["quick", "slow"]
    assert tests_for(3) == ["slow"]
    assert tests_for(4) == ["slow", "quick"], "inside an expression of several lines"
    assert tests_for(9) == ["quick", "slow"]

    seen.remembering = {"f.py"}
    assert tests_for(3) == ["slow", "quick"], "the second who asks runs no line"
    assert tests_for(1) == ["quick", "slow", "other"]


def test_a_verdict_says_of_each_file_how_many_were_noticed_of_how_many(mutate: ModuleType) -> None:
    survivor = mutate.Change("b.py", 0, 1, 1, "constant", "a", "b")

    found = mutate.Verdict(3, [survivor], by_file={"b.py": 2, "a.py": 2})

    assert found.rates() == {"a.py": (2, 2), "b.py": (1, 2)}


@pytest.mark.parametrize("name", ["src/a.py", "tests/vectors/a.yaml", "requirements-dev.lock"])
def test_what_unchanged_code_showed_is_kept_until_a_file_is_another(
    mutate: ModuleType, tmp_path: Path, name: str
) -> None:
    where = tmp_path / "seen"
    for folder in ("src/__pycache__", "tests/vectors"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("src/a.py", "tests/vectors/a.yaml", "requirements-dev.lock"):
        (tmp_path / file).write_text("one")
    before = mutate.fingerprint(tmp_path)
    assert mutate.kept(where, before) == {}

    where.write_text(json.dumps({"stand": before, "files": ["a"]}))
    (tmp_path / "src/__pycache__/a.pyc").write_text("made by a run")
    assert mutate.kept(where, mutate.fingerprint(tmp_path))["files"] == ["a"]

    (tmp_path / name).write_text("another")
    assert mutate.kept(where, mutate.fingerprint(tmp_path)) == {}


@pytest.mark.parametrize(
    ("file", "name", "inside"),
    [
        ("src/risk_daemon/rules/__init__.py", "risk_daemon.rules", True),
        ("src/risk_daemon/rules/kill_switch.py", "risk_daemon.rules.kill_switch", False),
    ],
)
def test_a_room_that_is_changed_still_has_its_modules(
    mutate: ModuleType, file: str, name: str, inside: bool
) -> None:
    unchanged = mutate.Change(file, -1, 0, 0, "none", "", "")

    spec = mutate.Finder(unchanged).find_spec(name, None)

    assert (spec.submodule_search_locations is not None) == inside
    if inside:
        assert spec.submodule_search_locations == [str((ROOT / file).parent)]
        # What lies beside the modules of a room is found too: the tables of the rules.
        assert spec.loader.get_resource_reader(name).files().joinpath("vectors").is_dir()
