"""Every line that a document tells somebody to type is a line that the command line understands.

Parsed, not run: `./dev proof` and its short form run those of a deployment.
"""

from __future__ import annotations

import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from risk_daemon.cli.app import ROOMS, app
from risk_daemon.operations.checklists import checklist
from risk_daemon.stage.contract_page import CHAPTERS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "deployment"
DOCUMENTS = (
    "README.md",
    "deployment_strategy.md",
    "rollback_procedure.md",
    "deployment_checklist.md",
    "disaster_recovery.md",
)
GUIDES = tuple(f"../guides/{name}.md" for name in ("admin", "install", "logs", "troubleshooting"))
#: Of these also what stands within a sentence, as far as it begins like one of our commands.
SPOKEN = ("../guides/admin.md", "../guides/troubleshooting.md")
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
OURS = "risk-daemon-admin"
#: Programs of the system: what follows them is theirs.
THEIRS = ("curl", "cp", "export", "useradd", "install")


def blocks(name: str) -> list[str]:
    return BLOCK.findall((FOLDER / name).read_text(encoding="utf-8"))


def lines() -> list[tuple[str, str]]:
    return [
        (name, line)
        for name in (*DOCUMENTS, *GUIDES)
        for block in blocks(name)
        for line in block.replace("\\\n", " ").splitlines()
        if line.strip()
    ]


def typed(line: str) -> list[str]:
    """The words of a line, as whoever runs it in the end gets them."""
    words = shlex.split(line, comments=True)
    return words[1:] if words[0] == "sudo" else words


def words_of(line: str) -> list[str]:
    """What is typed after our command's name; of a script, what it passes on, and the words."""
    first, *rest = typed(line)
    if Path(first).name == OURS:
        return rest
    text = (ROOT / first).read_text(encoding="utf-8")
    passed = re.search(rf'^exec {OURS} (.*) "\$@"$', text, re.MULTILINE)
    assert passed is not None, f"{first} is not one of the scripts"
    return [*passed[1].split(), *rest]


@cache
def whole() -> Any:
    """The whole command line, made once: it takes longer than a line does."""
    return typer.main.get_command(app([]))


def parsed(words: list[str]) -> None:
    """Parse as the command line does, and call nothing. Raises what it raises."""
    command = whole()
    context = command.make_context(OURS, list(words))
    while rest := [*context._protected_args, *context.args]:
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        if not hasattr(command, "commands"):
            return


OURS_OF_ALL = [
    pytest.param(line, id=f"{name}: {line}")
    for name, line in lines()
    if typed(line)[0] not in THEIRS
]


@pytest.mark.parametrize("line", OURS_OF_ALL)
def test_a_line_of_a_document_is_understood(line: str) -> None:
    parsed(words_of(line))


@pytest.mark.parametrize("words", [["deploy", "canari"], ["deploy", "percentage", "--per", "10"]])
def test_a_line_that_does_not_exist_is_not_understood(words: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such (command|option)|Missing option"):
        parsed(words)


def test_every_line_of_a_deployment_stands_in_a_document() -> None:
    told = {re.sub(r"\s+#.*$", "", line).strip() for _, line in lines()}

    assert [one.text for chapter in CHAPTERS for one in chapter.lines if one.text not in told] == []


def test_every_block_of_commands_is_found() -> None:
    pages = (*DOCUMENTS, *GUIDES)
    text = "".join((FOLDER / name).read_text(encoding="utf-8") for name in pages)

    assert text.count("```sh\n") == sum(len(blocks(name)) for name in pages) > 40


def spoken() -> list[tuple[str, list[str]]]:
    """What the guides name within a sentence: a command of ours, with or without its program."""
    first_words = {word for names in ROOMS for word in names}
    found = []
    for name in SPOKEN:
        text = (FOLDER / name).read_text(encoding="utf-8")
        for inline in INLINE.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
            said = inline.removeprefix(f"{OURS} ")
            if said != inline or said.split()[0] in first_words:
                found.append((f"{name}: {inline}", shlex.split(said)))
    return found


@pytest.mark.parametrize("words", [pytest.param(words, id=name) for name, words in spoken()])
def test_a_command_named_within_a_sentence_exists_with_its_options(words: list[str]) -> None:
    """What it must be given may be left out in a sentence; what does not exist may not be said."""
    try:
        parsed([word for word in words if word != "--help"])
    except Exception as error:
        if type(error).__name__ != "MissingParameter":
            raise


def test_what_the_guides_name_within_sentences_is_found() -> None:
    assert len(spoken()) > 60


def test_every_item_of_the_checklists_stands_in_their_document_with_who_knows_it() -> None:
    text = (FOLDER / "deployment_checklist.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)` \| (.+?) \| (machine|person)", text, re.MULTILINE)
    before, after = checklist.items("pre"), checklist.items("post")
    phase = checklist.items("during", ["canary"])

    told = [(name, who) for name, _, who in rows]
    assert told == [
        (one.name, "machine" if one.looks else "person") for one in (*before, *phase, *after)
    ]
    words = {name: said for name, said, _ in (*rows[: len(before)], *rows[-len(after) :])}
    assert words == {one.name: one.words for one in (*before, *after)}
