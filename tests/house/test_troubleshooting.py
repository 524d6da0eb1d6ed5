"""Every sentence that troubleshooting explains is one the program says, with that exit code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.loading import script

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "guides" / "troubleshooting.md"
ROW = re.compile(r"^\| `(.+?)` \| ", re.MULTILINE)


def sections() -> list[tuple[int, str]]:
    """Each section about an exit code: the code, and its text."""
    parts = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return [(int(part[5]), part) for part in parts if re.match(r"Exit \d:", part)]


def explained() -> list[tuple[int, str]]:
    return [(code, sentence) for code, text in sections() for sentence in ROW.findall(text)]


@pytest.fixture(scope="module")
def said() -> set[tuple[int, str]]:
    return {(code, text.replace("`", "'")) for code, _, text in script("references").refusal_rows()}


@pytest.mark.parametrize(("code", "sentence"), explained())
def test_a_sentence_is_said_by_the_program(
    said: set[tuple[int, str]], code: int, sentence: str
) -> None:
    head = sentence.removesuffix("…").rstrip()

    assert [text for known, text in said if known == code and text.startswith(head)], (
        f"no command ends with {code} and this sentence: see docs/references/refusals.md"
    )


def test_the_most_likely_ones_are_there() -> None:
    assert len(explained()) >= 40
    assert {code for code, _ in sections()} == {1, 2, 3, 4, 5, 7, 8}
