"""A worker proves what it runs, or is refused."""

import pytest

from risk_daemon.wire.attest import UNSTAGED, objection

CODE = "a" * 64
OTHER = "b" * 64


def test_a_worker_that_runs_what_was_signed_is_let_in() -> None:
    assert objection("v1.0.0", CODE, CODE) == ""


@pytest.mark.parametrize("runs", ["", CODE])
def test_of_a_release_that_was_not_staged_nothing_is_asked(runs: str) -> None:
    assert objection("dev", runs, UNSTAGED) == ""


def test_a_worker_that_runs_other_code_is_refused_with_both_digests() -> None:
    said = objection("v1.0.0", OTHER, CODE)

    assert "a worker of v1.0.0 runs code bbbbbbbbbbbb, signed is aaaaaaaaaaaa" in said
    assert "release verify v1.0.0" in said


def test_a_worker_that_does_not_say_what_it_runs_is_refused() -> None:
    assert "runs code it does not name" in objection("v1.0.0", "", CODE)


@pytest.mark.parametrize("runs", ["", CODE])
def test_what_was_signed_must_be_known(runs: str) -> None:
    assert "can't be read" in objection("v1.0.0", runs, "")
