"""The previous commit's wheel and a release that truly differs, in one daemon, both ways."""

from __future__ import annotations

import asyncio
import json

from risk_daemon.core.events import HashTaken
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.releases import gaps
from risk_daemon.operations.stored import entries
from risk_daemon.stage.waiting import until
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import PROMISE, NewRecord, decode
from risk_daemon.wire.transport import Hello
from tests.releases.conftest import ACCOUNT, Pair


def kinds(pair: Pair) -> set[str]:
    return {record.kind for record in asked.tail(Home(pair.daemon.home), 200, ())}


def test_an_account_goes_to_the_other_release_and_comes_back(pair: Pair) -> None:
    pair.breach_is_answered()
    pids = pair.pids_of(pair.old)

    pair.command("promote", pair.new, "--account", str(ACCOUNT)).ok()
    until(lambda: pair.release() == pair.new, 5, "the new release to enforce")
    until(lambda: "handed-over" in kinds(pair), 5, "a record of a kind the old one does not know")
    pair.breach_is_answered()

    pair.command("rollback", pair.old).ok()
    until(lambda: pair.release() == pair.old, 5, "the old release to enforce")
    pair.breach_is_answered()
    assert pair.pids_of(pair.old) == pids, "a worker of the old release did not survive the stream"


def trade_until_hashed(pair: Pair, release: str) -> None:
    """Have limits broken until a release has stored a hash, as each does every so many records."""

    def is_hashed() -> bool:
        pair.breach_is_answered()
        found = asked.tail(Home(pair.daemon.home), 2_000, ("hash-taken",))
        facts = [decode(record).fact for record in found]
        return any(isinstance(one, HashTaken) and one.release == release for one in facts)

    until(is_hashed, 60, f"a hash by {release}")


def test_each_reads_the_whole_stream_and_decides_it_all(pair: Pair) -> None:
    pair.command("promote", pair.new).ok()
    trade_until_hashed(pair, pair.new)
    pair.command("rollback", pair.old).ok()
    trade_until_hashed(pair, pair.old)

    new = pair.in_release(pair.new, "-m", "risk_daemon.programs.worker", "--verify")
    old = pair.daemon.replay()

    for done in (new.stdout, old.out):
        found = json.loads(done)
        assert found["ok"], found["differences"]
        assert found["decisions"] > 0
        assert found["hashes"] > 0, "no hash of its own was compared"
    assert json.loads(old.out)["unknown_kinds"] == {"handed-over": 2}
    assert json.loads(new.stdout)["unknown_kinds"] == {}


def test_a_worker_of_the_old_release_comes_back_while_the_new_one_holds(pair: Pair) -> None:
    """It folds what the other wrote, and is warm for the way back."""
    pair.command("promote", pair.new).ok()
    name = next(iter(sorted(pair.pids_of(pair.old))))

    pid = pair.daemon.kill(name)
    until(lambda: pair.pids().get(name, pid) != pid, 10, "the killed worker to be started again")
    pair.breach_is_answered()

    pair.command("rollback", pair.old).ok()
    until(lambda: pair.release() == pair.old, 5, "the old release to enforce")
    pair.breach_is_answered()


def test_how_long_the_accounts_waited_is_in_the_journal(pair: Pair) -> None:
    file = pair.daemon.home / "state" / "journal.db"

    there, back = (gaps.of_release(file, release) for release in (pair.new, pair.old))

    assert (there.n, there.unheard) == (3, 0)
    assert (back.n, back.unheard) == (3, 0)
    assert there.max is not None
    assert 0 < there.max < 5_000


def test_after_a_stop_an_account_is_with_the_release_that_held_it(pair: Pair) -> None:
    pair.command("promote", pair.new, "--account", str(ACCOUNT)).ok()
    until(lambda: pair.release() == pair.new, 5, "the new release to enforce")
    pair.daemon.run("stop", "--yes", "--reason", "the machine is restarted").ok()

    pair.daemon.start()

    assert pair.release() == pair.new
    pair.breach_is_answered()
    pair.command("rollback", pair.old).ok()


def write(pair: Pair, record: NewRecord) -> None:
    """Write a record as a process of the newer release would."""

    async def story() -> None:
        hello = Hello("console", "a-test", pair.new)
        client = await JournalClient.connect(pair.daemon.home / "run", hello, 5.0)
        answer = await client.append([record])
        client.close()
        assert not answer.refused

    asyncio.run(story())


def fills(pair: Pair) -> int:
    """How many fills of the account the journal has."""
    return len(list(entries(pair.daemon.home / "state" / "journal.db", ("trade-seen",))))


def test_a_lock_of_a_kind_the_old_release_does_not_know_is_the_strictest(pair: Pair) -> None:
    """Last of all: it stays until a person ends it."""
    pair.buy(2)
    until(lambda: pair.held() == 2, 5, "the order to fill")

    write(pair, NewRecord("curfew-lock-placed", ACCOUNT, b"\x80", PROMISE))

    until(lambda: pair.held() == 0, 10, "the old release to close everything")
    filled = fills(pair)
    pair.buy(1)
    # It may be closed between two looks at the position: what has filled stays to be seen.
    until(lambda: fills(pair) >= filled + 2, 10, "an entry and the close of it to fill")
    until(lambda: pair.held() == 0, 10, "the old release to have closed that too")
    told = pair.daemon.run("why", str(ACCOUNT)).ok().out
    assert "a newer release placed 'curfew-lock-placed', which this one does not know" in told
