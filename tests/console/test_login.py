"""Who is logged in, for how long, and how soon one may try again."""

from risk_daemon.console import login
from risk_daemon.console.login import IDLE_NS, LONGEST_NS, SECOND_NS, SESSIONS_MAX, Logins

NOW = 1_000 * SECOND_NS


def test_every_wrong_password_doubles_the_wait_up_to_a_minute() -> None:
    logins, waits = Logins(), []
    for _ in range(9):
        logins.failed("anna", NOW)
        waits.append(logins.wait_s("anna", NOW))

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert logins.wait_s("bert", NOW) == 0
    assert logins.wait_s("anna", NOW + 60 * SECOND_NS) == 0


def test_a_wait_that_has_begun_is_told_to_the_second_above() -> None:
    logins = Logins()
    logins.failed("anna", NOW)
    assert logins.wait_s("anna", NOW + 1) == 1
    assert logins.wait_s("anna", NOW + SECOND_NS) == 0


def test_who_was_wrong_long_ago_or_is_in_begins_anew() -> None:
    logins = Logins()
    for _ in range(5):
        logins.failed("anna", NOW)
    later = NOW + login.FORGIVEN_NS
    logins.failed("anna", later)
    assert logins.wait_s("anna", later) == 1

    logins.open("anna", "t", "c", later)
    assert logins.wait_s("anna", later) == 0


def test_a_session_lasts_while_it_is_used_and_never_longer_than_a_day_at_work() -> None:
    logins = Logins()
    logins.open("anna", "t", "c", NOW)
    at = NOW
    while at - NOW + IDLE_NS <= LONGEST_NS:
        at += IDLE_NS
        assert logins.of("t", at) is not None

    assert logins.of("t", NOW + LONGEST_NS + 1) is None


def test_a_session_that_nobody_used_is_over() -> None:
    logins = Logins()
    logins.open("anna", "t", "c", NOW)
    assert logins.of("t", NOW + IDLE_NS + 1) is None


def test_a_session_that_was_closed_or_never_was_is_none() -> None:
    logins = Logins()
    logins.open("anna", "t", "c", NOW)
    logins.close("t")
    logins.close("another")
    assert logins.of("t", NOW) is None


def test_of_too_many_sessions_the_one_used_longest_ago_ends() -> None:
    logins = Logins()
    for number in range(SESSIONS_MAX):
        logins.open("anna", f"t{number}", "c", NOW + number)
    logins.of("t0", NOW + SESSIONS_MAX)

    logins.open("anna", "new", "c", NOW + SESSIONS_MAX)

    assert logins.of("t0", NOW + SESSIONS_MAX) is not None
    assert logins.of("t1", NOW + SESSIONS_MAX) is None


def test_only_the_page_of_a_session_knows_its_word() -> None:
    session = Logins().open("anna", "t", "word", NOW)
    assert login.is_shown(session, "word")
    assert not login.is_shown(session, "wörd")
