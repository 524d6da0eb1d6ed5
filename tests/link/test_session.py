"""The session: never blind unreported, and back only with every subscription and every account."""

from __future__ import annotations

import asyncio
from typing import Any

import psutil
import pytest

from risk_daemon.core.events import AccountSeen, AlarmRaised, FeedChanged, Reconciled
from risk_daemon.link import polling
from risk_daemon.link.session import BACK_OFF_S, GOOD_AFTER_NS, LOGOUT_BACK_OFF_S
from tests.link.at_work import CLOSING, AtWork
from tests.link.conftest import Play

LOST: list[tuple[str, dict[str, Any]]] = [
    ("hub_reset", {}),
    ("hub_close", {}),
    ("hub_close", {"hub": "market"}),
    ("hub_close_error", {}),
    ("hub_close_error", {"hub": "user"}),
    ("freeze", {"seconds": 2.0}),
    ("token_revoked", {}),
    ("token_revoked", {"logout": True}),
]


def test_a_link_opens_subscribes_every_account_and_probes(play: Play) -> None:
    async def story(work: AtWork) -> None:
        assert await work.is_subscribed()
        assert [one.state for one in work.stream.of(FeedChanged)] == ["blind", "suspect", "trusted"]
        session = work.link.session
        await work.until(lambda: {"user", "market"} <= set(session.probe_ns), "both probes")
        await work.trade(2)
        await work.holds(2)
        await work.until(lambda: session.contracts, "the contract to be followed")
        await work.agrees_with_the_truth()

    play(story)


def sockets() -> set[tuple[Any, Any]]:
    """Both ends of every connection that this process holds."""
    return {(one.laddr, one.raddr) for one in psutil.Process().net_connections(kind="tcp")}


def test_a_frozen_hub_thrown_away_leaves_no_socket_behind(play: Play) -> None:
    async def story(work: AtWork) -> None:
        before = sockets()
        hubs = work.link.broker.hubs()
        for hub in hubs:
            await hub.open()
        opened = sockets() - before
        assert len(opened) >= 2
        await work.fault("freeze", seconds=20.0)
        for hub in hubs:
            await hub.drop()
        await asyncio.sleep(0)  # asyncio closes an aborted socket in its next round
        assert not sockets() & opened

    play(story)


def test_a_hub_that_closes_while_the_accounts_are_read_is_noticed_before_they_are(
    play: Play,
) -> None:
    async def story(work: AtWork) -> None:
        before = work.stream.last_seq
        await work.fault("slow_answers", seconds=60.0, ms=1_000)
        await work.fault("hub_reset")

        def told() -> list[str]:
            return [one.why for one in work.stream.of(FeedChanged, before)]

        await work.until(lambda: "reading the accounts" in told(), "the hubs to be open again")
        await work.fault("hub_reset")
        await work.until(
            lambda: "a hub closed while the accounts were read" in told(), "a word of the loss", 5.0
        )

    play(story)


@pytest.mark.parametrize(("kind", "more"), LOST)
def test_a_lost_hub_is_told_and_trusted_only_when_all_is_read_again(
    play: Play, kind: str, more: dict[str, Any]
) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(1)
        await work.holds(1)
        before = work.stream.last_seq
        await work.fault(kind, **more)

        def told() -> list[FeedChanged]:
            return work.stream.of(FeedChanged, before)

        await work.until(lambda: told() and told()[0].state != "trusted", "a word of the loss", 4.0)
        await work.trade(1)
        await work.until(lambda: told()[-1].state == "trusted", "the feed to be trusted")
        assert all(one.why for one in told() if one.state != "trusted")
        assert read_between_blind_and_trusted(work, before) == set(work.accounts)
        assert await work.is_subscribed()

        async def only_the_new_ones() -> bool:
            return await work.connections() == ["market", "user"]

        await work.until_so(only_the_new_ones, "the old sockets to be gone")
        await work.holds(2)
        await work.agrees_with_the_truth()

    play(story)


def read_between_blind_and_trusted(work: AtWork, after: int) -> set[int]:
    """Return the accounts that were read whole after the last blindness, before all was well."""
    later = [entry for entry in work.stream.entries if entry.seq > after]
    states = [(e.seq, e.fact.state) for e in later if isinstance(e.fact, FeedChanged)]
    blind = max(seq for seq, state in states if state in ("blind", "polling"))
    trusted = min(seq for seq, state in states if state == "trusted" and seq > blind)
    return {
        entry.account
        for entry in later
        if blind < entry.seq < trusted
        and isinstance(entry.fact, Reconciled)
        and entry.fact.stable
        and not entry.fact.only_positions
    }


def test_a_record_split_over_two_frames_is_joined_and_costs_nothing(play: Play) -> None:
    async def story(work: AtWork) -> None:
        before = work.stream.last_seq
        await work.fault("split_records", seconds=1.0)
        await work.trade(2)
        await work.holds(2)
        assert work.stream.of(FeedChanged, before) == []
        await work.agrees_with_the_truth()

    play(story)


def test_hubs_that_do_not_open_are_asked_for_ever_less_often_however_good_the_last_were(
    play: Play,
) -> None:
    async def story(work: AtWork) -> None:
        session = work.link.session
        session.opened_at -= 2 * GOOD_AFTER_NS
        before = len(await work.requests("/Auth/loginKey"))
        await work.fault("hub_refuse", seconds=2.0)
        await work.fault("hub_reset")
        await work.until(lambda: work.feed == "blind", "a word of the loss", 3.0)
        await work.until(lambda: work.feed == "trusted", "the feed to be trusted")
        logins = len(await work.requests("/Auth/loginKey")) - before
        assert 2 <= logins <= len(BACK_OFF_S)

    play(story)


