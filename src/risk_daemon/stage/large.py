"""A state file made large: quotes that trip nothing, and orders that rest and go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count, islice
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.core.events import Fact, FeedChanged, MarkChanged, OrderChanged, Pulse
from risk_daemon.core.world import STATE_SCHEMA
from risk_daemon.journal.batch import Batch
from risk_daemon.journal.file import JournalFile
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.sequencer import Sequencer
from risk_daemon.operations.home import Home
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.which_release import release
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.waiting import until
from risk_daemon.wire.record import decode, new_record

MB: Final = 1_000_000
TOGETHER: Final = 10_000
#: Of ten records two are of an order; the others are quotes, as in a day of a few traders.
OF_TEN: Final = 10
PULSE_EVERY: Final = 1_000
#: A worker without a snapshot behind it folds all of it once: that is preparation.
CAUGHT_UP_WITHIN_S: Final = 900.0
KEPT_WITHIN_S: Final = 300.0
_FIRST_ORDER: Final = 8_000_000_000
_CANCELLED: Final = 3


def grow(state: Path, size_mb: int, crowd: Crowd, say: Callable[[str], None]) -> int:
    """Add records behind the last one until the file has a size; return how many. Nothing runs.

    The state must hold an order and a quote: what is added looks like them, in a day in which
    every feed is trusted.
    """
    with closing(Reader(state)) as reader:
        last = reader.last()
        quote = _newest(reader, "mark-changed")
        order = _newest(reader, "order-changed")
    assert last is not None
    assert isinstance(quote, MarkChanged)
    assert isinstance(order, OrderChanged)
    head, facts = Sequencer(last.seq, last.at, last.crc), _facts(quote, order, crowd)
    at, told = last.at, 0
    with closing(JournalFile(state, last.at)) as file:
        while state.stat().st_size < size_mb * MB:
            batch = Batch(head.seq)
            for fact in islice(facts, TOGETHER):
                at += 1_000  # a microsecond: the file must not run ahead of the clock
                batch.records.append(head.admit(new_record(fact), at))
            file.store(batch)
            file.fold()
            tenths = state.stat().st_size * 10 // (size_mb * MB)
            if tenths > told:
                told = tenths
                say(f"{state.stat().st_size // MB} of {size_mb} MB, {head.seq} records")
    return head.seq - last.seq


def caught_up(daemon: Daemon, size_mb: int, crowd: Crowd, say: Callable[[str], None]) -> int:
    """Grow a running daemon's state, and have its worker keep a snapshot near the end.

    Returns how many records were added.
    """
    state = Home(daemon.home).state / FILE
    daemon.run("stop", "--yes", "--reason", "the file is made large").ok()
    added = grow(state, size_mb, crowd, say)
    words = ("start", "--timeout", f"{CAUGHT_UP_WITHIN_S:g}")
    daemon.run(*words, within_s=CAUGHT_UP_WITHIN_S + 60).ok()
    daemon.wait_healthy(KEPT_WITHIN_S)
    with closing(Reader(state)) as reader:
        until(lambda: _is_kept(reader, added, crowd), KEPT_WITHIN_S, "a snapshot near the end")
    return added


def backed_up(daemon: Daemon) -> Path:
    """Make a backup of a daemon, verified by a restore of it."""
    done = daemon.run("backup", "create", "--json", within_s=CAUGHT_UP_WITHIN_S).ok()
    return Path(done.data["data"]["file"])


def _is_kept(reader: Reader, seq: int, crowd: Crowd) -> bool:
    found = reader.snapshots(release(), STATE_SCHEMA, 0, len(crowd.accounts()) + 1)
    return len(found) > 1 and all(one.seq > seq for one in found)


def _newest(reader: Reader, kind: str) -> Fact:
    back = reader.seq_back(1, [kind])
    found = reader.records(back, back, [kind], 1).records
    return decode(found[-1]).fact


def _facts(quote: MarkChanged, order: OrderChanged, crowd: Crowd) -> Iterator[Fact]:
    """Write quotes a unit apart, which no rule minds, and orders that come and go unfilled."""
    replace, accounts = msgspec.structs.replace, crowd.accounts()
    for number in range(crowd.logins):
        yield FeedChanged(login=crowd.login(number), state="trusted")
    for number in count():
        if number % PULSE_EVERY == 0:
            yield Pulse()  # what is due is done, or every quote would ask for it
        if number % OF_TEN:
            away = number % 2
            yield replace(quote, bid=(quote.bid or 0) - away, ask=(quote.ask or 0) + away)
            continue
        turn = number // OF_TEN
        resting = replace(
            order,
            account=accounts[turn // 2 % len(accounts)],
            order=_FIRST_ORDER + turn // 2,
            type=1,
            side=1,
            size=1,
            filled=0,
            status=1,
            limit_price=1_000_000_000,
            stop_price=None,
        )
        yield resting if turn % 2 == 0 else replace(resting, status=_CANCELLED)
