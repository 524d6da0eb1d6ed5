"""Messages through real channels: each arrives once, a dead one delays and loses nothing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.waiting import until
from tests.listening import Hook, Mail
from tests.untraced import leave_children_untraced

leave_children_untraced()
FILE = """\
channels:
  - {{name: traders, kind: discord, audiences: [traders], address: file:credentials/discord.url}}
  - {{name: desk, kind: slack, audiences: [management], address: file:credentials/slack.url}}
  - name: admins
    kind: email
    audiences: [admins]
    server: 127.0.0.1:{mail}
    tls: none
    sender: risk@example.org
    to: [admin@example.org]
"""


class Scene:
    """A daemon of one account, and three services on this machine."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.discord, self.slack, self.mail = Hook(), Hook(), Mail()

    def configure(self) -> None:
        """Have three channels; once is enough."""
        if (self.daemon.home / "config" / "alerts.yaml").is_file():
            return
        folder = self.daemon.home / "credentials"
        (folder / "discord.url").write_text(self.discord.url)
        (folder / "slack.url").write_text(self.slack.url)
        text = FILE.format(mail=self.mail.port)
        (self.daemon.home / "config" / "alerts.yaml").write_text(text)
        files = [self.daemon.home / "state" / f"channel-{n}.json" for n in ("traders", "desk")]
        until(lambda: all(one.is_file() for one in files), 20, "the channels to be there")

    def send(self, text: str, *words: str) -> str:
        return self.daemon.run("alert", "send", text, *words).ok().out

    def channel(self, name: str) -> dict[str, Any]:
        told = json.loads(self.daemon.run("alert", "list", "--json").out)["data"]["channels"]
        return next(row for row in told if row["channel"] == name)

    def close(self) -> None:
        for one in (self.discord, self.slack, self.mail):
            one.close()


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        _, daemon = open_all(stack, "channels", Crowd(1, 1), 5, None)
        daemon.start()
        found = Scene(daemon)
        stack.callback(found.close)
        yield found


def test_without_a_channel_whoever_asks_is_told(scene: Scene) -> None:
    listed = scene.daemon.run("alert", "list")

    assert listed.code == 1
    assert "no channel is configured: whatever happens is told by the console only" in listed.out
    assert "no channel is configured" in scene.daemon.run("status").out
    assert "no channel is configured for it" in scene.send("before anybody listens")
    nobody = scene.daemon.run("alert", "test", "traders")
    assert (nobody.code, "there is no channel 'traders'; there are: none" in nobody.err) == (
        5,
        True,
    )


def test_a_message_arrives_at_each_service_once_and_nothing_from_before(scene: Scene) -> None:
    scene.configure()

    said = scene.send("Deployment rolled back to v1.2.0")

    assert "traders: stored; shown by the console, queued for traders" in said
    until(lambda: len(scene.discord.got) == 1, 20, "Discord")
    until(lambda: len(scene.slack.got) == 1, 20, "Slack")
    until(lambda: len(scene.mail.got) == 1, 20, "the mail")
    assert "URGENT Deployment rolled back to v1.2.0" in scene.discord.got[0]["content"]
    assert "Deployment rolled back to v1.2.0" in scene.slack.got[0]["text"]
    assert "Subject: risk daemon: URGENT Deployment rolled back" in scene.mail.got[0]
    assert scene.daemon.run("alert", "outbox").ok().out == "nothing waits\n"
    assert "no channel is configured" not in scene.daemon.run("status").out


def test_a_dead_channel_delays_no_other_and_has_its_messages_later_once(scene: Scene) -> None:
    scene.discord.code = 503

    scene.send("still here")

    until(lambda: len(scene.slack.got) == 2, 20, "Slack")
    until(lambda: "503" in scene.channel("traders")["failed"], 20, "the failure to be told")
    listed = scene.daemon.run("alert", "list")
    assert (listed.code, "FAILS since" in listed.out) == (1, True)
    waiting = scene.daemon.run("alert", "outbox")
    assert (waiting.code, "traders: URGENT still here" in waiting.out) == (1, True)
    failed = scene.daemon.run("alert", "test", "traders")
    assert (failed.code, "it did not arrive: HTTPError 503" in failed.err) == (1, True)

    scene.discord.code = 204
    until(lambda: len(scene.discord.got) == 2, 30, "Discord after all")

    assert "still here" in scene.discord.got[1]["content"]
    assert scene.channel("traders")["waiting"] == []
    assert scene.daemon.run("alert", "test", "traders").ok().out == "traders: it arrived\n"
    assert len(scene.slack.got) == 2


def test_a_wrong_webhook_and_a_server_that_refuses_are_named_and_nothing_is_lost(
    scene: Scene,
) -> None:
    scene.discord.code, scene.mail.refuses = 404, True

    scene.send("kept until it arrives")

    for name, why in (("traders", "HTTPError 404"), ("admins", "SMTPRecipientsRefused")):
        until(lambda: why in scene.channel(name)["failed"], 20, f"{name} to fail")  # noqa: B023
        failed = scene.daemon.run("alert", "test", name)
        assert (failed.code, failed.out) == (1, "")
        assert "it did not arrive" in failed.err
        assert why in failed.err
        assert len(failed.err.strip().splitlines()) == 1
    waiting = scene.daemon.run("alert", "outbox")
    assert waiting.code == 1
    for name in ("traders", "admins"):
        assert f"{name}: URGENT kept until it arrives" in waiting.out

    scene.discord.code, scene.mail.refuses = 204, False
    until(lambda: scene.daemon.run("alert", "outbox").out == "nothing waits\n", 60, "all of it")
    assert sum("kept until it arrives" in one["content"] for one in scene.discord.got) == 1
    assert sum("kept until it arrives" in one for one in scene.mail.got) == 1


def test_after_a_kill_of_the_console_nothing_comes_twice(scene: Scene) -> None:
    scene.configure()
    before = (len(scene.discord.got), len(scene.slack.got), len(scene.mail.got))
    pid = scene.daemon.kill("console")
    until(lambda: scene.daemon.processes().get("console") is not None, 20, "another console")
    until(lambda: scene.daemon.processes()["console"].pid != pid, 20, "another console")

    scene.send("after the kill")

    until(lambda: len(scene.discord.got) == before[0] + 1, 30, "Discord")
    until(lambda: len(scene.slack.got) == before[1] + 1, 30, "Slack")
    until(lambda: len(scene.mail.got) == before[2] + 1, 30, "the mail")


def test_a_file_that_is_wrong_changes_nothing_and_says_where(scene: Scene) -> None:
    file = scene.daemon.home / "config" / "alerts.yaml"
    before = file.read_text()
    file.write_text(before.replace("discord,", "pigeon,"))

    listed = scene.daemon.run("alert", "list")
    assert listed.code == 2
    assert "channel 1: Invalid enum value 'pigeon'" in listed.err
    assert "no channel was changed" in listed.err

    count = len(scene.slack.got)
    file.write_text(before)
    scene.send("as before")
    until(lambda: len(scene.slack.got) == count + 1, 30, "Slack")
