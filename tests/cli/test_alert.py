"""`alert send`: a message is durable when the command returns, also with the daemon down."""

from __future__ import annotations

import subprocess
import sys

import pytest

from risk_daemon.core.events import AlarmRaised
from risk_daemon.operations import pending
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.stored import entries
from tests.cli.conftest import Admin
from tests.cli.test_with_a_daemon import eventually
from tests.operations import build


def stored(admin: Admin) -> list[tuple[str, str, str]]:
    """The messages in the journal: audience, level, text."""
    found = [entry.fact for entry in entries(admin.home.state / FILE, ("alarm-raised",))]
    return [
        (one.audience, one.level, one.text)
        for one in found
        if isinstance(one, AlarmRaised) and one.what == "message"
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("",), "the message is empty; nothing was sent"),
        (("  \n",), "the message is empty"),
        (("x" * 100_000,), "the message has 100,000 characters, at most 2,000"),
        (("x" * 2_001,), "the message has 2,001 characters, at most 2,000"),
        (("a\x07b",), "the message contains the control character '\\x07'"),
        (("hello", "--to", "trader"), "there is no audience 'trader'; there are: traders, admins"),
        (("hello", "--level", "loud"), "there is no level 'loud'; there are: info, warn"),
    ],
)
def test_what_can_not_be_sent_is_refused_and_nothing_is_kept(
    admin: Admin, words: tuple[str, ...], sentence: str
) -> None:
    before = build.contents(admin.home.path)

    assert sentence in admin.told(2, "alert", "send", *words).err
    assert build.contents(admin.home.path) == before


def test_a_dry_run_names_who_would_be_told(admin: Admin) -> None:
    before = build.contents(admin.home.path)

    said = admin.told(0, "alert", "send", "hello", "--to", "admins", "--dry-run")

    assert said.out == "admins: would be told\n"
    assert build.contents(admin.home.path) == before


def test_with_the_daemon_down_a_message_waits_for_the_next_start(admin: Admin) -> None:
    said = admin.told(0, "alert", "send", "Deployment rolled back to v1.2.0", "--by", "anna")

    assert "traders: kept for the next start, the daemon is not running" in said.out
    waiting = pending.messages(admin.home)
    assert [one.alarm.audience for one in waiting] == ["traders", "admins", "management"]
    assert waiting[0].alarm.text == "Deployment rolled back to v1.2.0, says anna"
    with (admin.home.state / pending.MESSAGES).open("ab") as file:
        file.write(b'{"id": "torn')
    assert len(pending.messages(admin.home)) == 3


def test_a_message_of_the_longest_kind_with_newlines_is_taken(admin: Admin) -> None:
    admin.told(0, "alert", "send", "\n\t" + "x" * 1_998, "--to", "traders", "--to", "traders")

    assert len(pending.messages(admin.home)) == 1


def test_with_the_daemon_running_a_message_is_a_record_and_shown(daemon: Admin) -> None:
    said = daemon.told(0, "alert", "send", "Back in ten minutes", "--to", "traders", "--by", "anna")

    assert said.out.startswith("traders: stored; shown by the console")
    assert stored(daemon) == [("traders", "urgent", "Back in ten minutes, says anna")]


def test_what_waited_is_in_the_journal_once_after_a_start(daemon: Admin) -> None:
    alarm = AlarmRaised(
        account=0, level="info", what="message", text="late", source="alert", audience="admins"
    )
    pending.keep_message(daemon.home, pending.Message("7", alarm))
    pending.keep_message(daemon.home, pending.Message("7", alarm))
    words = [sys.executable, "-m", "risk_daemon.programs.adopt", "--home", str(daemon.home.path)]

    subprocess.run(words, capture_output=True, check=True)

    eventually(lambda: stored(daemon).count(("admins", "info", "late")) == 1, "it is there once")
    assert pending.messages(daemon.home) == []
