"""`init` says how people are told of alarms, and tries what is configured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from risk_daemon.operations.home import Home
from tests.cli.conftest import Admin, Said
from tests.listening import Hook


@pytest.fixture
def chat() -> Iterator[Hook]:
    hook = Hook()
    yield hook
    hook.close()


def init(folder: Path, *words: str) -> tuple[Admin, Said]:
    key = folder / "north.key"
    key.write_text("a-long-north-key\n")
    key.chmod(0o600)
    admin = Admin(Home(folder / "home"), {})
    login = f"north:north:file:{key}:101"
    gateway = "http://127.0.0.1:9"
    told = ("--environment", "demo", "--gateway", gateway, "--login", login)
    return admin, admin.told(0, "init", *told, *words)


def test_what_init_says_of_channels_is_all_that_it_takes(tmp_path: Path, chat: Hook) -> None:
    admin, said = init(tmp_path)

    assert "nobody is told of alarms yet but who looks at the console" in said.out
    yaml = [line[2:] for line in said.out.splitlines() if line.startswith("  ")]
    (admin.home.config / "alerts.yaml").write_text("\n".join(yaml))
    (admin.home.path / "credentials").mkdir(exist_ok=True)
    (admin.home.path / "credentials" / "discord.url").write_text(chat.url)
    last = said.out.rpartition("then try it: risk-daemon-admin ")[2].split("\n")[0]
    assert admin.told(0, *last.split()).out == "chat: it arrived\n"
    assert "this channel works" in chat.got[0]["content"]


def test_a_channel_that_is_there_already_is_tried(tmp_path: Path, chat: Hook) -> None:
    home = tmp_path / "home"
    for name in ("config", "credentials"):
        (home / name).mkdir(parents=True)
    (home / "credentials" / "chat.url").write_text(chat.url)
    row = "{name: NAME, kind: slack, audiences: [admins], address: file:credentials/NAME.url}"
    rows = [f"  - {row.replace('NAME', name)}\n" for name in ("chat", "gone")]
    (home / "config" / "alerts.yaml").write_text("channels:\n" + "".join(rows))

    _, said = init(tmp_path, "--json")

    found = json.loads(said.out)["data"]["channels"]
    assert [(one["channel"], bool(one["failed"])) for one in found] == [
        ("chat", False),
        ("gone", True),
    ]
    assert "FileNotFoundError" in found[1]["failed"]
    assert len(chat.got) == 1
