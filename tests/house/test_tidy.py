"""House rules that no linter knows. Each test reads like one."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "risk_daemon"

#: Words of the glossary's right-hand column that are never right in a name (docs/glossary.md).
BANNED = re.compile(
    r"(netpos|violation|soak|manager|helper|util|utils|misc|blue_green)", re.IGNORECASE
)
#: There the broker's own words rule.
BROKER_WORDS = {PACKAGE / "broker" / "projectx" / "wire.py", PACKAGE / "sim" / "codes.py"}
ROOT_ENTRIES_MAX = 15


def tracked() -> list[Path]:
    """Files of the repository, as git sees them: committed ones and new ones not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def names_in(tree: ast.Module) -> Iterator[str]:
    """Every name a file defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id


def test_every_file_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources()
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert silent == []


def test_no_name_uses_a_word_the_glossary_bans() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in set(sources()) - BROKER_WORDS
        for name in names_in(ast.parse(path.read_text()))
        if BANNED.search(name)
    ]
    files = [str(path.relative_to(ROOT)) for path in sources() if BANNED.search(path.stem)]

    assert found == []
    assert files == []


def test_the_root_stays_small() -> None:
    entries = {path.relative_to(ROOT).parts[0] for path in tracked()}

    assert len(entries) < ROOT_ENTRIES_MAX, sorted(entries)


def test_no_file_names_a_machine_or_a_package_host() -> None:
    hosts = re.compile(
        r"/home/[a-z]+/|/root/|/work/"
        r"|\bpypi\.org|files\.python"
        + r"hosted|registry\.npm"
        + r"js|https?://[^\s\"')]+\.(whl|tar\.gz)\b"
    )
    mine = Path(__file__)
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in tracked()
        if path != mine and path.suffix not in (".png", ".bin", ".sqlite")
        for match in [hosts.search(path.read_text(errors="replace"))]
        if match
    ]

    assert found == []


def test_locks_are_hashed_and_pin_everything() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        pins = re.findall(
            r"^([a-z0-9.-]+)==\S+(?: ;[^\\]*)? \\$", (ROOT / name).read_text(), re.MULTILINE
        )
        loose = re.findall(r"^[a-z0-9.-]+(?!.*==).*$", (ROOT / name).read_text(), re.MULTILINE)

        assert len(pins) > 20
        assert loose == []


def rule_names() -> list[str]:
    from risk_daemon.rules import CATALOG

    return sorted(CATALOG)


@pytest.mark.parametrize("rule", rule_names())
def test_a_rule_has_its_file_its_page_its_vectors_and_its_test(rule: str) -> None:
    module = rule.replace("-", "_")

    assert (PACKAGE / "rules" / f"{module}.py").is_file()
    assert (ROOT / "docs" / "rules" / f"{rule}.md").is_file()
    assert (ROOT / "tests" / "rules" / f"test_{module}.py").is_file()
    vectors = [path for path in (ROOT / "tests" / "rules").rglob(f"*{module}*") if path.is_file()]
    assert len(vectors) >= 1
    assert "Vectors" in (ROOT / "docs" / "rules" / f"{rule}.md").read_text()


def test_every_rule_file_is_in_the_catalogue() -> None:
    files = {path.stem.replace("_", "-") for path in (PACKAGE / "rules").glob("[a-z]*.py")}

    assert set(rule_names()) <= files


def test_the_pure_files_of_the_coverage_gate_exist() -> None:
    house = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["house"]
    missing = [name for name in house["coverage_full"] if not list(PACKAGE.glob(name))]

    assert missing == []
