"""Who may act on the page: set, changed, removed; private, or nobody is let in."""

import stat
import sys

import pytest

from risk_daemon.errors import Denied, NotFound, UsageError
from risk_daemon.operations.configuration import passwords
from risk_daemon.operations.home import Home

GOOD = "correct horse battery"


def test_a_password_lets_in_who_it_is_of_and_nobody_else(home: Home) -> None:
    assert passwords.people(home) == {}
    passwords.set_password(home, "anna", GOOD)
    known = passwords.people(home)

    assert passwords.is_right(known, "anna", GOOD)
    assert not passwords.is_right(known, "anna", GOOD + "!")
    assert not passwords.is_right(known, "bert", GOOD)
    assert not passwords.is_right(known, "bert", "nobody-nobody-nobody")
    assert GOOD not in passwords.file_of(home).read_text()


def test_a_password_is_changed_and_others_stay(home: Home) -> None:
    passwords.set_password(home, "anna", GOOD)
    passwords.set_password(home, "bert", GOOD)
    outcome = passwords.set_password(home, "anna", GOOD + " staple")

    known = passwords.people(home)
    assert outcome.lines == ("anna: the password of the page is changed",)
    assert not passwords.is_right(known, "anna", GOOD)
    assert passwords.is_right(known, "bert", GOOD)


def test_who_is_removed_is_let_in_no_more(home: Home) -> None:
    passwords.set_password(home, "anna", GOOD)
    assert passwords.remove(home, "anna", dry_run=True).data["people"] == []
    assert "anna" in passwords.people(home)

    passwords.remove(home, "anna")

    assert passwords.people(home) == {}
    with pytest.raises(NotFound, match="'anna' has no password of the page; who has: nobody"):
        passwords.remove(home, "anna")


@pytest.mark.parametrize(
    ("name", "password", "why"),
    [
        ("Anna", GOOD, "is no name"),
        ("", GOOD, "is no name"),
        ("anna", "short", "has 5 characters; 12 to 200 are allowed"),
        ("anna", "x" * 201, "has 201 characters"),
    ],
)
def test_what_can_not_be_a_name_or_a_password_is_refused(
    home: Home, name: str, password: str, why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        passwords.set_password(home, name, password)
    assert not passwords.file_of(home).exists()


def test_a_dry_run_keeps_nothing(home: Home) -> None:
    outcome = passwords.set_password(home, "anna", GOOD, dry_run=True)
    assert outcome.lines == ("anna: the password of the page would be set",)
    assert not passwords.file_of(home).exists()


def test_a_file_that_is_no_such_file_lets_nobody_in(home: Home) -> None:
    path = passwords.file_of(home)
    for text in ("{", "[]", '{"format": 9, "people": {}}', '{"format": 1}'):
        path.write_text(text)
        path.chmod(0o600)
        with pytest.raises(Denied, match="nobody is let in"):
            passwords.people(home)


def test_a_hash_that_is_damaged_lets_its_owner_in_no_more(home: Home) -> None:
    assert not passwords.is_right({"anna": "$argon2id$broken"}, "anna", GOOD)
    del home


if sys.platform != "win32":

    def test_the_file_is_its_owners_alone_and_one_that_is_not_lets_nobody_in(home: Home) -> None:
        passwords.set_password(home, "anna", GOOD)
        path = passwords.file_of(home)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

        path.chmod(0o640)

        with pytest.raises(Denied, match=r"others can read .*page\.json \(mode 0640\)"):
            passwords.people(home)
