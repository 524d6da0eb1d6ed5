"""Every block of commands in README and docs, as somebody who reads them would type them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
#: What a fence may say that it holds. Only the first is to be typed.
SHELL: Final = "sh"
LANGUAGES: Final = (SHELL, "text", "json", "yaml", "mermaid")
_FENCE: Final = re.compile(r"^ *```([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A block of commands: in which document, the how many-th there, and what is typed."""

    document: str
    number: int
    lines: tuple[str, ...]


def documents() -> list[Path]:
    """Every page that somebody may follow."""
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def name_of(page: Path) -> str:
    """Call a page by its path in the checkout."""
    return page.relative_to(ROOT).as_posix()


def fences(page: Path) -> list[tuple[str, str]]:
    """What each fenced block says that it holds, and what it holds."""
    return _FENCE.findall(page.read_text(encoding="utf-8"))


def blocks(page: Path) -> list[Block]:
    """The blocks of commands of a page, in its order."""
    found = [text for language, text in fences(page) if language == SHELL]
    return [Block(name_of(page), number, typed(text)) for number, text in enumerate(found, 1)]


def typed(text: str) -> tuple[str, ...]:
    """The lines of a block; one that goes on on the next is one."""
    lines = text.replace("\\\n", " ").splitlines()
    return tuple(" ".join(line.split()) for line in lines if line.strip())


def all_blocks() -> list[Block]:
    """All of them, page by page."""
    return [one for page in documents() for one in blocks(page)]
