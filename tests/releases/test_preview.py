"""What another release would make of a configuration, before it is given an account."""

from __future__ import annotations

import pytest

from risk_daemon.operations.changing.upgrading import changes
from tests.releases.conftest import ACCOUNT, Pair


def test_a_value_that_the_other_release_reads_otherwise_is_named(pair: Pair) -> None:
    rule = ("config", "set-rule", str(ACCOUNT), "daily-combined-loss")
    pair.daemon.run(*rule, "limit=900.00", "mode=alert").ok()
    pair.daemon.run("config", "approve", "all", "--by", "anna", "--reason", "for a test").ok()

    done = pair.daemon.run("config", "preview", pair.new).ok()

    changed = f'{ACCOUNT} daily-combined-loss defaults est_exit_fees: "0" becomes "0.50"'
    assert done.out.splitlines() == [changed]
    assert "nothing was changed" in done.err


def test_a_release_that_reads_it_alike_says_so(pair: Pair) -> None:
    done = pair.daemon.run("config", "preview", pair.old).ok()

    assert done.out.strip() == f"{pair.old} reads the configuration as this release does"


def test_files_that_it_can_not_read_and_a_release_that_is_not_there_are_refused(pair: Pair) -> None:
    settings = pair.daemon.home / "config" / "daemon.yaml"
    before = settings.read_text()
    settings.write_text(f"{before}config_schema: 2\n")

    refused = pair.daemon.run("config", "preview", pair.new)
    settings.write_text(before)
    missing = pair.daemon.run("config", "preview", "v7.0.0")

    assert (refused.code, refused.out) == (3, "")
    assert f"{pair.new} can't read this configuration; nothing was changed" in refused.err
    assert "config_schema is 2; allowed: a number from 1 to 1" in refused.err
    assert (missing.code, missing.out) == (5, "")
    assert "v7.0.0 is not staged in this home" in missing.err


@pytest.mark.parametrize(
    ("mine", "theirs", "said"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a b: 1 becomes 2"]),
        ({"a": 1}, {}, ["a: 1 is not read any more"]),
        ({}, {"a": [1, 2]}, ["a: new, [1, 2]"]),
        (
            {"accounts": [{"account": 7, "rules": [{"rule": "r", "params": {"limit": 5}}]}]},
            {"accounts": [{"account": 7, "rules": [{"rule": "r", "params": {"limit": 4}}]}]},
            ["7 r limit: 5 becomes 4"],
        ),
        ({"x": [{"y": 1}]}, {"x": [{"y": 1}, {"y": 2}]}, ["x 1 y: new, 2"]),
        ({"a": None}, {"a": None}, []),
    ],
)
def test_each_single_value_is_compared(
    mine: dict[str, object], theirs: dict[str, object], said: list[str]
) -> None:
    assert changes(mine, theirs) == said
