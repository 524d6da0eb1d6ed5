"""Every block of commands of README and docs, typed in its order, ends as its document says.

One host for each document: a broker, a daemon that guards, two releases. What of a line has another
name here, and what may end otherwise than with 0, is in `script`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from risk_daemon.errors import TimedOut
from risk_daemon.stage.waiting import until
from tests.documents import script
from tests.documents.blocks import LANGUAGES, Block, all_blocks, blocks, documents, fences, name_of
from tests.documents.scene import Host, Made, Typed, make_releases
from tests.untraced import untraced_children

LEFT_OUT = script.LEFT_OUT
PAGES = [
    page
    for page in documents()
    if any((one.document, one.number) not in LEFT_OUT for one in blocks(page))
]
EXCLUDED_MAX = 5
AT_A_TIME = 4
#: What begins so would be typed.
COMMANDS = ("./dev", "./scripts", "scripts/", "risk-daemon-admin", "risk-daemon ", "curl ", "sudo ")


@pytest.fixture(scope="module")
def told(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[Path, Future[list[str]]]]:
    """What is wrong with each document, once it has been typed: most of that is waiting."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    mine = [item for item in items if "told" in item.fixturenames]
    asked = [page for item in mine if isinstance(page := item.callspec.params["page"], Path)]
    with untraced_children(), ThreadPoolExecutor(AT_A_TIME) as pool:
        made = make_releases(tmp_path_factory.mktemp("made"))
        folders = {page: tmp_path_factory.mktemp(name_of(page).replace("/", "-")) for page in asked}
        yield {page: pool.submit(typed_whole, page, made, folders[page]) for page in asked}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_document_says_is_typed_in_its_order_and_ends_as_it_says(
    page: Path, told: dict[Path, Future[list[str]]]
) -> None:
    assert told[page].result() == []


def typed_whole(page: Path, made: Made, folder: Path) -> list[str]:
    """Type a document from its first block to its last, on a host of its own."""
    mine = [one for one in blocks(page) if (one.document, one.number) not in LEFT_OUT]
    with contextlib.ExitStack() as stack:
        host = Host(folder, made)
        host.open(stack)
        return [problem for block in mine for problem in problems_of(host, block)]


def problems_of(host: Host, block: Block) -> list[str]:
    """Type a block; what did not end as it must."""
    script.BEFORE.get((block.document, block.number), script.as_it_is)(host)
    found = [typed(host, block, line) for line in block.lines]
    return [
        f"block {block.number}: `{line}` ended with {one.code}: {' '.join(one.said.split())[-400:]}"
        for one, line in zip(found, block.lines, strict=True)
        if one.code not in script.way_of(line, block).exits
    ]


def typed(host: Host, block: Block, line: str) -> Typed:
    """Type a line as its document means it."""
    way = script.way_of(line, block)
    text = script.as_typed(line, host, block)
    if way.first is not None:
        way.first(host)
    last = host.type(line, text, keys=way.keys, goes_on=way.goes_on)
    if way.again and last.code not in way.exits:
        with contextlib.suppress(TimedOut):
            until(
                lambda: host.type(line, text, keys=way.keys).code in way.exits,
                script.WITHIN_S,
                line,
                every_s=1.0,
            )
            return Typed(line, way.exits[0], "")
    if way.then is not None:
        way.then(host)
    return last


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
