"""What the journal promises, over both transports, as a process of its own."""

import asyncio
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from risk_daemon.core import events
from risk_daemon.errors import JournalAway, Malformed, NotReachable, TimedOut
from risk_daemon.wire import control
from risk_daemon.wire.client import ask
from risk_daemon.wire.control import Grant, Snapshot
from risk_daemon.wire.record import NewRecord, Record, decode, holds, new_record
from risk_daemon.wire.transport import Channel, Hello, connect, serve
from tests.journal.homes import Home, Seen, account_seen, act, intent, mark, on_loop, policy


@pytest.fixture(params=["unix", "tcp"])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path, prefer=str(request.param))
    home.start()
    yield home
    if home.process is not None:
        assert home.stop() == 0


def assert_chained(records: list[Record]) -> None:
    for before, after in pairwise(records):
        assert after.seq == before.seq + 1
        assert after.at >= before.at
        assert holds(before.crc, after)


# --- appending --------------------------------------------------------------


@on_loop
async def test_what_is_appended_is_seen_in_order_without_a_gap(home: Home) -> None:
    client, looker = await home.client("link"), await home.client("worker")
    early, late = Seen(), Seen()
    early.subscribe(looker)
    for price in range(200):
        client.append([mark(price), mark(-price)])
    halfway = await client.append([act("one")])
    late.subscribe(await home.client("late"), 1)
    for price in range(200):
        client.append([mark(price)])
    last = await client.append([mark(7), policy(7)])
    await early.until_seq(last.last_seq)
    await late.until_seq(last.last_seq)

    assert halfway.refused == last.refused == ""
    assert early.seqs[0] == late.seqs[0] == 1
    assert_chained(early.records)
    assert_chained(late.records)
    prices = [fact.last for r in late.records if isinstance(fact := decode(r).fact, Mark)]
    assert prices == [p for i in range(200) for p in (i, -i)] + [*range(200), 7]


Mark = events.MarkChanged


@on_loop
async def test_a_subscriber_gets_everything_while_appends_go_on(home: Home) -> None:
    client = await home.client("link")
    seen = [Seen() for _ in range(4)]
    last = 0
    for subscriber in seen:
        answers = [client.append([mark(price) for price in range(20)]) for _ in range(300)]
        subscriber.subscribe(await home.client("worker"), last // 2 + 1)
        last = (await answers[-1]).last_seq
    last = (await client.append([act("end")])).last_seq
    for subscriber in seen:
        await subscriber.until_seq(last)
        await subscriber.until_caught_up()

    for subscriber in seen:
        assert_chained(subscriber.records)
        assert last in subscriber.seqs  # behind it there may be a pulse


@on_loop
async def test_only_the_kinds_asked_for_arrive(home: Home) -> None:
    client = await home.client()
    stored = Seen()
    for number in range(10):
        await client.append([mark(), act(f"early {number}")])
    stored.subscribe(await home.client(), kinds=("operator-acted",))
    live = Seen()
    live.subscribe(await home.client(), control.NOW, kinds=("operator-acted", "lock-placed"))
    await live.until_caught_up()
    await client.append([mark(), act("late")])
    await stored.until(lambda: len(stored.records) == 11)
    await live.until(lambda: live.records)

    assert {record.kind for record in stored.records} == {"operator-acted"}
    assert [decode(record).fact for record in live.records] == [
        events.OperatorActed(account=0, act="reduce-only", by="ann", reason="test", act_id="late")
    ]


@on_loop
async def test_a_name_is_stored_once_and_answers_with_its_first_seq(home: Home) -> None:
    client = await home.client()
    first = await client.append([act("a"), mark()])
    again = await client.append([act("a")])
    both = [client.append([act("b")]), client.append([act("b"), act("a")])]
    waiting, duplicate = [await answer for answer in both]
    home.stop()
    home.start()
    later = await (await home.client()).append([act("a")])

    assert (again.last_seq, again.duplicates) == (first.last_seq - 1, 1)
    assert (waiting.duplicates, duplicate.duplicates) == (0, 2)
    assert duplicate.last_seq == waiting.last_seq
    assert (later.last_seq, later.duplicates) == (again.last_seq, 1)


@on_loop
async def test_facts_of_an_account_wait_for_its_policy(home: Home) -> None:
    client = await home.client("link")
    before = await client.append([mark(), account_seen(7), account_seen(9)])
    together = await client.append([policy(7), account_seen(7)])
    other = await client.append([account_seen(7), account_seen(9)])
    too_early = await client.append([account_seen(9), policy(9)])
    home.stop()
    home.start()
    client = await home.client("link")
    after = await client.append([account_seen(7)])

    assert before.refused == "no policy has been adopted for account 7"
    assert before.accounts == [7, 9]
    assert together.refused == after.refused == ""
    assert other.accounts == [9]
    assert too_early.accounts == [9]
    kinds = [record.kind for record in await client.tail(1, limit=10) if record.kind != "pulse"]
    assert kinds.count("mark-changed") == 0


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (NewRecord("intended", 7, b"\x80"), "written by Intend only"),
        (NewRecord("lease-granted", 7, b"\x80"), "written by GrantLeases only"),
        (NewRecord("rollout-stored", 0, b"\x80"), "written by StoreRollout only"),
        (NewRecord("pulse", 0, b"\x80"), "written by WakeAt only"),
        (NewRecord("", 0, b"\x80"), "a name of more than 200 characters, or of none"),
        (NewRecord("k" * 201, 0, b"\x80"), "more than 200 characters"),
        (NewRecord("k", 0, b"\x80", once="o" * 201), "more than 200 characters"),
        (NewRecord("k", -1, b"\x80"), "account -1 or version 1 is out of range"),
        (NewRecord("k", 1 << 63, b"\x80"), "is out of range"),
        (NewRecord("k", 0, b"\x80", version=1 << 16), "version 65536 is out of range"),
        (NewRecord("k", 0, b"x" * 524_289), "a payload of 524289 bytes, at most 524288"),
        (NewRecord("k", 0, b"\x80", durability="maybe"), "a durability of 'maybe'"),
    ],
)
@on_loop
async def test_a_record_that_cannot_be_kept_is_refused_with_all_beside_it(
    home: Home, record: NewRecord, why: str
) -> None:
    client = await home.client()
    answer = await client.append([mark(), record])

    assert why in answer.refused
    kept = await client.tail(1)
    assert {record.kind for record in kept} <= {"pulse"}