def test_an_account_that_the_login_has_and_nobody_guards_is_told_of(play: Play) -> None:
    async def story(work: AtWork) -> None:
        stranger = work.accounts[1]
        await work.end_link()
        work.accounts = work.accounts[:1]
        before = work.stream.last_seq
        await work.run_link()

        def alarms() -> list[str]:
            told = work.stream.of(AlarmRaised, before)
            return [one.text for one in told if one.what == "unguarded account"]

        await work.until(alarms, "an alarm", 5.0)
        await work.until(lambda: work.feed == "trusted", "the feed to be trusted")
        assert len(alarms()) == 1
        assert str(stranger) in alarms()[0]

    play(story)


def test_hubs_that_are_refused_are_asked_for_again_and_again(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.fault("hub_refuse", seconds=1.5)
        await work.fault("hub_reset")
        await work.until(lambda: work.feed == "blind", "a word of the loss", 3.0)
        await work.trade(1)
        await work.until(lambda: work.feed == "trusted", "the feed to be trusted")
        assert await work.is_subscribed()
        await work.agrees_with_the_truth()

    play(story)


def test_a_session_that_another_device_took_is_not_fought_for(play: Play) -> None:
    async def story(work: AtWork) -> None:
        logins = len(await work.requests("/Auth/loginKey"))
        began = asyncio.get_running_loop().time()
        await work.fault("session_conflict", seconds=1.0)
        await work.until(lambda: work.feed == "polling", "a word of the loss", 3.0)
        why = work.stream.of(FeedChanged)[-1].why
        await work.until(lambda: work.feed == "trusted", "the feed to be trusted")
        assert asyncio.get_running_loop().time() - began >= LOGOUT_BACK_OFF_S[0]
        assert len(await work.requests("/Auth/loginKey")) == logins + 1
        assert why
        await work.agrees_with_the_truth()

    play(story)


def test_while_another_device_has_the_session_accounts_are_read_in_turn_and_closed(
    play: Play,
) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(3)
        await work.holds(3)
        before = work.stream.last_seq
        await work.fault("session_conflict", seconds=600.0)
        await work.until(lambda: work.feed == "polling", "a word of the loss", 3.0)
        price = [one.text for one in work.stream.of(AlarmRaised) if one.what == "session taken"]
        assert len(price) == 1
        assert polling.price(len(work.accounts)) in price[0]
        await work.trade(2)
        await work.holds(5)
        goal = await work.want()
        assert await work.has_ended(goal) == "filled"
        await work.agrees_with_the_truth()
        await work.trade(1, account=work.accounts[1])
        await work.agrees_with_the_truth()
        states = [one.state for one in work.stream.of(FeedChanged, before)]
        since = states[states.index("polling") :]
        assert set(since) == {"polling"}, "a retry that fails takes nothing away"
        assert len(await work.requests(*CLOSING)) == 1
        await work.behaved()

    play(story)


def test_polling_that_can_read_nothing_is_blind_and_polling_again_when_it_can(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.fault("session_conflict", seconds=600.0)
        await work.until(lambda: work.feed == "polling", "a word of the loss", 3.0)
        await work.fault("rest_error", seconds=polling.LATE_AFTER_S_MIN + 4)
        await work.until(lambda: work.feed == "blind", "a word of the blindness", 25.0)
        await work.until(lambda: work.feed == "polling", "reads to work again")

    play(story)


def test_a_read_that_is_unauthorized_logs_in_again(play: Play) -> None:
    async def story(work: AtWork) -> None:
        began = work.clock.now_ns()
        await work.fault("token_revoked")
        work.link.reader.want(work.account, why="a test")
        await work.was_read(began)
        await work.until(lambda: work.feed == "trusted", "the feed to be trusted")
        await work.trade(-1)
        await work.holds(-1)

    play(story)


def test_what_was_lost_on_its_way_into_the_journal_is_told_and_read(play: Play) -> None:
    async def story(work: AtWork) -> None:
        await work.trade(2)
        await work.holds(2)
        before, began = work.stream.last_seq, work.clock.now_ns()
        work.link.alarm(0, "info", "too long", "x" * 600_000)
        await work.until(
            lambda: any(
                one.state == "suspect" and "the journal refused facts: a payload" in one.why
                for one in work.stream.of(FeedChanged, before)
            ),
            "a word of the gap",
        )
        await work.was_read(began)
        await work.until(lambda: work.feed == "trusted", "the feed to be trusted")
        await work.agrees_with_the_truth()

    play(story)


def test_facts_of_an_account_that_nobody_guards_are_nobodys_loss(play: Play) -> None:
    async def story(work: AtWork) -> None:
        before = work.stream.last_seq
        stranger = AccountSeen(account=1, login=work.login, name="X", balance=0, can_trade=True)
        work.link.outlet.put([stranger])
        work.link.alarm(0, "info", "behind it", "the journal has answered")
        await work.until(lambda: work.stream.of(AlarmRaised, before), "what was said behind it")
        await work.until(lambda: work.link.outlet.waiting == 0, "every answer")
        assert work.stream.of(FeedChanged, before) == []
        assert work.stream.of(AccountSeen, before) == []
        assert work.link.session.state == "trusted"

    play(story)
