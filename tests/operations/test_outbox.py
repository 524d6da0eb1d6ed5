"""Alarms reach a sink once, in order, whatever goes away and comes back."""

from hypothesis import given
from hypothesis import strategies as st

from risk_daemon.operations.alerts.outbox import (
    BATCH_MAX,
    SECOND_NS,
    Alarm,
    Connected,
    Deliver,
    Delivered,
    Failed,
    Found,
    Input,
    Lost,
    News,
    Outbox,
    Phase,
    Place,
    Read,
    Request,
    Rewound,
    Wake,
    Woken,
    step,
)


def alarm(seq: int) -> Alarm:
    return Alarm(
        place=Place(seq, 1000 + seq), at=seq, account=0, level="info", what="w", text="t", source=""
    )


def alarms(*seqs: int) -> tuple[Alarm, ...]:
    return tuple(map(alarm, seqs))


def found(outbox: Outbox, *seqs: int) -> list[Request]:
    """The read that is out finds these."""
    return step(outbox, Found(alarms(*seqs), outbox.reads))


def places(requests: list[Request]) -> list[int]:
    """From where it is read next."""
    return [one.after for one in requests if isinstance(one, Read)]


def idle(seq: int = 0) -> Outbox:
    """A sink that has all up to a seq."""
    outbox = Outbox(place=alarm(seq).place)
    step(outbox, Connected())
    found(outbox)
    assert outbox.phase is Phase.IDLE
    return outbox


def test_what_came_while_it_was_away_is_read_first() -> None:
    outbox = Outbox(place=Place(7, 1007))

    assert places(step(outbox, Connected())) == [7]
    assert found(outbox, 9, 12) == [Deliver(alarms(9, 12))]
    assert places(step(outbox, Delivered())) == [12]
    assert found(outbox) == []
    assert (outbox.place.seq, outbox.phase) == (12, Phase.IDLE)


def test_the_place_moves_only_when_the_sink_has_it() -> None:
    outbox = idle(3)
    assert places(step(outbox, News(5))) == [3]
    found(outbox, 5)

    assert outbox.place.seq == 3
    step(outbox, Delivered())
    assert outbox.place == Place(5, 1005)


def test_old_news_is_no_news() -> None:
    outbox = idle(5)

    assert step(outbox, News(5)) == []
    assert places(step(outbox, News(6))) == [5]
    assert step(outbox, News(7)) == []


def test_news_that_a_read_on_its_way_may_have_missed_is_read_for_again() -> None:
    outbox = idle(5)
    step(outbox, News(6))
    found(outbox, 6)
    assert places(step(outbox, Delivered())) == [6]
    assert step(outbox, News(7)) == []

    assert places(found(outbox)) == [6]
    assert found(outbox, 7) == [Deliver(alarms(7))]


def test_what_the_sink_has_is_never_handed_over_again() -> None:
    outbox = idle(5)
    step(outbox, News(6))

    assert found(outbox, 4, 5, 6) == [Deliver(alarms(6))]