@on_loop
async def test_the_largest_record_goes_round(home: Home) -> None:
    client, seen = await home.client(), Seen()
    seen.subscribe(client)
    largest = NewRecord("k" * 200, 1, b"x" * 524_288)
    for _ in range(3):
        await client.append([largest, NewRecord("from-the-future", 5, b"\x80", version=9)])
    await seen.until_seq(6)

    assert [len(record.payload) for record in seen.records if record.kind != "pulse"] == [
        524_288,
        1,
    ] * 3
    assert_chained(seen.records)
    with pytest.raises(Malformed):
        client.append([largest] * 3)


# --- intents and leases --------------------------------------------------------


@on_loop
async def test_a_lease_is_compared_and_set_and_recorded(home: Home) -> None:
    client, seen = await home.client("supervisor"), Seen()
    seen.subscribe(client, kinds=("lease-granted",))
    first = await client.grant([Grant(7, 0, "worker-a", "v1"), Grant(9, 0, "worker-a", "v1")])
    stale = await client.grant([Grant(9, 1, "worker-b", "v1"), Grant(7, 0, "worker-b", "v1")])
    second = await client.grant([Grant(7, 1, "worker-b", "v2")])
    held = await client.leases()
    await seen.until(lambda: len(seen.records) == 3)

    assert [(lease.account, lease.epoch) for lease in first.leases] == [(7, 1), (9, 1)]
    assert (stale.leases, stale.refused) == ([], "account 7: its epoch is 1, expected 0")
    assert [(x.account, x.holder, x.release, x.epoch) for x in held.leases] == [
        (7, "worker-b", "v2", 2),
        (9, "worker-a", "v1", 1),
    ]
    assert held.leases[0] == second.leases[0]
    assert [decode(record).fact for record in seen.records] == [
        events.LeaseGranted(
            account=lease.account,
            holder=lease.holder,
            release=lease.release,
            epoch=lease.epoch,
            incarnation=held.incarnation,
        )
        for lease in (*first.leases, *second.leases)
    ]
    assert [record.seq for record in seen.records] == [
        lease.granted_seq for lease in (*first.leases, *second.leases)
    ]

    home.kill()
    home.start()
    assert await (await home.client()).leases() == msgspec.structs.replace(held, id=1)


@on_loop
async def test_a_stale_epoch_cannot_intend(home: Home) -> None:
    client = await home.client("worker")
    without = await client.intend(7, 1, "k", intent(7, 1, "k"))
    await client.grant([Grant(7, 0, "worker-a", "v1")])
    good = await client.intend(7, 1, "k1", intent(7, 1, "k1"))
    bump = client.grant([Grant(7, 1, "worker-b", "v1")])
    late = client.intend(7, 1, "k2", intent(7, 1, "k2"))
    new = client.intend(7, 2, "k3", intent(7, 2, "k3"))
    future = await client.intend(7, 3, "k4", intent(7, 3, "k4"))
    await client.grant([Grant(7, 2, "", "")])
    nobody = await client.intend(7, 3, "k5", intent(7, 3, "k5"))

    assert (without.refused, without.epoch) == ("account 7 has no lease", 0)
    assert good.refused == ""
    assert (await bump).refused == ""
    assert ((await late).refused, (await late).epoch) == ("account 7: its epoch is 2, not 1", 2)
    assert (await late).seq == 0
    assert ((await new).refused, (await new).epoch) == ("", 2)
    assert future.refused == "account 7: its epoch is 2, not 3"
    assert nobody.refused == "account 7: nobody holds epoch 3"
    intents = await client.tail(1, kinds=["intended"])
    assert [record.seq for record in intents] == [good.seq, (await new).seq]


