"""The page of each process names the questions it answers: those of the code, and no others."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "architecture" / "processes"
PACKAGE = ROOT / "src" / "risk_daemon"
#: Where the table of a process's operations is, and one that it has: the dictionary is known by it.
TABLES = {
    "journal": [("journal/admin.py", "verify")],
    "link": [("link/admin.py", "flatten")],
    "worker": [("programs/worker.py", "test-rule")],
    "supervisor": [
        ("programs/supervisor.py", "hand-over"),
        ("operations/rollouts/hosting.py", "rollout"),
    ],
    "console": [("programs/console.py", "status")],
}


def operations(file: str, known: str) -> set[str]:
    """The keys of the dictionary in a file that has a known one and holds no plain values."""
    for node in ast.walk(ast.parse((PACKAGE / file).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
            keys = {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
            if known in keys:
                return keys
    raise AssertionError(f"{file} has no table of operations with {known!r}")


def told(page: str) -> set[str]:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    row = re.search(r"^\| answers \| (.+?)(?:; over HTTP.*)? \|$", text, re.MULTILINE)
    assert row is not None, f"{page}.md does not say what it answers"
    return set(re.findall(r"`([a-z-]+)`", row[1]))


@pytest.mark.parametrize("page", TABLES)
def test_a_page_names_what_its_process_answers(page: str) -> None:
    in_code = {one for file, known in TABLES[page] for one in operations(file, known)}

    # Every process answers `tasks` (programs.service, and the journal by itself).
    assert told(page) == in_code | {"tasks"}


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_a_page_says_what_it_owns_never_does_and_what_follows_its_death(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert text.count("\n| owns |") == 1
    assert all(f"\n**{part}" in text for part in ("Does.", "Never.", "Dies."))
    assert "(../failover.md)" in text


def test_every_process_has_its_page() -> None:
    assert {path.stem for path in PAGES.glob("*.md")} == {*TABLES, "protector"}


@pytest.mark.parametrize("page", [*TABLES, "protector"])
def test_what_a_page_names_of_the_sources_is_there(page: str) -> None:
    text = (PAGES / f"{page}.md").read_text(encoding="utf-8")
    row = re.search(r"^\| lives in \| (.+) \|$", text, re.MULTILINE)
    assert row is not None
    named = re.findall(r"`([a-z_/]+(?:\.py|/))`", row[1])

    rooms = [PACKAGE, *{(PACKAGE / name).parent for name in named}]
    assert len(named) >= 3
    assert [one for one in named if not any((room / one).exists() for room in rooms)] == []
