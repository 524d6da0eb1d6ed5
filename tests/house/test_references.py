"""The pages of docs/references say what the program says, and `./dev docs` is what mends them."""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

import pytest

from tests.house.loading import script

ROOT = Path(__file__).resolve().parents[2]
PAGES = ("commands", "configuration", "http", "metrics", "refusals", "rules")


@pytest.fixture(scope="module")
def references() -> ModuleType:
    return script("references")


@pytest.mark.parametrize("page", PAGES)
def test_a_reference_says_what_the_program_says(references: ModuleType, page: str) -> None:
    is_fresh = references.is_fresh(f"{page}.md")

    assert is_fresh, f"docs/references/{page}.md is stale: run {references.COMMAND}, and commit it"


def test_every_reference_is_written_and_listed(references: ModuleType) -> None:
    folder = ROOT / "docs" / "references"
    listed = (folder / "README.md").read_text(encoding="utf-8")

    assert sorted(references.PAGES) == [f"{page}.md" for page in PAGES]
    assert {path.name for path in folder.iterdir()} == {*references.PAGES, "README.md"}
    assert [name for name in references.PAGES if f"]({name})" not in listed] == []


def test_every_command_stands_in_the_reference_with_its_examples(references: ModuleType) -> None:
    from tests.cli.test_help import COMMANDS

    text = references.commands()

    assert [one for one in COMMANDS if f"\n### `risk-daemon-admin {one}`\n" not in text] == []
    assert [
        one for one in ("status", "why", "lock") if f"### `risk-daemon {one}`" not in text
    ] == []
    assert text.count("\n```text\n") >= len(COMMANDS)


def test_a_sentence_is_read_out_of_the_source_with_dots_for_its_values(
    references: ModuleType,
) -> None:
    def read(source: str) -> str:
        return str(references.words(ast.parse(source, mode="eval").body))

    assert read('"no such account."') == "no such account."
    assert read('f"account {number} is away" " for long"') == "account … is away for long"
    assert read('"it is " + why + f" at {place}"') == "it is … at …"


def test_every_exit_code_of_an_error_is_in_the_list_of_refusals(references: ModuleType) -> None:
    codes = {code for code, _, _ in references.refusal_rows()}

    assert codes == set(references.MEANINGS)


def test_a_reference_that_differs_is_named(references: ModuleType, tmp_path: Path) -> None:
    for name in references.PAGES:
        text = (ROOT / "docs" / "references" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "rules.md").write_text("# Old\n", encoding="utf-8")

    assert references.stale(tmp_path) == ["rules.md"]
