"""`deploy plan --to-commit`: a configuration alone is rolled out, and the release stays.

What is asked before it is planned: is there one release, does a commit say what is in force, does
the other commit change nothing but what rules say of accounts that are guarded, and whom would it
trip at once. From then on the files say what is in force, and the rollout moves the accounts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from risk_daemon.errors import OperatorError, Refused, UsageError
from risk_daemon.operations import state_file
from risk_daemon.operations.changing import commits, mass_trip, policy, restored_config
from risk_daemon.operations.configuration import flags_kept, postponed
from risk_daemon.operations.configuration.loading import Configuration, load
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.state_file import Standing
from risk_daemon.rollout.plan import CONFIGURATION

NOTHING: Final = "nothing was changed"


class Alone(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that may be rolled out: which accounts it changes, how, and its plan."""

    release: str
    accounts: frozenset[int]
    words: tuple[str, ...]
    raw: dict[str, Any]


def asked(at: Home, named: str, status: Mapping[str, Any], accepts: int) -> Alone:
    """Look whether a commit may be rolled out. Raises Refused, UsageError or NotFound."""
    wanted = commits.resolve(at.config, named)
    found = commits.of_commit(at, named)
    standing = state_file.standing(at)
    before = commits.in_force(at)
    releases = sorted({str(row["release"]) for row in status["accounts"]})
    _refuse(at, named, before, releases)
    changed = _changed(found, standing, named)
    mass_trip.tried(at, changed, accepts)
    words, _ = policy.compare(at, found, at_once=True)
    return Alone(
        release=releases[0],
        accounts=frozenset(one.account for one in changed),
        words=tuple(line.removesuffix(": at once") for line in words),
        raw={
            "kind": CONFIGURATION,
            "release": releases[0],
            "fallback": releases[0],
            "commit": wanted.id[:12],
            "fallback_commit": before[:12],
        },
    )


def _refuse(at: Home, named: str, before: str, releases: list[str]) -> None:
    if len(releases) != 1:
        raise Refused(
            f"the accounts are held by {' and '.join(releases)}; {NOTHING}. A configuration alone "
            "is rolled out under one release: end what is under way first."
        )
    if not before:
        raise Refused(
            f"no commit says what is in force, so there would be no way back from {named}; "
            f"{NOTHING}. `risk-daemon-admin config diff` shows what the files change."
        )
    if flags_kept.read(at).flags or postponed.read(at):
        raise Refused(
            f"a flag or an override is alive, or a change waits for the next trade day; {NOTHING}."
            " It would end in the middle of the rollout: clear it (`risk-daemon-admin flag list`),"
            " or wait for it."
        )


def _changed(found: Configuration, standing: Standing, named: str) -> list[Any]:
    assert standing.settings is not None
    if found.adopted.digest != standing.settings.digest:
        raise Refused(
            f"commit {named} changes settings, which are read at a start and by no account alone; "
            f"{NOTHING}. Roll out what rules say, and change the settings by themselves."
        )
    known = {one.account for one in found.policies}
    if known != set(standing.policies) & known or not known:
        raise Refused(
            f"commit {named} adds accounts; {NOTHING}. Add them by themselves, then roll it out."
        )
    changed = [one for one in found.policies if one.digest != standing.policies[one.account].digest]
    if not changed:
        raise UsageError(f"commit {named} says what is in force already; name another one.")
    return changed


def put_files_back(at: Home, alone: Alone, who: Who) -> None:
    """Have the files say what is in force: so they do if the rollout goes back."""
    standing = state_file.standing(at)
    if not restored_config.says(at.config, standing):
        commits.write_files(at, alone.raw["fallback_commit"], who, "Put back while rolled out")


def take_files_back(at: Home, found: Mapping[str, Any], who: Who) -> None:
    """After a way back, have the files no longer say what was rolled out.

    They do where `rollout complete` was cut off when it had written them: what went back would be
    adopted by the next start, for everybody. Files that say anything else are left alone.
    """
    if found["kind"] == CONFIGURATION and _files_say(at, str(found["commit"])):
        commits.write_files(at, str(found["fallback_commit"]), who, "Back from what was rolled out")


def _files_say(at: Home, named: str) -> bool:
    try:
        now, then = load(at.config), commits.of_commit(at, named)
    except OperatorError:  # a way back goes on whatever lies there
        return False
    return _digests(now) == _digests(then)


def _digests(found: Configuration) -> tuple[str, dict[int, str]]:
    return found.adopted.digest, {one.account: one.digest for one in found.policies}
