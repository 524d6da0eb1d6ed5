"""`checklist pre` as people run it: what is measured ticks itself, the rest somebody signs."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from risk_daemon.clock import Clock
from risk_daemon.journal.exclusive import try_lock
from risk_daemon.operations.checklists import signatures
from risk_daemon.operations.checklists.checklist import BEFORE, DAY_NS, Signature
from risk_daemon.rollout.evidence import Count
from tests.cli.conftest import Admin
from tests.cli.test_contacts import everybody
from tests.depot.conftest import Releases
from tests.depot.test_gates import VERSION, measured, staged, suite
from tests.operations import build as homes

PRE = ["checklist", "pre"]
OF_PEOPLE = [one.name for one in BEFORE if not one.looks]


@pytest.fixture
def here(releases: Releases, tmp_path: Path) -> Releases:
    """A home nobody runs, with a release whose own evidence is green."""
    staged(releases, tmp_path, measured())
    return releases


def items(admin: Admin, code: int = 3) -> dict[str, dict[str, object]]:
    data = admin.told(code, *PRE, "--json").data()
    assert data["version"] == VERSION
    return {one["item"]: one for one in data["items"]}


def refused(here: Releases, code: int, *words: str) -> str:
    """Ask for what is refused in one sentence and changes nothing; that sentence."""
    before = here.contents()

    said = here.admin.told(code, *words)

    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert here.contents() == before
    return said.err


def test_what_was_measured_ticks_itself_with_its_age_and_the_rest_says_what_would(
    here: Releases,
) -> None:
    found = items(here.admin)

    assert list(found) == [one.name for one in BEFORE]
    assert {name for name, one in found.items() if one["ticked"]} == {
        "tests",
        "coverage",
        "benchmarks",
        "audit",
        "configuration-valid",
        "environment",
        "release-notes",
    }
    assert found["tests"]["told"] == (
        "900 simulated tests passed, none skipped; 4 live tests passed, none skipped"
    )
    assert isinstance(found["audit"]["age_s"], int)
    assert found["audit"]["age_s"] < 600
    assert "backup create" in str(found["backup"]["measure"])
    assert "no rollback was seen" in str(found["runbook"]["told"])
    assert {name for name, one in found.items() if one["who"] == "person"} == set(OF_PEOPLE)


def test_every_item_is_shown_and_the_first_open_one_is_next(here: Releases) -> None:
    said = here.admin.told(3, *PRE)

    *rows, last = said.out.splitlines()
    assert len(rows) == len(BEFORE) > 19
    assert rows[0].startswith("[x] tests: all tests pass, none skipped or failing: 900 simulated")
    assert "[ ] deployment-team: deployment team on call: nobody signed (`risk-daemon-admin" in (
        said.out
    )
    assert last.startswith("pre v1.0.0: 7 of 21 are ticked; open: configuration-reviewed, ")
    assert said.err == "next: risk-daemon-admin config diff\n"


def test_contacts_are_ticked_when_each_role_can_be_reached(here: Releases) -> None:
    found = items(here.admin)["contacts"]
    assert "still to be filled in: admin on call: phone and e-mail; SDK" in str(found["told"])
    assert found["measure"] == "`risk-daemon-admin emergency contacts set`"

    everybody(here.admin)

    assert items(here.admin)["contacts"]["told"] == "every role can be reached"


def test_a_release_with_a_skipped_test_is_open(releases: Releases, tmp_path: Path) -> None:
    none = suite(simulated=Count(passed=900, skipped=1))
    staged(releases, tmp_path, measured(tests=none))

    assert items(releases.admin)["tests"]["told"] == "1 simulated tests skipped"


def test_whoever_signs_is_named_with_the_note_and_it_stays_signed(here: Releases) -> None:
    words = ["--sign", "rollback-team", "--by", " anna ", "--note", "until 22:00"]

    said = here.admin.told(0, *PRE, *words)

    assert said.out == ("rollback-team of v1.0.0: rollback team on standby: signed by anna\n")
    assert said.err == "next: risk-daemon-admin checklist pre --version v1.0.0\n"
    found = items(here.admin)["rollback-team"]
    assert (found["ticked"], found["told"]) == (True, "signed by anna: until 22:00")
    assert "signed by anna: until 22:00" in here.admin.told(3, *PRE, "--version", VERSION).out
    twice = refused(here, 3, *PRE, "--sign", "rollback-team", "--by", "berta")
    assert "was signed already, by anna (until 22:00); nothing was changed" in twice


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (2, ["--sign", "flags"], "flags is to be signed by somebody: add --by NAME"),
        (2, ["--sign", "flags", "--by", "  "], "flags is to be signed by somebody"),
        (2, ["--by", "anna"], "--by goes with --sign ITEM, and no item was named"),
        (2, ["--note", "well"], "--note goes with --sign ITEM, and no item was named"),
        (3, ["--sign", "tests", "--by", "anna"], "tests (all tests pass, none skipped or failing)"),
        (5, ["--sign", "contact", "--by", "anna"], "did you mean contacts?"),
        (5, ["--version", "v9.9.9"], "v9.9.9 is not staged in this home"),
    ],
)
def test_what_can_not_be_signed_or_shown_is_refused_in_a_sentence(
    here: Releases, code: int, words: list[str], said: str
) -> None:
    assert said in refused(here, code, *PRE, *words)


def test_a_rehearsed_signature_is_not_kept(here: Releases) -> None:
    words = [*PRE, "--sign", "flags", "--by", "anna"]

    said = here.admin.told(0, *words, "--dry-run")

    assert "nothing was done" in said.err
    assert not (here.home.state / signatures.FILE).exists()
    here.admin.told(0, *words)
    assert "signed already, by anna" in refused(here, 3, *words, "--dry-run")


def test_a_signature_of_another_version_is_none_of_this_one(here: Releases) -> None:
    old = Signature(version="v0.9.0", list="pre", item="flags", by="anna", at=Clock().now_ns())
    signatures.write(here.home, (old,))

    assert items(here.admin)["flags"]["told"] == "nobody signed"
    here.admin.told(0, *PRE, "--sign", "flags", "--by", "berta")
    assert [one.by for one in signatures.read(here.home)] == ["anna", "berta"]


def test_who_was_on_call_two_days_ago_is_asked_again(here: Releases) -> None:
    at = Clock().now_ns() - 2 * DAY_NS
    old = Signature(version=VERSION, list="pre", item="deployment-team", by="anna", at=at)
    signatures.write(here.home, (old,))

    found = items(here.admin)["deployment-team"]

    assert (found["ticked"], found["told"]) == (False, "signed by anna, counts for a day")
    here.admin.told(0, *PRE, "--sign", "deployment-team", "--by", "berta")
    assert items(here.admin)["deployment-team"]["told"] == "signed by berta"


def test_two_who_sign_at_once_are_both_kept_or_one_is_told_so(here: Releases) -> None:
    def signed(item: str) -> int:
        return here.admin(*PRE, "--sign", item, "--by", "anna").code

    with ThreadPoolExecutor(len(OF_PEOPLE)) as pool:
        codes = dict(zip(OF_PEOPLE, pool.map(signed, OF_PEOPLE), strict=True))

    assert set(codes.values()) <= {0, 3}
    kept = {one.item for one in signatures.read(here.home)}
    assert kept == {item for item, code in codes.items() if code == 0} != set()


def test_while_another_signs_nothing_is_lost(here: Releases) -> None:
    lock = here.home.state / "checklist.lock"
    with lock.open("w") as held:
        assert try_lock(held.fileno())

        said = refused(here, 3, *PRE, "--sign", "flags", "--by", "anna")

    assert "somebody else signs at this moment; nothing was signed" in said
    here.admin.told(0, *PRE, "--sign", "flags", "--by", "anna")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "checklist.json can't be read"),
        (json.dumps({"format": 2, "signatures": []}), "has format 2, this release reads 1"),
    ],
)
def test_a_file_of_signatures_that_can_not_be_read_ticks_nothing(
    here: Releases, text: str, said: str
) -> None:
    (here.home.state / signatures.FILE).write_text(text)

    assert said in refused(here, 2, *PRE)
    assert said in refused(here, 2, *PRE, "--sign", "flags", "--by", "anna")


def test_a_configuration_that_is_not_valid_is_open(here: Releases) -> None:
    (here.home.config / "policy.yaml").write_text("rules: 7\n")

    found = items(here.admin)

    assert found["configuration-valid"]["ticked"] is False
    assert "policy.yaml:1: rules is 7" in str(found["configuration-valid"]["told"])
    assert "config validate" in str(found["configuration-valid"]["measure"])
    assert {name for name, one in found.items() if one["ticked"]} == set()


def test_where_nothing_is_staged_there_is_nothing_to_check(releases: Releases) -> None:
    assert "no release is staged here, so there is nothing to check" in refused(releases, 5, *PRE)


@pytest.mark.parametrize("which", ["pre", "during", "post"])
def test_where_no_home_is_none_is_checked(nobody: Admin, which: str) -> None:
    said = nobody.told(5, "checklist", which)

    assert "there is no home at" in said.err


@pytest.mark.parametrize("which", ["during", "post"])
def test_nobody_knows_a_rollout_while_no_daemon_runs(here: Releases, which: str) -> None:
    before = homes.contents(here.home.path)

    here.admin.told(8, "checklist", which)

    assert homes.contents(here.home.path) == before