@on_loop
async def test_the_row_of_a_rollout_is_compared_set_and_found_again(home: Home) -> None:
    client, seen = await home.client("supervisor"), Seen()
    seen.subscribe(client, kinds=("rollout-stored",))
    before = await client.read_rollout()
    first = await client.store_rollout("r1", 0, "r1/canary", b"one")
    stale = await client.store_rollout("r1", 0, "r1/p10", b"two")
    second = await client.store_rollout("r1", 1, "r1/p10", b"three")
    await seen.until(lambda: len(seen.records) == 2)

    assert (before.rollout, before.revision, before.latch, before.body) == ("", 0, "", b"")
    assert (first.revision, first.refused) == (1, "")
    assert stale.refused == "the rollout's row is at revision 1, expected 0"
    assert (stale.revision, stale.body) == (1, b"one")
    assert (second.revision, second.latch, second.body) == (2, "r1/p10", b"three")
    assert [decode(record).fact for record in seen.records] == [
        events.RolloutStored(rollout="r1", revision=1, latch="r1/canary", body=b"one"),
        events.RolloutStored(rollout="r1", revision=2, latch="r1/p10", body=b"three"),
    ]

    home.kill()
    home.start()
    again = await (await home.client()).read_rollout()
    assert (again.revision, again.latch, again.body) == (2, "r1/p10", b"three")


@on_loop
async def test_a_lease_that_names_a_latch_is_granted_while_it_is_the_rollouts(home: Home) -> None:
    client = await home.client("supervisor")
    none_yet = await client.grant([Grant(7, 0, "worker-1@v2", "v2")], "r1/canary")
    await client.store_rollout("r1", 0, "r1/canary", b"")
    before = client.grant([Grant(7, 0, "worker-1@v2", "v2")], "r1/canary")
    aborted = client.store_rollout("r1", 1, "r1/aborting", b"")
    late = client.grant([Grant(9, 0, "worker-1@v2", "v2")], "r1/canary")
    without = client.grant([Grant(9, 0, "worker-1@v1", "v1")])

    assert none_yet.refused == "the rollout has gone on: its latch is '', not 'r1/canary'"
    assert (await before).refused == (await aborted).refused == ""
    assert (await late).refused == (
        "the rollout has gone on: its latch is 'r1/aborting', not 'r1/canary'"
    )
    assert (await without).leases[0].release == "v1"


@on_loop
async def test_what_is_stored_with_a_lease_is_stored_with_it_or_not_at_all(home: Home) -> None:
    client = await home.client("supervisor")
    await client.store_rollout("r1", 0, "r1/canary", b"")
    told = [new_record(events.AlarmRaised(account=7, level="info", what="x", text="", source="t"))]
    odd = [msgspec.structs.replace(told[0], kind="lease-granted")]
    grants = [Grant(7, 0, "worker-1@v1", "v1")]

    late = await client.grant(grants, "r1/shadow", told)
    stale = await client.grant([Grant(7, 4, "worker-1@v1", "v1")], "r1/canary", told)
    malformed = await client.grant(grants, "r1/canary", odd)
    good = await client.grant(grants, "r1/canary", told)

    assert late.is_shut
    assert stale.refused == "account 7: its epoch is 0, expected 4"
    assert malformed.refused == "a record of kind lease-granted is written by GrantLeases only"
    assert good.refused == ""
    stored = await client.tail(1, kinds=("alarm-raised", "lease-granted"))
    assert [one.kind for one in stored] == ["lease-granted", "alarm-raised"]
    assert stored[0].seq + 1 == stored[1].seq


@on_loop
async def test_a_row_raises_the_epochs_of_its_accounts_and_leaves_them_to_their_holders(
    home: Home,
) -> None:
    client = await home.client("supervisor")
    await client.grant([Grant(7, 0, "worker-1@v1", "v1"), Grant(9, 0, "worker-2@v2", "v2")])
    stored = client.store_rollout("r1", 0, "r1/aborting", b"", [9, 11, 7, 9])
    stale = client.grant([Grant(7, 1, "worker-1@v2", "v2")])
    old = client.intend(7, 1, "k1", intent(7, 1, "k1"))
    new = client.intend(7, 2, "k2", intent(7, 2, "k2"))
    refused = await client.store_rollout("r1", 0, "r1/done", b"", [7])

    assert (await stored).refused == ""
    assert (await stale).refused == "account 7: its epoch is 2, expected 1"
    assert (await old).refused == "account 7: its epoch is 2, not 1"
    assert (await new).refused == ""
    assert refused.refused == "the rollout's row is at revision 1, expected 0"

    home.kill()
    home.start()
    held = (await (await home.client()).leases()).leases
    assert [(x.account, x.holder, x.release, x.epoch) for x in held] == [
        (7, "worker-1@v1", "v1", 2),
        (9, "worker-2@v2", "v2", 2),
        (11, "", "", 1),
    ]