def test_a_sink_that_fails_is_tried_again_later_and_ever_later() -> None:
    outbox, waits = idle(), []
    assert places(step(outbox, News(1))) == [0]
    for _ in range(9):
        found(outbox, 1)
        (wake,) = step(outbox, Failed(0))
        assert isinstance(wake, Wake)
        waits.append(wake.at // SECOND_NS)
        assert step(outbox, Woken(wake.at - 1)) == []
        assert places(step(outbox, Woken(wake.at))) == [0]
        assert step(outbox, Woken(wake.at)) == []

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    found(outbox, 1)
    step(outbox, Delivered())
    assert (outbox.place.seq, outbox.failures) == (1, 0)


def test_without_the_journal_nothing_is_read_until_it_is_back() -> None:
    outbox = idle(2)
    step(outbox, News(3))
    step(outbox, Lost())
    assert found(outbox, 3) == []
    assert step(outbox, News(4)) == []

    assert places(step(outbox, Connected())) == [2]


def test_an_answer_of_before_a_loss_is_none() -> None:
    outbox = idle(2)
    step(outbox, News(3))
    late = Found((), outbox.reads)
    step(outbox, Lost())
    assert places(step(outbox, Connected())) == [2]

    assert step(outbox, late) == []
    assert found(outbox, 3) == [Deliver(alarms(3))]


def test_a_journal_that_goes_during_a_delivery_does_not_undo_it() -> None:
    outbox = idle()
    step(outbox, News(1))
    found(outbox, 1)
    step(outbox, Lost())

    assert step(outbox, Delivered()) == []
    assert (outbox.place.seq, outbox.phase) == (1, Phase.AWAY)
    assert places(step(outbox, Connected())) == [1]


def test_a_journal_that_comes_back_during_a_delivery_waits_for_its_end() -> None:
    outbox = idle()
    step(outbox, News(1))
    found(outbox, 1)
    step(outbox, Lost())

    assert step(outbox, Connected()) == []
    assert places(step(outbox, Delivered())) == [1]


def test_another_journal_is_read_from_where_they_part() -> None:
    outbox = idle(9)

    assert places(step(outbox, Rewound(Place(4, 1004)))) == [4]
    assert found(outbox, 6) == [Deliver(alarms(6))]


def test_a_batch_of_the_journal_before_does_not_move_the_place_of_the_new_one() -> None:
    outbox = idle(3)
    step(outbox, News(9))
    found(outbox, 9)

    assert step(outbox, Rewound(Place(2, 1002))) == []
    assert places(step(outbox, Delivered())) == [2]
    assert outbox.place.seq == 2


class World:
    """A journal that only grows, a sink that may fail, and a machine between them."""

    def __init__(self) -> None:
        self.journal: list[int] = []
        self.sink: list[int] = []
        self.outbox = Outbox(place=Place())
        self.asked: list[Read | Deliver | Wake] = []
        self.answer: Found | None = None
        self.is_there = False

    def take(self, event: Input) -> None:
        self.asked += step(self.outbox, event)

    def act(self, what: str) -> None:
        match what:
            case "raise":
                self.journal.append(len(self.journal) * 3 + 1)
                if self.is_there:
                    self.take(News(self.journal[-1]))
            case "connect" if not self.is_there:
                self.is_there = True
                self.take(Connected())
            case "lose" if self.is_there:
                self.is_there = False
                self.take(Lost())
            case "die":
                # All but the sink's own place is forgotten.
                place = self.outbox.place
                self.outbox, self.asked, self.is_there = Outbox(place=place), [], False
                self.answer = None
            case "work" | "fail":
                self.work(fails=what == "fail")
            case _:
                pass

    def work(self, *, fails: bool) -> None:
        if self.answer is not None:
            answer, self.answer = self.answer, None
            self.take(answer)
            return
        if not self.asked:
            return
        match self.asked.pop(0):
            case Read(after, number):
                seqs = [seq for seq in self.journal if seq > after][:BATCH_MAX]
                # It arrives later: news may come in between.
                self.answer = Found(alarms(*seqs), number) if self.is_there else None
            case Deliver(given):
                if fails:
                    self.take(Failed(0))
                else:
                    self.sink += [one.place.seq for one in given]
                    self.take(Delivered())
            case Wake(at):
                self.take(Woken(at))


@given(st.lists(st.sampled_from(["raise", "connect", "lose", "die", "work", "work", "fail"])))
def test_every_alarm_is_there_once_and_in_order_whatever_happened(acts: list[str]) -> None:
    world = World()
    for what in acts:
        world.act(what)
        assert world.sink == world.journal[: len(world.sink)]

    world.act("connect")
    for _ in range(20 + 6 * len(acts)):
        world.act("work")
    assert world.sink == world.journal
