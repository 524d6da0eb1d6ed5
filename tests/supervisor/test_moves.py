"""Two releases in one daemon: accounts change hands and go back, and somebody always enforces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.which_release import release
from risk_daemon.stage.daemon import Done
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from tests.supervisor.test_failover import ACCOUNT, Scene
from tests.untraced import leave_children_untraced

leave_children_untraced()

OLD, NEW, ODD = release(), "v9.0.0", "v9.1.0"
#: So long a release folds what the supervisor waits 20 s for.
LONG, TAKES_S, ENOUGH = "v9.2.0", 24.0, 150
#: A release that takes every account for one that may not trade.
MISREADS = ("worker/view.py", "can_trade=account.can_trade", "can_trade=False")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    found = Scene(tmp_path_factory.mktemp("moves"))
    install(found.daemon.home, NEW)
    install(found.daemon.home, ODD, MISREADS)
    try:
        yield found
    finally:
        found.close()


def of_release(scene: Scene) -> str:
    (row,) = asked.status(Home(scene.daemon.home))["accounts"]
    return str(row["release"]) if row["enforcing"] else ""


def command(scene: Scene, verb: str, version: str, *words: str) -> Done:
    return scene.daemon.run(verb, "--to-version", version, *(words or ("--all",)))


def moved(scene: Scene, verb: str, version: str, *words: str) -> dict[str, Any]:
    """Run it, and return what is said of the one account."""
    done = command(scene, verb, version, *(words or ("--all",)), "--json")
    (row,) = done.data["data"]["accounts"]
    return {"exit": done.code, **row}


def test_an_account_is_given_to_another_release_and_comes_back(scene: Scene) -> None:
    _, epoch = scene.lease()

    row = moved(scene, "promote", NEW, "--account", str(ACCOUNT))

    assert (row["moved"], row["holder"].partition("@")[2], row["epoch"]) == (True, NEW, epoch + 1)
    until(lambda: of_release(scene) == NEW, 5, "the new release to enforce")
    scene.breach_is_answered()

    command(scene, "rollback", OLD).ok()

    assert scene.lease()[1] == epoch + 2
    until(lambda: of_release(scene) == OLD, 5, "the old release to enforce")
    scene.breach_is_answered()


def test_a_move_to_where_it_is_changes_nothing(scene: Scene) -> None:
    lease = scene.lease()

    assert moved(scene, "rollback", OLD)["exit"] == 0

    assert scene.lease() == lease


def test_a_release_that_is_not_there_is_refused_and_nothing_moves(scene: Scene) -> None:
    lease, pids = scene.lease(), scene.pids()

    done = command(scene, "promote", "v0.0.1")

    assert done.code == 5
    assert "release v0.0.1 is not staged here" in done.err
    assert (scene.lease(), scene.pids()) == (lease, pids)


def test_one_account_or_all_must_be_said(scene: Scene) -> None:
    done = scene.daemon.run("promote", "--to-version", NEW)

    assert done.code == 2
    assert "--account NUMBER" in done.err


def test_an_unknown_account_is_refused(scene: Scene) -> None:
    done = command(scene, "promote", NEW, "--account", "999")

    assert done.code == 5
    assert "there is no account '999' here" in done.err


def test_what_would_move_is_shown_and_not_done(scene: Scene) -> None:
    lease = scene.lease()

    done = scene.daemon.run("promote", "--all", "--to-version", NEW, "--dry-run").ok()

    assert f"{ACCOUNT}: would go from {OLD} to {NEW}" in done.out
    assert scene.lease() == lease


def test_a_release_that_sees_the_account_otherwise_does_not_get_it(scene: Scene) -> None:
    lease = scene.lease()

    row = moved(scene, "promote", ODD)

    assert (row["exit"], row["moved"]) == (1, False)
    assert "may trade" in row["why"]
    assert scene.lease() == lease
    scene.breach_is_answered()


def test_but_nothing_it_sees_otherwise_keeps_an_account_from_going_back_to_it(scene: Scene) -> None:
    """Whoever goes back leaves a release that is not to be believed."""
    row = moved(scene, "rollback", ODD)

    assert (row["moved"], row["holder"].partition("@")[2]) == (True, ODD)
    alarms = asked.tail(Home(scene.daemon.home), 20, ("alarm-raised",))
    assert any(b"goes back to" in one.payload and b"may trade" in one.payload for one in alarms)
    command(scene, "rollback", OLD).ok()
    until(lambda: of_release(scene) == OLD, 5, "the old release to enforce")
    scene.breach_is_answered()


def test_and_tells_so_at_the_holders_next_hash(scene: Scene) -> None:
    command(scene, "promote", NEW).ok()

    def is_told() -> bool:
        alarms = asked.tail(Home(scene.daemon.home), 20, ("alarm-raised",))
        told = [one.payload for one in alarms if b"facts differ" in one.payload]
        return any(b"may trade" in one for one in told)

    until(is_told, 5, "the release that sees it otherwise to say so")
    command(scene, "rollback", OLD).ok()


def test_a_holder_that_does_not_fall_silent_is_killed_and_the_account_is_moved(
    scene: Scene,
) -> None:
    holder, epoch = scene.lease()
    frozen = scene.daemon.processes()[holder]
    frozen.suspend()

    command(scene, "promote", NEW).ok()

    assert scene.lease()[1] > epoch
    until(lambda: of_release(scene) == NEW, 5, "the new release to say that it enforces")
    assert not frozen.is_running()
    scene.breach_is_answered()


def test_after_a_move_the_standby_of_the_same_release_takes_over(scene: Scene) -> None:
    until(lambda: len(scene.pids()) == 10, 20, "every pair to be whole")
    command(scene, "promote", NEW).ok()
    holder, epoch = scene.lease()

    scene.daemon.kill(holder)

    until(lambda: scene.lease()[1] > epoch, 10, "the account to be taken over")
    heir, _ = scene.lease()
    assert heir != holder
    assert heir.endswith(f"@{NEW}")
    scene.breach_is_answered()


def test_a_release_that_holds_accounts_is_not_retired(scene: Scene) -> None:
    done = scene.daemon.run("retire", NEW)

    assert done.code == 3
    assert f"account {ACCOUNT} is held by it" in done.err
    assert of_release(scene) == NEW


def test_a_new_supervisor_finds_the_workers_of_both_releases(scene: Scene) -> None:
    until(lambda: len(scene.pids()) == 10, 20, "every pair to be whole")
    before, lease = scene.pids(), scene.lease()

    scene.daemon.kill("supervisor")
    scene.daemon.start()

    after = scene.pids()
    assert after.pop("supervisor") != before.pop("supervisor")
    assert after == before
    assert scene.lease() == lease
    command(scene, "rollback", OLD).ok()


def test_a_retired_release_is_gone_and_can_be_warmed_again(scene: Scene) -> None:
    scene.daemon.run("retire", ODD).ok()
    assert not [name for name in scene.pids() if name.endswith(ODD)]

    again = scene.daemon.run("retire", ODD)

    assert again.code == 5
    assert "has no workers here" in again.err


def test_a_release_that_takes_long_to_fold_is_left_to_it_and_gets_the_account_in_the_end(
    scene: Scene,
) -> None:
    while last_seq(scene) < ENOUGH:
        scene.breach_is_answered()
    install(scene.daemon.home, LONG, *folds_within(TAKES_S, last_seq(scene)))

    first = command(scene, "promote", LONG)

    assert first.code == 7
    assert f"the workers of {LONG} have folded " in first.err
    assert "Repeat it in a while" in first.err
    assert of_release(scene) == OLD
    until(lambda: command(scene, "promote", LONG).code == 0, 90, "the account to be given")
    until(lambda: of_release(scene) == LONG, 10, "the long one to enforce")
    command(scene, "rollback", OLD).ok()
    scene.daemon.run("retire", LONG).ok()


def last_seq(scene: Scene) -> int:
    return int(asked.journal_status(Home(scene.daemon.home))["last_seq"])


def folds_within(seconds: float, records: int) -> tuple[tuple[str, str, str], ...]:
    """Have a release take so long for so many records, the same time for each."""
    fold = "        entry = decode(record)\n        self._compare(entry.fact)\n"
    due = f"self._began + record.seq * {int(seconds * 1e9) // records}"
    wait = (
        f"        if record.seq <= {records}:\n"
        f"            Event().wait(max({due} - self.clock.steady_ns(), 0) / 1e9)\n"
    )
    began = "        self._folded = asyncio.Event()\n"
    return (
        ("worker/loop.py", fold, wait + fold),
        ("worker/loop.py", began, f"{began}        self._began = clock.steady_ns()\n"),
        ("worker/loop.py", "import asyncio\n", "import asyncio\nfrom threading import Event\n"),
    )