@on_loop
async def test_what_a_row_is_about_is_stored_with_it_or_not_at_all(home: Home) -> None:
    client = await home.client("supervisor")
    note = new_record(
        events.RolloutNoted(rollout="r1", what="phase canary", actor="anna", reason="why not")
    )
    good = await client.store_rollout("r1", 0, "r1/1", b"", [7], [note])
    bad = await client.store_rollout("r1", 1, "r1/2", b"", [7], [note, NewRecord("pulse", 0, b"")])

    assert (good.refused, good.revision) == ("", 1)
    assert bad.refused == "a record of kind pulse is written by WakeAt only"
    kept = [record.kind for record in await client.tail(1) if record.kind != "pulse"]
    assert kept == ["rollout-stored", "rollout-noted", "lease-granted"]


@pytest.mark.parametrize(
    ("rollout", "latch", "body", "why"),
    [
        ("", "r1/canary", b"", "a rollout's name and latch have 1 to 200 characters"),
        ("r1", "", b"", "a rollout's name and latch have 1 to 200 characters"),
        ("r" * 201, "r1/canary", b"", "a rollout's name and latch have 1 to 200 characters"),
        ("r1", "r" * 201, b"", "a rollout's name and latch have 1 to 200 characters"),
        ("r1", "r1", b"x" * 523_265, "a rollout's row of 523265 bytes, at most 523264"),
    ],
)
@on_loop
async def test_a_row_that_cannot_be_kept_is_refused(
    home: Home, rollout: str, latch: str, body: bytes, why: str
) -> None:
    client = await home.client()
    answer = await client.store_rollout(rollout, 0, latch, body, [7])
    largest = await client.store_rollout("r" * 200, 0, "r" * 200, b"x" * 523_264)

    assert (answer.refused, answer.revision) == (why, 0)
    assert (largest.refused, largest.revision) == ("", 1)
    assert (await client.leases()).leases == []


@on_loop
async def test_a_repeated_intent_is_the_first_one(home: Home) -> None:
    client, seen = await home.client("worker"), Seen()
    seen.subscribe(client, kinds=("intended",))
    await client.grant([Grant(7, 0, "worker-a", "v1")])
    first = await client.intend(7, 1, "k", intent(7, 1, "k"))
    await client.grant([Grant(7, 1, "worker-b", "v1")])
    repeated = [client.intend(7, 2, "k", intent(7, 2, "k")) for _ in range(3)]
    other = await client.intend(7, 2, "other", intent(7, 2, "other"))
    await seen.until_seq(other.seq)

    assert [(await one).seq for one in repeated] == [first.seq] * 3
    assert [(await one).duplicate for one in repeated] == [True] * 3
    assert not first.duplicate
    assert seen.seqs == [first.seq, other.seq]


@on_loop
async def test_an_intent_must_be_one(home: Home) -> None:
    client = await home.client("worker")
    await client.grant([Grant(7, 0, "worker-a", "v1")])

    for record, key, why in (
        (mark(), "k", "an intent's record is of kind intended, for account 7"),
        (intent(9, 1, "k"), "k", "for account 7"),
        (intent(7, 1, "k"), "", "an intent's key has 1 to 200 characters"),
        (intent(7, 1, "k"), "k" * 201, "an intent's key has 1 to 200 characters"),
        (NewRecord("intended", 7, b"x" * 600_000), "k", "a payload of 600000 bytes"),
    ):
        assert why in (await client.intend(7, 1, key, record)).refused


@on_loop
async def test_a_bad_grant_is_refused(home: Home) -> None:
    client = await home.client("supervisor")

    assert (await client.grant([])).refused == "no account was named"
    twice = await client.grant([Grant(7, 0, "a", "v1"), Grant(7, 0, "b", "v1")])
    assert twice.refused == "an account was named twice"
    assert (await client.grant([Grant(0, 0, "a", "v1")])).refused == "0 is no account"
    assert (await client.leases()).leases == []


# --- the stream ----------------------------------------------------------------


