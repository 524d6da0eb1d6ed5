"""Keys come from where the configuration says, are refused before any login, and never shown."""

import pickle
from pathlib import Path

import pytest

from risk_daemon.errors import Denied
from risk_daemon.operations.configuration.credentials import Secret, resolve
from risk_daemon.operations.home import Home
from risk_daemon.settings import Login


def login(credentials: str) -> Login:
    return Login(name="alpha", user="me", credentials=credentials, accounts=(1,))


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROJECT_X_API_KEY", raising=False)
    monkeypatch.delenv("PROJECT_X_USERNAME", raising=False)


def test_a_secret_is_stars_wherever_it_is_shown() -> None:
    secret = Secret("abc-key")

    assert secret.reveal() == "abc-key"
    assert f"{secret} {secret!r} {[secret]}" == "******** ******** [********]"
    with pytest.raises(TypeError, match="never pickled"):
        pickle.dumps(secret)


def test_the_environment_serves_the_login_it_belongs_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJECT_X_API_KEY", "abc-key")
    monkeypatch.setenv("PROJECT_X_USERNAME", "me")

    found = resolve(Home(tmp_path), login("env"))

    assert (found.user, found.key.reveal(), found.note) == ("me", "abc-key", "")
    assert "abc-key" not in repr(found)


def test_a_missing_variable_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Denied, match="PROJECT_X_API_KEY and PROJECT_X_USERNAME is not set"):
        resolve(Home(tmp_path), login("env"))

    monkeypatch.setenv("PROJECT_X_API_KEY", "abc-key")
    with pytest.raises(Denied, match="but PROJECT_X_USERNAME is not set") as refused:
        resolve(Home(tmp_path), login("env"))
    assert "abc-key" not in refused.value.sentence


def test_another_users_environment_is_refused_before_any_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROJECT_X_API_KEY", "abc-key")
    monkeypatch.setenv("PROJECT_X_USERNAME", "staging_user")

    with pytest.raises(Denied, match="belongs to user me, but PROJECT_X_USERNAME is staging_user"):
        resolve(Home(tmp_path), login("env"))


def test_stored_credentials_ignore_a_differing_environment_and_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "alpha.key"
    file.write_text("stored-key\n")
    file.chmod(0o600)
    assert resolve(Home(tmp_path), login("file:alpha.key")).note == ""

    monkeypatch.setenv("PROJECT_X_USERNAME", "staging_user")
    found = resolve(Home(tmp_path), login("file:alpha.key"))

    assert found.key.reveal() == "stored-key"
    assert found.note == (
        "PROJECT_X_USERNAME=staging_user is ignored: login alpha has stored credentials."
    )


def test_a_file_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "alpha.key"
    file.write_text("stored-key\n")
    file.chmod(0o644)

    with pytest.raises(Denied, match=r"others can read .*mode 0644.*chmod 600") as refused:
        resolve(Home(tmp_path), login(f"file:{file}"))
    assert "stored-key" not in refused.value.sentence


@pytest.mark.parametrize("content", [b"", b"one\ntwo\n", b"\xff\xfe"])
def test_a_file_that_holds_no_single_key_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "alpha.key"
    file.write_bytes(content)
    file.chmod(0o600)

    with pytest.raises(Denied, match="alpha"):
        resolve(Home(tmp_path), login(f"file:{file}"))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Denied, match=r"nowhere\.key does not exist"):
        resolve(Home(tmp_path), login("file:nowhere.key"))
