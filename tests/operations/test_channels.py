"""Channels: what the file may say, whom each concerns, its words, and what arrives."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from risk_daemon.operations.alerts import channels, sending
from risk_daemon.operations.alerts.channel_sink import PLACES_KEPT, ChannelSink, path_of, standing
from risk_daemon.operations.alerts.channels import FORMAT, LONGEST, MESSAGES_MAX, Channel
from risk_daemon.operations.alerts.outbox import Alarm, Place
from risk_daemon.operations.home import Home
from tests.listening import Hook, Mail

HOOK: dict[str, Any] = {
    "name": "chat",
    "kind": "discord",
    "audiences": ["traders"],
    "address": "file:chat.url",
}
MAIL: dict[str, Any] = {
    "name": "mail",
    "kind": "email",
    "audiences": ["admins"],
    "server": "127.0.0.1:25",
    "tls": "none",
    "sender": "risk@example.org",
    "to": ["admin@example.org"],
}


def channel(**changed: Any) -> Channel:
    return msgspec.convert({**HOOK, **changed}, Channel)


def alarm(number: int = 1, **changed: Any) -> Alarm:
    found: dict[str, Any] = {
        "place": Place(number, number),
        "at": 1_000 + number,
        "account": 0,
        "level": "urgent",
        "what": "message",
        "text": f"text {number}",
        "source": "alert",
        "audience": "traders",
    }
    return Alarm(**{**found, **changed})


# --- the file ---


def test_a_file_names_its_channels_in_order() -> None:
    found = channels.read({"channels": [HOOK, MAIL]})

    assert not isinstance(found, str)
    assert [one.name for one in found] == ["chat", "mail"]
    assert channels.read({}) == ()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ({"format": 0}, "format is a whole number from 1 on, was 0"),
        ({"format": "new"}, "format is a whole number from 1 on, was 'new'"),
        ({"chanels": []}, "'chanels' is no key of it; allowed are format, channels, thresholds"),
        ({"channels": {}}, ""),
        ({"channels": {"a": 1}}, "channels is a list"),
        ({"channels": [HOOK | {"kind": "pigeon"}]}, "channel 1: Invalid enum value 'pigeon'"),
        ({"channels": [HOOK | {"colour": "red"}]}, "unknown field `colour`"),
        ({"channels": [HOOK | {"name": "A B"}]}, "a name is small letters"),
        ({"channels": [HOOK, HOOK]}, "channel 2 (chat): another channel has this name"),
        ({"channels": [HOOK | {"audiences": ["cats"]}]}, "audience 'cats': allowed are traders"),
        ({"channels": [HOOK | {"audiences": []}]}, "audience 'nobody'"),
        ({"channels": [HOOK | {"least": "loud"}]}, "least 'loud': allowed are info, warn"),
        ({"channels": [HOOK | {"address": "https://x"}]}, "in which file of the home"),
        ({"channels": [HOOK | {"user": "u"}]}, "user is for email"),
        ({"channels": [HOOK | {"to": ["a@b"]}]}, "to is for email"),
        ({"channels": [MAIL | {"address": "file:x"}]}, "address is for a webhook"),
        ({"channels": [MAIL | {"server": "here"}]}, "server 'here': allowed is HOST:PORT"),
        ({"channels": [MAIL | {"to": []}]}, "sender and to are addresses"),
        ({"channels": [MAIL | {"to": ["anna"]}]}, "sender and to are addresses"),
        ({"channels": [MAIL | {"sender": "anna"}]}, "sender and to are addresses"),
        ({"channels": [MAIL | {"user": "u"}]}, "user and password come together"),
        ({"channels": [MAIL | {"user": "u", "password": "p"}]}, "password says in which file"),
    ],
)
def test_what_is_wrong_is_one_sentence(raw: dict[str, Any], why: str) -> None:
    found = channels.read(raw)

    if why:
        assert isinstance(found, str)
        assert why in found
    else:
        assert found == ()


# --- whom it concerns, and the words ---


@pytest.mark.parametrize(
    ("least", "level", "audience", "carried"),
    [
        ("warn", "warn", "traders", True),
        ("warn", "info", "traders", False),
        ("warn", "page", "traders", True),
        ("warn", "urgent", "admins", False),
        ("page", "a level of a later release", "traders", True),
    ],
)
def test_a_channel_carries_what_is_loud_enough_to_its_audience(
    least: str, level: str, audience: str, carried: bool
) -> None:
    assert channels.concerns(channel(least=least), alarm(level=level, audience=audience)) is carried


def test_what_is_for_nobody_in_particular_is_for_the_admins() -> None:
    assert channels.concerns(channel(audiences=["admins"]), alarm(audience=""))
    assert not channels.concerns(channel(), alarm(audience=""))


def test_a_line_says_level_what_account_time_and_number() -> None:
    said = channels.line(alarm(7, what="blind", account=12, level="page", text="no feed"))

    assert said == "PAGE blind: no feed (account 12) [1970-01-01T00:00:00.000+00:00, 7]"


def test_what_could_act_upon_a_chat_is_made_harmless() -> None:
    said = channels.line(alarm(text="@everyone \x1b[31mred\n@here"))

    assert "@everyone" not in said
    assert "@here" not in said
    assert said.isprintable()
    assert channels.body(channel(), said)["allowed_mentions"] == {"parse": []}
    assert channels.body(channel(kind="slack"), "<!channel> & co")["text"] == (
        "&lt;!channel&gt; &amp; co"
    )


def test_many_alarms_become_few_messages_that_the_service_takes() -> None:
    told = channels.messages(channel(), [alarm(n, text="x" * 700) for n in range(1, 5)])

    assert [len(one.splitlines()) for one in told] == [2, 2]
    assert all(len(one) <= LONGEST["discord"] for one in told)


def test_of_too_many_only_how_many_is_told() -> None:
    many = [alarm(n, text="x" * 1_900) for n in range(1, 20)]

    told = channels.messages(channel(), many)

    assert len(told) == MESSAGES_MAX
    assert told[-1].endswith(f"and {19 - MESSAGES_MAX} more: risk-daemon-admin logs tail")
    assert all(len(one) <= LONGEST["discord"] for one in told)


def test_a_text_that_is_too_long_is_cut() -> None:
    (told,) = channels.messages(channel(), [alarm(text="x" * 100_000)])

    assert len(told) == LONGEST["discord"]
    assert told.endswith(" ...")
    assert len(channels.subject("y" * 500)) < 140


# --- what arrives ---


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "state").mkdir()
    return Home(tmp_path)


@contextlib.contextmanager
def hooked(home: Home) -> Iterator[Hook]:
    hook = Hook()
    (home.path / "chat.url").write_text(f"{hook.url}\n")
    try:
        yield hook
    finally:
        hook.close()


def test_what_concerns_it_arrives_once_and_its_place_moves_over_all(home: Home) -> None:
    with hooked(home) as hook:
        sink = ChannelSink(home, channel(), 1_000)
        sink.deliver([alarm(1), alarm(2, audience="admins"), alarm(3)], 5_000)

        assert [one["content"].splitlines() for one in hook.got] == [
            [channels.line(alarm(1)), channels.line(alarm(3))]
        ]
    assert ChannelSink(home, channel(), 9_000).place == Place(3, 3)
    assert standing(home, "chat").sent == 2


def test_what_was_raised_before_the_channel_was_there_is_not_sent(home: Home) -> None:
    with hooked(home) as hook:
        ChannelSink(home, channel(), 1_002).deliver([alarm(1), alarm(2)], 5_000)

        assert hook.got == [{"content": channels.line(alarm(2)), "allowed_mentions": {"parse": []}}]


def test_a_webhook_that_says_no_keeps_the_message_and_its_address_secret(home: Home) -> None:
    with hooked(home) as hook:
        hook.code = 404
        sink = ChannelSink(home, channel(), 1_000)
        with pytest.raises(OSError, match="404"):
            sink.deliver([alarm(1)], 5_000)

        found = standing(home, "chat")
        assert (found.failed, found.failed_at) == ("HTTPError 404: Not Found", 5_000)
        assert "token" not in path_of(home, "chat").read_text()
        assert sink.place == Place()
        hook.code = 204
        sink.deliver([alarm(1)], 6_000)
        assert (len(hook.got), standing(home, "chat").failed) == (1, "")


@pytest.mark.parametrize("text", ["", "ftp://example.org", "http://example.org/x"])
def test_a_webhook_is_spoken_to_by_https_only(home: Home, text: str) -> None:
    (home.path / "chat.url").write_text(text)

    with pytest.raises(OSError, match=r"is empty|https://"):
        sending.send(home, channel(), [alarm()])


def test_a_mail_has_a_short_subject_and_all_of_it(home: Home) -> None:
    mail = Mail()
    try:
        made = msgspec.convert(MAIL | {"server": f"127.0.0.1:{mail.port}"}, Channel)
        sending.send(home, made, [alarm(1, audience="admins"), alarm(2, audience="admins")])
        assert "Subject: risk daemon: URGENT text 1" in mail.got[0]
        assert "To: admin@example.org" in mail.got[0]
        assert "URGENT text 2" in mail.got[0]
        mail.refuses = True
        with pytest.raises(OSError):  # noqa: PT011 - the library's own, with the server's words
            sending.send(home, made, [alarm(3)])
        assert len(mail.got) == 1
    finally:
        mail.close()


def test_a_sink_that_is_rewound_begins_there(home: Home) -> None:
    with hooked(home):
        sink = ChannelSink(home, channel(), 1_000)
        sink.deliver([alarm(n) for n in range(1, PLACES_KEPT + 10)], 5_000)
        newest = Place(PLACES_KEPT + 9, PLACES_KEPT + 9)
        assert list(sink.places())[:2] == [newest, newest]
        assert len(standing(home, "chat").places) == PLACES_KEPT

        sink.rewind(Place(4, 4))

        assert ChannelSink(home, channel(), 9_000).place == Place(4, 4)


def test_what_a_release_to_come_has_written_keeps_its_channels_when_one_goes_back() -> None:
    raw = {"format": FORMAT + 1, "channels": [], "moon": {"phase": "new"}}

    assert channels.read(raw) == ()
    assert "'moon' is no key of it" in str(channels.read(raw | {"format": FORMAT}))