@on_loop
async def test_whoever_knows_records_that_the_file_does_not_is_told(home: Home) -> None:
    client, ahead, forked, same = await home.clients(4)
    last = (await client.append([act("a"), act("b"), act("c")])).last_seq
    records = await client.tail(last - 2)
    beyond, other, good = Seen(), Seen(), Seen()
    beyond.subscribe(ahead, last + 1_000)
    other.subscribe(forked, last - 1, crc=records[0].crc ^ 1)
    good.subscribe(same, last - 1, crc=records[0].crc)
    await beyond.until(lambda: beyond.truncated is not None)
    await other.until(lambda: other.truncated is not None)
    await good.until(lambda: len(good.records) >= 2)

    assert beyond.truncated is not None
    assert beyond.truncated >= last
    assert beyond.records == other.records == []
    assert (good.seqs[:2], good.truncated) == ([last - 1, last], None)


@on_loop
async def test_a_client_resumes_behind_the_last_record_it_was_given(home: Home) -> None:
    lost = asyncio.Event()
    client = await home.client()
    client.on_lost = lambda _: lost.set()
    seen = Seen()
    seen.subscribe(client)
    last = (await client.append([act("a"), act("b")])).last_seq
    await seen.until_seq(last)
    home.stop()
    await lost.wait()
    pending = client.append([mark()])
    with pytest.raises(JournalAway, match="not connected"):
        await pending
    home.start()
    await client.reconnect(30)
    last = (await client.append([act("c")])).last_seq
    await seen.until_seq(last)

    assert seen.truncated is None
    assert_chained(seen.records)


@on_loop
async def test_a_subscriber_that_does_not_read_is_cut_and_may_resume(home: Home) -> None:
    appender, seen = await home.client("link"), Seen()
    stuck = await connect(home.run_dir, "journal", Hello("test", "stuck"), 30)
    stuck.send(control.Subscribe(1))
    first = await stuck.receive()
    payload = NewRecord("big", 0, b"x" * 100_000)
    answers: list[control.Appended] = []
    while not answers or "stuck" in await subscribers(home):
        answers = [await appender.append([payload] * 5) for _ in range(20)]
    received = [*first.records] if isinstance(first, control.Records) else []
    while (frame := await stuck.receive()) is not None:
        received += frame.records if isinstance(frame, control.Records) else []
    seen.subscribe(await home.client("resumed"), received[-1].seq + 1, crc=received[-1].crc)
    await seen.until_seq(answers[-1].last_seq)

    assert len(received) < answers[-1].last_seq
    assert_chained(received + seen.records)


@on_loop
async def test_who_pauses_is_given_nothing_until_it_resumes(home: Home) -> None:
    appender, patient, other = [await home.client(name) for name in ("link", "worker", "other")]
    paused, seen = Seen(), Seen()
    paused.subscribe(patient)
    seen.subscribe(other)
    await paused.until_caught_up()
    patient.pause()
    patient.pause()
    last = (await appender.append([act("meanwhile")])).last_seq
    await seen.until_seq(last)
    meanwhile = paused.seqs
    patient.resume()
    await paused.until_seq(last)

    assert last not in meanwhile
    assert_chained(paused.records)
    patient.close()
    patient.pause()  # nobody is there to wait
    patient.resume()


async def subscribers(home: Home) -> list[str]:
    answer = await ask(home.run_dir, "journal", "status")
    return [one["name"] for one in answer.data["subscribers"]]


@on_loop
async def test_time_passes_in_the_stream_every_second(home: Home) -> None:
    seen = Seen()
    seen.subscribe(await home.client(), control.NOW, kinds=("pulse",))
    await seen.until(lambda: len(seen.records) == 3)

    gaps = [after.at - before.at for before, after in pairwise(seen.records)]
    assert all(0.5e9 < gap < 1.5e9 for gap in gaps)


@on_loop
async def test_a_pulse_comes_when_it_was_wished_for(home: Home) -> None:
    client, other, seen = await home.client(), await home.client(), Seen()
    seen.subscribe(client, control.NOW, kinds=("pulse",))
    await seen.until(lambda: seen.records)
    now = seen.records[-1].at
    client.wake_at(now + 500_000_000)
    client.wake_at(now + 300_000_000)
    client.wake_at(now + 700_000_000)
    other.wake_at(now + 200_000_000)
    await seen.until(lambda: len(seen.records) == 4)

    after = [record.at - now for record in seen.records[1:]]
    assert 200_000_000 <= after[0] < 300_000_000 <= after[1] < 900_000_000 <= after[2]


@on_loop
async def test_a_wish_dies_with_its_connection(home: Home) -> None:
    client, other, seen = await home.client(), await home.client(), Seen()
    seen.subscribe(client, control.NOW, kinds=("pulse",))
    await seen.until(lambda: seen.records)
    now = seen.records[-1].at
    other.wake_at(now + 300_000_000)
    assert (await other.ask("status")).ok
    other.close()
    await seen.until(lambda: len(seen.records) == 2)

    assert seen.records[1].at - now > 700_000_000


