"""Who is let in: this machine by its own names, and changes only from our own page."""

import pytest

from risk_daemon.console import door


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080"])
def test_this_machine_is_let_in_by_its_own_names(host: str) -> None:
    assert door.host_objection(host) == ""


@pytest.mark.parametrize(
    "host",
    ["", "evil.example", "localhost.evil.example:8080", "127.0.0.1.nip.io", "[::1", "10.0.0.1"],
)
def test_another_name_is_refused_with_the_names_that_are_not(host: str) -> None:
    assert "answers to localhost and 127.0.0.1" in door.host_objection(host)


def test_a_change_is_asked_for_by_the_page_itself() -> None:
    assert door.origin_objection("http://localhost:8080", "localhost:8080") == ""


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("", "localhost:8080"),
        ("null", "localhost:8080"),
        ("http://localhost:3000", "localhost:8080"),
        ("http://evil.example", "evil.example"),
        ("http://[", "localhost:8080"),
    ],
)
def test_a_change_that_another_page_asks_for_is_refused(origin: str, host: str) -> None:
    assert "nothing was done" in door.origin_objection(origin, host)
