"""A checklist ticks what was measured, and lets a person answer for the rest."""

from __future__ import annotations

import pytest

from risk_daemon.errors import NotFound, OperatorError, Refused, UsageError
from risk_daemon.operations.checklists import checklist
from risk_daemon.operations.checklists.checklist import BEFORE, DAY_NS, Item, Look, Row, Signature

NOW = 100 * DAY_NS
MACHINE = Item("runbook", "runbook", ("documents", "drill"))
PERSON = Item("flags", "flags configured")
TEAM = Item("team", "team on call", days=1)
MONTH = Item("contacts", "contacts reached", days=30)
WELL = Look(well=True, sentence="30 tests passed", at=NOW - 9)
BAD = Look(well=False, sentence="no drill was seen", measure="`drill`")


def signature(item: str = "flags", by: str = "anna", at: int = NOW, note: str = "") -> Signature:
    return Signature(version="v1.0.0", list="pre", item=item, by=by, at=at, note=note)


def row(item: Item, *signatures: Signature, **looks: Look) -> Row:
    (found,) = checklist.judge("pre", "v1.0.0", [item], looks, signatures, NOW)
    return found


# --- how it stands ---


def test_an_item_is_ticked_when_each_of_its_looks_is_well_and_as_old_as_the_oldest() -> None:
    older = Look(well=True, sentence="it took 4 s", at=NOW - 20)
    now = Look(well=True, sentence="it is so now")

    found = row(MACHINE, documents=WELL, drill=older)

    assert (found.ticked, found.who, found.at) == (True, "machine", NOW - 20)
    assert found.told == "30 tests passed; it took 4 s"
    assert row(MACHINE, documents=now, drill=now).at == 0


def test_one_bad_look_leaves_it_open_and_only_that_is_told() -> None:
    found = row(MACHINE, documents=WELL, drill=BAD)

    assert (found.ticked, found.told, found.measure) == (False, "no drill was seen", "`drill`")
    assert found.at == 0, "the age of what is well says nothing about what is not"


def test_what_nobody_looked_at_is_not_ticked() -> None:
    found = row(MACHINE, documents=WELL)

    assert (found.ticked, found.told, found.measure) == (False, "it was not looked at", "")


def test_an_item_of_people_is_open_until_one_signs_and_names_the_line() -> None:
    hinted = Item("flags", "flags configured", hint="flag list")

    assert row(PERSON).measure == (
        "`risk-daemon-admin checklist pre --version v1.0.0 --sign flags --by NAME`"
    )
    assert row(hinted).measure.startswith("`flag list`, then `risk-daemon-admin checklist pre")
    found = row(PERSON, signature("other"), signature(note="none set"))
    assert (found.ticked, found.told, found.at) == (True, "signed by anna: none set", NOW)
    assert found.measure == ""


@pytest.mark.parametrize(
    ("item", "age", "is_ticked"),
    [(TEAM, DAY_NS, True), (TEAM, DAY_NS + 1, False), (PERSON, 90 * DAY_NS, True)],
)
def test_who_was_on_call_yesterday_is_asked_again(item: Item, age: int, is_ticked: bool) -> None:
    assert row(item, signature(item.name, at=NOW - age)).ticked is is_ticked


def test_the_last_signature_counts() -> None:
    old, new = signature("team", "anna", NOW - 2 * DAY_NS), signature("team", "berta", NOW)

    assert row(TEAM, new, old).told == "signed by berta"
    assert row(TEAM, old).told == "signed by anna, counts for a day"
    late = signature("contacts", at=NOW - 31 * DAY_NS)
    assert row(MONTH, late).told == "signed by anna, counts for 30 days"


# --- signing ---

OF = (MACHINE, PERSON, TEAM)


def test_a_signature_is_added_to_those_of_other_lists_and_versions() -> None:
    other = Signature(version="v0.9.0", list="pre", item="flags", by="carl", at=NOW)
    of_post = Signature(version="v1.0.0", list="post", item="flags", by="carl", at=NOW)

    found = checklist.sign(OF, signature(), (other, of_post))

    assert found == (other, of_post, signature())
    assert checklist.of_list(found, "v1.0.0", "pre") == (signature(),)


def test_an_old_signature_that_counts_no_more_is_followed_by_another() -> None:
    old = signature("team", at=NOW - 2 * DAY_NS)

    assert checklist.sign(OF, signature("team"), (old,)) == (old, signature("team"))


@pytest.mark.parametrize(
    ("wanted", "error", "said"),
    [
        (signature(by=""), UsageError, "flags is to be signed by somebody: add --by NAME"),
        (signature("runbook"), Refused, "ticked by what is measured, nobody can sign it"),
        (signature("flag"), NotFound, "has no item 'flag'; did you mean flags?"),
        (signature("zzz"), NotFound, "it has: runbook, flags, team."),
        (signature(), Refused, "signed already, by berta; nothing"),
        (signature("team"), Refused, "signed already, by carl (until ten); nothing"),
    ],
)
def test_a_signature_that_means_nothing_is_refused_in_a_sentence(
    wanted: Signature, error: type[OperatorError], said: str
) -> None:
    before = (signature(by="berta"), signature("team", "carl", note="until ten"))

    with pytest.raises(error) as refused:
        checklist.sign(OF, wanted, before)

    assert said in refused.value.sentence


def test_a_list_without_items_has_none_to_name() -> None:
    with pytest.raises(NotFound, match="it has: none"):
        checklist.sign((), signature(), ())


# --- the tables ---


def test_each_phase_has_the_same_five_items_and_a_person_decides() -> None:
    found = checklist.items("during", ["canary", "limited"])

    assert [one.name for one in found[:5]] == [
        "canary-deployed",
        "canary-smoke",
        "canary-monitored",
        "canary-metrics",
        "canary-decision",
    ]
    assert [one.name for one in found if not one.looks] == ["canary-decision", "limited-decision"]


@pytest.mark.parametrize("which", checklist.LISTS)
def test_no_list_names_an_item_twice(which: str) -> None:
    names = [one.name for one in checklist.items(which, ["canary", "full"])]

    assert len(names) == len(set(names)) > 9


def test_before_is_about_the_state_before_and_after_ends_with_cleaning_up() -> None:
    assert checklist.items("pre") == BEFORE
    assert checklist.items("post")[-3:] == checklist.AFTER[-3:]
    assert checklist.AFTER[-1].name == "canary-cleaned"