@on_loop
async def test_a_demo_homes_clock_is_shifted(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.start("--offset-s", "-86400")
    try:
        client, seen = await home.client(), Seen()
        seen.subscribe(client)
        await seen.until(lambda: seen.records)
        status = await client.ask("status")
        ready = json.loads((home.run_dir / "journal.ready").read_text())
        confirmed = await client.ask("confirm-time", {"utc_ns": seen.records[-1].at})
        denied = await client.ask("confirm-time", {"utc_ns": ready["started_at"]})

        shift = ready["started_at"] - seen.records[0].at
        assert 86_390e9 < shift < 86_401e9
        assert abs(status.data["clock_divergence_s"]) < 1
        assert confirmed.data == {"confirmed": True}
        assert denied.data == {"confirmed": False}
    finally:
        home.kill()


# --- views and snapshots -----------------------------------------------------------


@on_loop
async def test_views_pass_through_and_the_last_waits_for_who_comes_later(home: Home) -> None:
    worker, early, late, blind = await home.clients(4)
    first, second, none = Seen(), Seen(), Seen()
    first.subscribe(early, control.NOW, views=True)
    none.subscribe(blind, control.NOW)
    await none.until_caught_up()
    worker.publish_view("account", 7, b"one")
    worker.publish_view("account", 7, b"two")
    worker.publish_view("account", 9, b"nine")
    await first.until(lambda: len(first.views) == 3)
    second.subscribe(late, control.NOW, views=True)
    await second.until(lambda: len(second.views) == 2)
    await worker.append([mark()])
    await none.until(lambda: none.records)

    assert [view.payload for view in first.views] == [b"one", b"two", b"nine"]
    assert [(v.topic, v.account, v.payload) for v in second.views] == [
        ("account", 7, b"two"),
        ("account", 9, b"nine"),
    ]
    assert none.views == []


@on_loop
async def test_the_newest_two_snapshots_are_kept_and_the_newest_is_given(home: Home) -> None:
    client = await home.client("worker")
    last = (await client.append([act(str(number)) for number in range(9)])).last_seq
    for seq in range(1, 5):
        await client.put_snapshots(
            [Snapshot(account, "v1", 3, seq, f"d{seq}", bytes(300_000)) for account in (7, 9)]
        )
    kept = await client.put_snapshots([Snapshot(7, "v2", 3, 5, "d5", b"newer")])
    ahead = await client.put_snapshots([Snapshot(7, "v1", 3, last + 99, "d", b"")])
    nothing = await client.put_snapshots([])

    assert kept.refused == nothing.refused == ""
    assert ahead.refused.startswith(f"a snapshot at record {last + 99}, the last is ")
    assert [(s.account, s.seq) for s in await client.get_snapshots("v1", 3)] == [(7, 4), (9, 4)]
    assert [(s.account, s.release) for s in await client.get_snapshots("", 3)] == [
        (7, "v2"),
        (9, "v1"),
    ]
    assert await client.get_snapshots("v1", 4) == []


@on_loop
async def test_a_snapshot_of_nothing_real_is_refused(home: Home) -> None:
    client = await home.client("worker")
    refused = await client.put_snapshots(
        [
            Snapshot(-1, "v1", 3, 0, "d", b"x" * 400_000),
            Snapshot(7, "v1", 3, 0, "d", b"x" * 400_000),
        ]
    )

    assert refused.refused == "a number is out of range"
    assert await client.get_snapshots("v1", 3) == []


# --- looking -------------------------------------------------------------------------


@on_loop
async def test_the_tail_is_read_from_a_seq_the_end_or_a_time(home: Home) -> None:
    client = await home.client()
    for number in range(30):
        await client.append([act(str(number)), mark(number)])
    records = await client.tail(1, limit=10_000)
    middle = records[30]

    assert_chained(records)
    assert await client.tail(5, limit=3) == records[4:7]
    assert await client.tail(-3, limit=3) == (await client.tail(1, limit=10_000))[-3:]
    since = await client.tail(since_at=middle.at, limit=10_000)
    assert since[0].at == middle.at
    assert {record.kind for record in await client.tail(-4, kinds=["mark-changed"])} == {
        "mark-changed"
    }
    assert len(await client.tail(-4, kinds=["mark-changed"])) == 4
    assert await client.tail(since_at=middle.at + 10**15) == []
    assert await client.tail(1 << 62) == []
    assert len(await client.tail(-(1 << 63), limit=10_000)) >= len(records)


@on_loop
async def test_a_long_tail_comes_in_many_frames(home: Home) -> None:
    client = await home.client()
    for _ in range(25):
        await client.append([NewRecord("big", 0, b"x" * 1_000)] * 100)
    await client.append([act("end")])
    records = await client.tail(1, limit=10_000)

    assert len(records) >= 2_501
    assert_chained(records)


@on_loop
async def test_a_probe_writes_a_promise_and_times_it(home: Home) -> None:
    client = await home.client()
    probed = await client.probe()
    stored = await client.tail(probed.seq, limit=1)

    assert stored[0].kind == "probed"
    assert 0 < probed.took_ns < 10**10
    assert isinstance(decode(stored[0]).fact, events.Probed)


@on_loop
async def test_anyone_may_ask_how_it_is(home: Home) -> None:
    client = await home.client("worker", role="worker")
    seen = Seen()
    seen.subscribe(client)
    await client.append([mark()])
    await client.grant([Grant(7, 0, "worker", "v1")])
    await seen.until(lambda: len(seen.of("pulse")) == 2)
    status = await ask(home.run_dir, "journal", "status")
    verified = await ask(home.run_dir, "journal", "verify")
    tail = await ask(home.run_dir, "journal", "tail", {"limit": 2, "kinds": ["lease-granted"]})

    assert status.ok
    assert status.data["last_seq"] >= 4
    assert status.data["records_per_s"] >= 0.5
    assert status.data["file_bytes"] + status.data["log_bytes"] > 0
    assert 0 < status.data["fsync_p50_ms"] <= status.data["fsync_p95_ms"]
    assert [one["name"] for one in status.data["subscribers"]] == ["worker"]
    assert [one["epoch"] for one in status.data["leases"]] == [1]
    assert status.data["sqlite"] >= "3.51.3"
    assert verified.data["ok"]
    assert verified.data["structure"] == "ok"
    assert [record["fact"]["holder"] for record in tail.data["records"]] == ["worker"]


@on_loop
async def test_a_wrong_question_is_answered_with_what_is_wrong(home: Home) -> None:
    await home.client()
    for op, args, why in (
        ("dance", {}, "unknown operation 'dance': confirm-time, copy, status, tail, tasks, verify"),
        ("tail", {"limit": 0}, "limit must be 1 to 1000, was 0"),
        ("tail", {"limit": "all"}, "limit must be a whole number below 2**62, was 'all'"),
        ("tail", {"from_seq": 1 << 63}, "from_seq must be a whole number"),
        ("tail", {"kinds": [1]}, "kinds must be a list of names, was [1]"),
        ("tail", {"kinds": ["k"] * 65}, "at most 64 kinds, were 65"),
    ):
        answer = await ask(home.run_dir, "journal", op, args)
        assert why in answer.error
        assert (answer.ok, answer.exit) == (False, 2)


@on_loop
async def test_a_payload_that_nobody_can_read_is_shown_as_it_is(home: Home) -> None:
    client = await home.client()
    await client.append([NewRecord("odd", 0, b"\xc1"), NewRecord("odd", 0, b"\xa1\xff", "promise")])
    odd = await client.ask("tail", {"kinds": ["odd"]})
    await client.append([NewRecord("deep", 0, b"\x91" * 100_000 + b"\x80", "promise")])
    answer = await client.ask("tail", {"kinds": ["deep"]})

    assert [record["fact"] for record in odd.data["records"]] == ["c1", "a1ff"]
    assert answer.data["records"][0]["fact"].startswith("9191")


@on_loop
async def test_an_answer_that_fits_no_frame_is_not_shown(home: Home) -> None:
    answer = await (await home.client()).ask("tail", {"limit": "\x00" * 500_000})

    assert (answer.ok, answer.exit) == (False, 1)
    assert answer.error.startswith("can't be shown: Answer of")


@on_loop
async def test_leases_of_thousands_of_accounts_are_granted_and_shown_in_parts(home: Home) -> None:
    client = await home.client("supervisor")
    accounts = list(range(1, 2_501))
    for start in range(0, 2_500, 1_000):
        some = accounts[start : start + 1_000]
        granted = await client.grant([Grant(account, 0, "h" * 100, "r" * 100) for account in some])
        assert len(granted.leases) == len(some)
    held = await client.leases()
    too_many = await client.grant([Grant(account, 1, "b", "v1") for account in accounts])
    status = await client.ask("status")

    assert [lease.account for lease in held.leases] == accounts
    assert held.last
    assert too_many.refused == "2500 accounts at once, at most 1000"
    assert status.data["lease_count"] == 2_500
    assert len(status.data["leases"]) == 1_000


@on_loop
async def test_a_frame_that_is_no_question_ends_the_connection(home: Home) -> None:
    channel = await connect(home.run_dir, "journal", Hello("test", "confused"), 30)
    channel.send(control.CaughtUp(1, 1))

    assert await channel.receive() is None
    assert channel.reason == "a CaughtUp is nothing to ask of a journal"
    channel.close()


# --- living and dying -----------------------------------------------------------------


@on_loop
async def test_a_stopped_journal_has_stored_all_it_answered(home: Home) -> None:
    client = await home.client()
    answers = [client.append([mark(price)]) for price in range(1_000)]
    last = (await answers[-1]).last_seq
    assert home.stop() == 0
    assert not (home.run_dir / "journal.ready").exists()
    assert not (home.run_dir / "journal.addr").exists()
    log = home.file.with_name("journal.db-wal")
    assert not log.exists() or log.stat().st_size == 0
    home.start()
    client = await home.client()
    records = await client.tail(1, limit=10_000)

    assert [record.seq for record in records][:last] == list(range(1, last + 1))
    assert_chained(records)


@on_loop
async def test_a_second_journal_in_the_same_home_is_refused(home: Home) -> None:
    await home.client()
    first = home.process
    assert first is not None
    second = Home(home.path).start()
    _, said = await asyncio.to_thread(second.communicate)

    assert second.returncode == 3
    assert f"the journal of this home is already running: process {first.pid} holds" in said
    assert (await (await home.client()).probe()).seq > 0


@on_loop
async def test_what_the_client_asked_fails_when_the_journal_is_lost(home: Home) -> None:
    told: list[str] = []
    client = await home.client()
    client.on_lost = told.append
    assert (client.is_open, client.buffered) == (True, 0)
    answers = [client.append([act(str(number))]) for number in range(100)]
    home.kill()
    with pytest.raises(JournalAway):
        await answers[-1]
    await asyncio.sleep(0)

    assert len(told) == 1
    assert (client.is_open, client.buffered) == (False, 0)
    client.publish_view("account", 1, b"")
    client.close()
    with pytest.raises(NotReachable):
        await client.reconnect(0.05)


@on_loop
async def test_a_closed_client_tells_nobody_but_those_who_wait(home: Home) -> None:
    told: list[str] = []
    client = await home.client()
    client.on_lost = told.append
    waiting = client.append([act("a")])
    given_up = client.append([act("b")])
    given_up.cancel()
    client.close()

    with pytest.raises(JournalAway, match="closed on our side"):
        await waiting
    await (await home.client()).probe()
    assert told == []
    await client.reconnect(30)
    client.probe().cancel()
    assert (await client.probe()).seq > 0


@on_loop
async def test_asking_who_does_not_answer_times_out(tmp_path: Path) -> None:
    def ignore(channel: Channel) -> None:
        channel.send(control.WakeAt(1))

    async def hang_up(channel: Channel) -> None:
        await channel.receive()

    server = await serve(tmp_path, "mute", ignore, hello=Hello("test", "mute"))
    with pytest.raises(TimedOut, match=r"mute did not answer 'status' within 0\.05 s"):
        await ask(tmp_path, "mute", "status", timeout_s=0.05)
    other = await serve(tmp_path, "rude", hang_up, hello=Hello("test", "rude"))
    with pytest.raises(TimedOut, match="rude closed without answering 'status'"):
        await ask(tmp_path, "rude", "status")
    with pytest.raises(NotReachable):
        await ask(tmp_path, "nobody", "status")
    await server.close()
    await other.close()


@on_loop
async def test_a_new_subscriber_of_now_resumes_from_where_it_was_live(home: Home) -> None:
    client, other, seen = await home.client(), await home.client(), Seen()
    seen.subscribe(client, control.NOW, kinds=("operator-acted",))
    await seen.until_caught_up()
    client.close()
    await other.append([act("missed")])
    await client.reconnect(30)
    await seen.until(lambda: seen.records)

    assert [decode(record).fact.act_id for record in seen.records] == ["missed"]  # type: ignore[attr-defined]


@on_loop
async def test_a_new_subscriber_of_now_may_be_lost_before_it_is_live(home: Home) -> None:
    client = await home.client()
    seen: list[Record] = []
    client.subscribe(control.NOW, on_records=seen.extend)
    client.close()
    await client.reconnect(30)
    last = (await client.append([act("a")])).last_seq
    assert (await client.probe()).seq > last

    assert [record.seq for record in seen if record.kind == "operator-acted"] == [last]


@on_loop
async def test_a_connection_has_one_subscription(home: Home) -> None:
    client, seen = await home.client(), Seen()
    lost = asyncio.Event()
    client.on_lost = lambda _: lost.set()
    seen.subscribe(client, 1_000)
    await seen.until(lambda: seen.truncated is not None)
    seen.subscribe(client)
    await seen.until_caught_up()
    assert not lost.is_set()

    seen.subscribe(client)
    await lost.wait()


@on_loop
async def test_whoever_leaves_while_catching_up_is_forgotten(home: Home) -> None:
    client = await home.client()
    for _ in range(20):
        await client.append([NewRecord("big", 0, b"x" * 10_000)] * 100)
    hasty = await connect(home.run_dir, "journal", Hello("test", "hasty"), 30)
    hasty.send(control.Subscribe(1))
    hasty.send(control.Tail(1, 1, limit=10_000))
    assert await hasty.receive() is not None
    hasty.abort("gone")
    while "hasty" in await subscribers(home):
        pass

    assert (await client.ask("verify")).data["ok"]
