"""`emergency contacts set | show`: whom to call, and that an alarm which calls people says so."""

import json
import zipfile
from pathlib import Path

import psutil
import pytest

from tests.cli.conftest import Admin
from tests.cli.test_commits import ids
from tests.cli.test_config import log
from tests.cli.test_confirm import alarms
from tests.cli.test_doctor import checks
from tests.cli.test_with_a_daemon import eventually
from tests.operations import build

SET = ["emergency", "contacts", "set"]
ON_CALL = [*SET, "on-call", "--name", "Anna", "--phone", "+1 312 555 0100", "--email", "a@desk.org"]


def everybody(admin: Admin) -> None:
    admin.told(0, *ON_CALL)
    admin.told(0, *SET, "sdk-support", "--email", "support@desk.org")
    admin.told(0, *SET, "escalation", "--name", "Bert", "--phone", "+1 312 555 0101")


def test_at_first_nobody_is_known_and_it_says_what_is_to_be_filled_in(admin: Admin) -> None:
    said = admin.told(1, "emergency", "contacts", "show")

    assert said.out == (
        "admin on call: NOT SET\nSDK support: NOT SET\nescalation: NOT SET\n"
        "still to be filled in: admin on call: phone and e-mail; SDK support: phone or e-mail; "
        "escalation: phone or e-mail\n"
    )
    assert "next: risk-daemon-admin emergency contacts set on-call --phone" in said.err


def test_who_is_set_is_committed_without_his_number_and_shown(admin: Admin) -> None:
    said = admin.told(0, *ON_CALL, "--reason", "this week")

    assert said.out == "admin on call: Anna +1 312 555 0100 a@desk.org\n"
    assert log(admin)[0][1] == "contact of admin on call: this week"
    shown = admin.told(1, "emergency", "contacts", "show")
    assert "admin on call: Anna +1 312 555 0100 a@desk.org\n" in shown.out
    assert admin.told(0, *ON_CALL).err.startswith("it was so already\n")
    admin.told(0, *SET, "on-call", "--name", "Carla")
    assert "Carla +1 312 555 0100" in admin("emergency", "contacts", "show").out
    admin.told(0, *SET, "on-call", "--email", "")
    still = admin.told(1, "emergency", "contacts", "show", "--json").data()["missing"]
    assert still[0] == "admin on call: e-mail"


def test_doctor_and_the_checklist_know_when_all_are_there(admin: Admin) -> None:
    assert "phone and e-mail" in checks(admin)["contacts"]["text"]

    everybody(admin)

    assert admin.told(0, "emergency", "contacts", "show").err == ""
    assert checks(admin)["contacts"]["text"] == "every role can be reached"


def test_a_production_home_is_warned_of_it(admin: Admin) -> None:
    path = admin.home.about
    path.write_text(path.read_text().replace('"demo"', '"production"'))

    row = checks(admin, 1)["contacts"]

    assert (row["state"], row["next"]) == ("warn", "risk-daemon-admin emergency contacts set")


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ("on-call", 2, "say what is known: --name, --phone or --email"),
        ("on-call --phone anna", 2, "--phone 'anna' is no telephone number; allowed: digits"),
        ("on-call --email anna", 2, "--email 'anna' is no address; allowed: one"),
        (f"on-call --name {'x' * 101}", 2, "--name has 101 characters, at most 100"),
        ("janitor --name x", 2, "'janitor' is not one of"),
        ("on-call --name Anna --dry-run", 0, "nothing was done"),
    ],
)
def test_what_can_t_be_is_refused_and_nothing_is_changed(
    admin: Admin, words: str, code: int, sentence: str
) -> None:
    before = build.contents(admin.home.path)

    said = admin.told(code, *SET, *words.split())

    assert sentence in said.err
    assert build.contents(admin.home.path) == before


@pytest.mark.parametrize("text", ["not json", '{"format": 2}', '{"format": 1, "on-call": 7}', "[]"])
def test_a_file_that_can_t_be_read_is_named_with_the_way_out(admin: Admin, text: str) -> None:
    path = admin.home.config / "contacts.json"
    path.write_text(text)

    assert f"{path} " in admin.told(2, "emergency", "contacts", "show").err
    assert "contacts.json" in checks(admin, 1)["contacts"]["text"]


def test_a_way_back_of_the_configuration_leaves_them_as_they_are(admin: Admin) -> None:
    first = ids(admin)[0]
    everybody(admin)
    admin.told(0, "config", "set-rule", "1", "max-contracts", "limit=4")

    admin.told(0, "config", "rollback", "--to-commit", first, "--reason", "too tight")

    assert admin.told(0, "emergency", "contacts", "show").out.count("NOT SET") == 0
    assert "limit: 4" not in (admin.home.config / "accounts" / "1.yaml").read_text()


def test_a_bundle_for_support_does_not_say_them(admin: Admin, tmp_path: Path) -> None:
    everybody(admin)
    admin.home.logs.joinpath("supervisor.log").write_text('{"text": "call +1 312 555 0100"}\n')

    admin.told(0, "doctor", "--bundle", str(tmp_path / "bundle.zip"))

    with zipfile.ZipFile(tmp_path / "bundle.zip") as bundle:
        assert "config/contacts.json" not in bundle.namelist()
        assert b"555" not in bundle.read("logs/supervisor.log")


def test_who_is_called_by_a_service_that_gave_up_reads_whom_to_reach(admin: Admin) -> None:
    everybody(admin)

    said = admin.told(1, "service", "gave-up")

    assert "admin on call: Anna +1 312 555 0100 a@desk.org; SDK support: " in said.out
    kept = (admin.home.state / "pending-messages.jsonl").read_text()
    assert "escalation: Bert" in json.loads(kept)["alarm"]["text"]


def test_the_alarm_after_three_failed_restarts_says_whom_to_reach(daemon: Admin) -> None:
    everybody(daemon)
    known = ""

    def fresh() -> str:
        rows = daemon("status", "--json").data()["processes"]
        pid = next(str(row["pid"] or "") for row in rows if row["name"] == "console")
        return pid if pid != known else ""

    for _ in range(3):
        eventually(lambda: bool(fresh()), "the console is there again")
        known = fresh()
        psutil.Process(int(known)).kill()

    def told() -> bool:
        return any(
            "console ended 3 times without staying up; admin on call: Anna +1 312" in text
            for text in alarms(daemon)
        )

    eventually(told, "people are called")
    eventually(lambda: daemon("health").code == 0, "it is healthy again")
