"""Every line that a document tells somebody to type is a line that the command line understands.

Parsed, not run: `./dev proof` and its short form run those of a deployment.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from risk_daemon.cli.app import app
from risk_daemon.operations import checklist
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
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OURS = "risk-daemon-admin"
#: Programs of the system: what follows them is theirs.
THEIRS = ("curl", "cp", "export")


def blocks(name: str) -> list[str]:
    return BLOCK.findall((FOLDER / name).read_text(encoding="utf-8"))


def lines() -> list[tuple[str, str]]:
    return [
        (name, line)
        for name in DOCUMENTS
        for block in blocks(name)
        for line in block.splitlines()
        if line.strip()
    ]


def words_of(line: str) -> list[str]:
    """What is typed after our command's name; of a script, what it passes on, and the words."""
    first, *rest = shlex.split(line, comments=True)
    if first == OURS:
        return rest
    text = (ROOT / first).read_text(encoding="utf-8")
    passed = re.search(rf'^exec {OURS} (.*) "\$@"$', text, re.MULTILINE)
    assert passed is not None, f"{first} is not one of the scripts"
    return [*passed[1].split(), *rest]


def parsed(words: list[str]) -> None:
    """Parse as the command line does, and call nothing. Raises what it raises."""
    command: Any = typer.main.get_command(app([]))
    context = command.make_context(OURS, list(words))
    while rest := [*context._protected_args, *context.args]:
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)
        if not hasattr(command, "commands"):
            return


OURS_OF_ALL = [
    pytest.param(line, id=f"{name}: {line}")
    for name, line in lines()
    if shlex.split(line, comments=True)[0] not in THEIRS
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
    text = "".join((FOLDER / name).read_text(encoding="utf-8") for name in DOCUMENTS)

    assert text.count("```sh\n") == sum(len(blocks(name)) for name in DOCUMENTS) > 20


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
