"""`config history | apply | rollback`: the configuration goes to one of its commits."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from risk_daemon.operations.configuration import postponed
from tests.cli.conftest import Admin
from tests.cli.test_config import limits, log, write
from tests.operations import build


def ids(admin: Admin) -> list[str]:
    """The commits' ids, newest first."""
    rows = admin.told(0, "config", "history", "--json").data()["commits"]
    return [row["id"] for row in rows]


def two_commits(admin: Admin) -> tuple[str, str]:
    """Return the first commit, with a limit of 5, and one with 3 that follows it."""
    admin.told(0, "config", "set-rule", "all", "max-contracts", "limit=3", "--reason", "second")
    newer, older = ids(admin)[:2]
    return older, newer


def tag(admin: Admin, name: str, commit: str) -> None:
    from dulwich.objects import ObjectID
    from dulwich.refs import Ref
    from dulwich.repo import Repo

    with Repo(str(admin.home.config)) as repo:
        repo.refs[Ref(b"refs/tags/" + name.encode())] = ObjectID(commit.encode())


# --- nobody runs it ---------------------------------------------------------------


def test_the_history_is_shown_newest_first_with_who_and_why_and_tags(admin: Admin) -> None:
    older, newer = two_commits(admin)
    tag(admin, "before-holiday", older)

    said = admin.told(0, "config", "history", "--limit", "2")

    first, second = said.out.splitlines()
    assert first.startswith(f"{newer[:12]} 20")
    assert first.endswith("all accounts max-contracts: limit=3: second")
    assert second.endswith("First configuration, written by init [before-holiday]")
    assert f"config rollback --to-commit {older[:8]} --dry-run" in said.err


@pytest.mark.parametrize("how", ["tag", "prefix"])
def test_a_commit_is_named_by_a_tag_or_the_beginning_of_its_id(admin: Admin, how: str) -> None:
    older, _ = two_commits(admin)
    tag(admin, "before-holiday", older)
    named = "before-holiday" if how == "tag" else older[:7]

    said = admin.told(0, "config", "rollback", "--to-commit", named, "--reason", "too small")

    assert said.out.startswith(f"the files are those of commit {older[:12]} (")
    assert "`start` puts it into force" in said.err
    assert "limit: 5" in (admin.home.config / "policy.yaml").read_text()
    assert log(admin)[0][1] == f"Rolled back to {older[:12]}: too small"


def test_what_was_edited_by_hand_is_kept_as_a_commit_before_anything_moves(admin: Admin) -> None:
    older, _ = two_commits(admin)
    write(admin, "policy.yaml", "    limit: 3", "    limit: 4    # by hand")

    admin.told(0, "config", "apply", "--to-commit", older, "--reason", "again")

    assert [text for _, text in log(admin)][:2] == [
        f"Applied {older[:12]}: again",
        "Edited by hand: again",
    ]
    by_hand = ids(admin)[1]
    admin.told(0, "config", "apply", "--to-commit", by_hand)
    assert "limit: 4    # by hand" in (admin.home.config / "policy.yaml").read_text()


def test_a_file_that_the_commit_has_not_is_gone(admin: Admin) -> None:
    older, _ = two_commits(admin)
    admin.told(0, "config", "set-rule", "ONE", "max-contracts", "limit=2")
    text = (admin.home.config / "accounts" / "1.yaml").read_text()

    admin.told(0, "config", "rollback", "--to-commit", older)

    assert (admin.home.config / "accounts" / "1.yaml").read_text() != text
    again = admin.told(0, "config", "rollback", "--to-commit", older)
    assert "as they were" in again.out


@pytest.mark.parametrize(
    ("named", "code", "sentence"),
    [
        ("abc", 2, "'abc' names no commit: a tag, or at least 4"),
        ("HEAD~1", 2, "'HEAD~1' names no commit"),
        ("0000000", 5, "an id that begins so; nothing was changed"),
    ],
)
def test_what_names_no_commit_is_refused_and_nothing_is_changed(
    admin: Admin, named: str, code: int, sentence: str
) -> None:
    two_commits(admin)
    before = build.contents(admin.home.path)

    for verb in ("apply", "rollback"):
        assert sentence in admin.told(code, "config", verb, "--to-commit", named).err
    assert build.contents(admin.home.path) == before


def test_a_home_without_a_history_says_so(admin: Admin) -> None:
    shutil.rmtree(admin.home.config / ".git")

    said = admin.told(5, "config", "history")

    assert "has no history yet; `risk-daemon-admin start` begins it" in said.err


def test_a_commit_that_is_not_valid_here_is_refused_and_nothing_is_changed(admin: Admin) -> None:
    two_commits(admin)
    write(admin, "policy.yaml", "mode: enforce", "mode: enforced")
    from risk_daemon.operations.configuration import history

    bad = history.commit(admin.home.config, "tester", "a slip")
    assert bad is not None
    write(admin, "policy.yaml", "mode: enforced", "mode: enforce")
    before = build.contents(admin.home.path)

    said = admin.told(3, "config", "rollback", "--to-commit", bad)

    assert f"commit {bad[:12]} can't be in force here" in said.err
    assert 'mode is "enforced"; allowed: enforce, shadow or alert' in said.err
    assert build.contents(admin.home.path) == before


def test_a_dry_run_says_where_it_would_go_and_changes_nothing(admin: Admin) -> None:
    older, _ = two_commits(admin)
    before = build.contents(admin.home.path)

    said = admin.told(0, "config", "rollback", "--to-commit", older, "--dry-run")

    assert said.out.startswith(f"would go to commit {older[:12]} (")
    assert "nothing was done" in said.err
    assert build.contents(admin.home.path) == before


# --- it runs ---------------------------------------------------------------------


def in_force(admin: Admin) -> list[str]:
    rows: list[dict[str, Any]] = admin.told(0, "config", "history", "--json").data()["commits"]
    return [row["id"] for row in rows if row["in_force"]]


def test_a_rollback_is_in_force_at_once_also_where_it_is_looser(daemon: Admin) -> None:
    start = ids(daemon)[0]
    assert in_force(daemon) == [start]
    daemon.told(0, "config", "set-rule", "101", "max-contracts", "limit=3")
    daemon.told(0, "config", "set-rule", "all", "max-contracts", "limit=2")
    assert limits(daemon)[101] == 3
    assert sorted(postponed.read(daemon.home)) == [102, 201]

    said = daemon.told(0, "config", "rollback", "--to-commit", start[:10], "--reason", "a slip")

    assert "101 max-contracts limit from 3 to 5: looser, for all accounts: at once" in said.out
    assert "101: in force now" in said.out
    assert "no lock has ended by it, and no account was flattened by it" in said.err
    assert limits(daemon) == {101: 5, 102: 5, 201: 5}
    assert postponed.read(daemon.home) == {}
    assert in_force(daemon) == [ids(daemon)[0]]

    again = daemon.told(0, "config", "rollback", "--to-commit", start[:10])
    assert "nothing differs from what is in force" in again.out


def test_an_applied_commit_goes_the_way_of_every_change(daemon: Admin) -> None:
    start = ids(daemon)[0]
    daemon.told(0, "config", "set-rule", "201", "max-contracts", "limit=3")

    said = daemon.told(0, "config", "apply", "--to-commit", start)

    assert "limit from 3 to 5: looser, for all accounts: at the next trade day" in said.out
    assert "201: waits until" in said.out
    assert limits(daemon)[201] == 3
    daemon.told(0, "config", "rollback", "--to-commit", start)
    assert limits(daemon)[201] == 5
