"""Every block of commands of README and docs, typed in its order, ends as its document says.

One host for each document, and one for those that are short: a broker, a daemon that guards, two
releases. What of a line has another name here, and what ends otherwise than with 0, is in `script`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from risk_daemon.errors import TimedOut
from risk_daemon.stage.waiting import until
from tests.documents import script
from tests.documents.blocks import (
    LANGUAGES,
    ROOT,
    Block,
    all_blocks,
    blocks,
    documents,
    fences,
    name_of,
)
from tests.documents.scene import Host, Made, Typed, make_releases
from tests.untraced import untraced_children

LEFT_OUT = script.LEFT_OUT
PAGES = [
    page
    for page in documents()
    if any((one.document, one.number) not in LEFT_OUT for one in blocks(page))
]
EXCLUDED_MAX = 5
#: Two cores are all there is, and people's deadlines are kept in here.
AT_A_TIME = 3
#: What begins so would be typed.
COMMANDS = ("./dev", "./scripts", "scripts/", "risk-daemon-admin", "risk-daemon ", "curl ", "sudo ")


@dataclass
class Followed:
    """What became of a document: what was typed of each block, and what ended otherwise."""

    typed: dict[script.Place, list[Typed]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


type Told = dict[Path, Future[dict[Path, Followed]]]


@pytest.fixture(scope="module")
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Told]:
    """What became of each document: some hosts at a time, as most of it is waiting."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    mine = [item for item in items if item.path == request.path and "told" in item.fixturenames]
    asked = {page for item in mine if isinstance(page := item.callspec.params["page"], Path)}
    with untraced_children(), ThreadPoolExecutor(AT_A_TIME) as pool:
        made = make_releases(tmp_path_factory.mktemp("made"))
        found: Told = {}
        for pages in hosts(asked):
            folder = tmp_path_factory.mktemp(name_of(pages[0]).replace("/", "-"))
            found |= dict.fromkeys(pages, pool.submit(followed, pages, made, folder))
        yield found


def hosts(asked: Collection[Path]) -> list[list[Path]]:
    """Which documents are followed on one host: the longest first, or all would wait for it."""
    short = [page for name in script.TOGETHER if (page := ROOT / name) in asked]
    alone = [[page] for page in asked if page not in short]
    found = [*alone, short] if short else alone
    return sorted(found, key=lambda pages: (-sum(map(lines_of, pages)), pages))


def lines_of(page: Path) -> int:
    """Count what is typed of a document."""
    return sum(len(one.lines) for one in blocks(page))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_document_says_is_typed_in_its_order_and_ends_as_it_says(
    page: Path, told: Told
) -> None:
    assert told[page].result()[page].problems == []


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [ROOT / script.README], ids=name_of)
def test_the_five_commands_of_the_readme_guard_an_account_in_one_home(
    page: Path, told: Told
) -> None:
    *five, status = told[page].result()[page].typed[script.FIVE]

    assert [(one.line.partition(" # ")[0], one.code) for one in five] == [
        ("./dev run init --environment staging --login me:MY_USER:env:ACCOUNT_ID", 0),
        ("./dev run credentials check", 0),
        ("./dev run start", 0),
        ("./dev run test-connection", 0),
        ("./dev run test-rule --all", 0),
    ]
    assert (status.line, status.code) == ("./dev run status", 0)
    assert status.said.startswith(
        "healthy: 1 of 1 account guarded\n1234567 MINE: guarded by worker-"
    )


def followed(pages: Sequence[Path], made: Made, folder: Path) -> dict[Path, Followed]:
    """Type each document from its first block to its last, one after the other on one host."""
    found = {page: Followed() for page in pages}
    with contextlib.ExitStack() as stack:
        host = Host(folder, made)
        host.open(stack)
        for page in pages:
            for block in blocks(page):
                if (block.document, block.number) not in LEFT_OUT:
                    follow(host, block, found[page])
    return found


def follow(host: Host, block: Block, found: Followed) -> None:
    """Type a block; note what did not end as it must."""
    place = (block.document, block.number)
    script.BEFORE.get(place, script.as_it_is)(host)
    shown = (script.SHOWN[place],) if place in script.SHOWN else ()
    found.typed[place] = [typed(host, block, line) for line in (*block.lines, *shown)]
    found.problems += [
        f"block {block.number}: `{one.line}` ended with {one.code}, not with "
        f"{script.way_of(one.line, block).code}: {' '.join(one.said.split())[-400:]}"
        for one in found.typed[place]
        if one.code != script.way_of(one.line, block).code
    ]


def typed(host: Host, block: Block, line: str) -> Typed:
    """Type a line as its document means it; who is told that the time was over types it again."""
    way = script.way_of(line, block)
    text = script.as_typed(line, host, block)
    tried: list[Typed] = []

    def is_answered() -> bool:
        one = host.type(line, text, keys=way.keys, is_secret=way.is_secret, goes_on=way.goes_on)
        tried.append(one)
        return one.code == way.code or not (way.again or one.code == TimedOut.exit_code)

    if way.first is not None:
        way.first(host)
    with contextlib.suppress(TimedOut):
        until(is_answered, script.WITHIN_S, line, every_s=1.0)
    if way.then is not None:
        way.then(host)
    return tried[-1]


def test_each_block_is_typed_but_for_a_few_with_their_reason() -> None:
    found = {(one.document, one.number) for one in all_blocks()}

    assert len(found) > 60
    assert set(LEFT_OUT) | set(script.BEFORE) <= found
    assert len(LEFT_OUT) <= EXCLUDED_MAX
    assert all(LEFT_OUT.values())
    assert not {document for document, _ in LEFT_OUT} & set(script.FOUR)
    typed_there = {(one.document, one.number) for page in PAGES for one in blocks(page)}
    assert typed_there | set(LEFT_OUT) == found


@pytest.mark.parametrize("page", documents(), ids=name_of)
def test_each_fence_says_what_it_holds_and_what_is_typed_is_among_the_commands(page: Path) -> None:
    for language, text in fences(page):
        assert language in LANGUAGES, text
        if language == "text" and "references" not in page.parts:
            assert not text.lstrip().startswith(COMMANDS), text
