"""What release notes say of two releases, from their sources alone."""

from __future__ import annotations

import pytest

from risk_daemon.depot import notes
from risk_daemon.depot.notes import Change, changelog, changes, page

OLD = "v1.2.0"
SCHEMAS = "RECORDS = (1, 1)\nSTATE_FILE: Final = ({oldest}, {newest})\nMORE = (1, 2)\n"
MODELS = "class LoginSection(Section):\n    name: str\n{more}\n    def one(self): ...\nPORT = 1\n"
RECORD = "OTHER = 1\nKINDS: Final[dict] = {{{kinds}}}\n"


def between(name: str, before: str, after: str) -> list[tuple[str, str]]:
    return [(one.kind, one.text) for one in changes({name: before}, {name: after}, OLD)]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ((1, 1), (1, 1), []),
        (
            (1, 1),
            (1, 2),
            [("breaking", "the schema of the state file goes from 1 to 2: v1.2.0 reads up to 1")],
        ),
        (
            (1, 2),
            (2, 2),
            [("breaking", "the state file of schema 1 is not read any more")],
        ),
        ((2, 2), (1, 2), [("formats", "the state file is read from schema 1 to 2")]),
    ],
)
def test_a_schema_that_the_older_release_cannot_read_breaks(
    before: tuple[int, int], after: tuple[int, int], told: list[tuple[str, str]]
) -> None:
    texts = [SCHEMAS.format(oldest=one[0], newest=one[1]) for one in (before, after)]

    assert between("schemas.py", *texts) == told


def test_rules_come_go_and_change() -> None:
    before = {"rules/max_contracts.py": "a", "rules/old_one.py": "b", "rules/common.py": "c"}
    before |= {"rules/kill_switch.py": "as it was"}
    after = {"rules/max_contracts.py": "z", "rules/new_one.py": "b", "rules/common.py": "d"}
    after |= {"rules/kill_switch.py": "as it was"}

    assert changes(before, after, OLD) == [
        Change("decisions", "rule max-contracts was changed"),
        Change("decisions", "rule new-one is new"),
        Change("breaking", "rule old-one is gone: a policy that names it is refused"),
    ]


def test_a_key_of_the_configuration_that_is_not_read_any_more_breaks() -> None:
    before = MODELS.format(more="    old: int")
    after = MODELS.format(more="    new: int")

    assert between("operations/configuration/models.py", before, after) == [
        ("breaking", "the key old (Login) is not read any more"),
        ("configuration", "the key new (Login) is new"),
    ]


def test_a_key_is_found_although_the_file_of_its_shape_has_moved() -> None:
    before = {"operations/models.py": MODELS.format(more="    old: int")}
    after = {"operations/configuration/models.py": MODELS.format(more="    old: int\n    new: int")}

    assert changes(before, after, OLD) == [Change("configuration", "the key new (Login) is new")]


def test_kinds_of_records_are_named() -> None:
    before = RECORD.format(kinds='"pulse": 1, "gone": 2')
    after = RECORD.format(kinds='"pulse": 1, "fresh": 2')

    assert between("wire/record.py", before, after) == [
        ("breaking", "records of the kind gone have no name any more"),
        ("formats", "records of the kind fresh are new; v1.2.0 only counts them"),
    ]


def test_packages_are_named_with_their_versions() -> None:
    before = "one==1.0 \\\n    --hash=sha256:aa\ntwo==2.0\n"
    after = "one==1.1\nthree==3.0\n"

    assert between("requirements.lock", before, after) == [
        ("packages", "one goes from 1.0 to 1.1"),
        ("packages", "three 3.0 is new"),
        ("packages", "two is gone"),
    ]
    assert between("requirements.lock", before, before) == []


def test_what_cannot_be_read_is_not_compared() -> None:
    assert between("schemas.py", "RECORDS: Final = (1, 1", "RECORDS: Final = (1, 1)") == []
    assert between("wire/record.py", "nothing", "nothing = 1") == []
    assert changes({}, {"wire/record.py": RECORD.format(kinds='"a": 1')}, OLD) == []


def test_what_breaks_comes_first_and_is_said_even_if_nothing_does() -> None:
    found = [Change("other", "Faster."), Change("breaking", "A key is gone.")]

    text = page("v1.3.0", OLD, found)

    assert text.startswith("# v1.3.0\n\nSince v1.2.0.\n\n## Breaking changes\n\n* A key is gone.\n")
    assert text.endswith("## Other changes\n\n* Faster.\n")
    assert "## Formats" not in text
    assert page("v1.0.0", "", []) == (
        "# v1.0.0\n\nThe first release.\n\n## Breaking changes\n\nNone known.\n"
    )


def test_the_changelog_has_the_newest_first_and_each_version_once() -> None:
    first = changelog("", "v1.0.0", page("v1.0.0", "", []))
    both = changelog(first, "v1.1.0", page("v1.1.0", "v1.0.0", []))
    again = changelog(both, "v1.1.0", page("v1.1.0", "v1.0.0", [Change("other", "More.")]))

    assert first.startswith("# Changelog\n\n## v1.0.0\n\nThe first release.\n\n### Breaking")
    assert [line for line in again.splitlines() if line.startswith("## ")] == [
        "## v1.1.0",
        "## v1.0.0",
    ]
    assert "* More." in again
    assert next(iter(notes.HEADINGS)) == "breaking"


def test_what_stands_before_the_first_version_of_the_changelog_stays_there() -> None:
    first = changelog("# Changelog\n\nMade by a command.\n", "v1.0.0", page("v1.0.0", "", []))
    both = changelog(first, "v1.1.0", page("v1.1.0", "v1.0.0", []))

    assert first.startswith("# Changelog\n\nMade by a command.\n\n## v1.0.0\n")
    assert both.startswith("# Changelog\n\nMade by a command.\n\n## v1.1.0\n")
    assert both.count("Made by a command.") == 1
