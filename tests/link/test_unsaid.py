"""What a link has still to say: nothing of its own is lost, whatever the journal refuses."""

from risk_daemon.core.events import Fact, FeedChanged, RequestSettled
from risk_daemon.link.unsaid import WAITING_MAX, Unsaid
from risk_daemon.wire.record import NewRecord, new_record

FEED: Fact = FeedChanged(login="north", state="trusted")
ENDED: Fact = RequestSettled(
    account=1, key="k", request="r", act="close", contract="C", order=0, how="filled"
)


class Heard:
    """A link's unsaid words, and the gaps that were told."""

    def __init__(self) -> None:
        self.gaps: list[str] = []
        self.unsaid = Unsaid(self.gaps.append)

    def put(self, *facts: Fact) -> int:
        taken = self.unsaid.put([new_record(fact) for fact in facts])
        return taken[0] if taken else 0

    def answered(self, number: int, refused: str = "", *, is_nobodys: bool = False) -> list[str]:
        again = self.unsaid.answered(number, refused, is_nobodys=is_nobodys)
        return kinds([record for _, records in again for record in records])

    def rest(self) -> list[str]:
        return kinds([record for _, records in self.unsaid.rest() for record in records])


def dropping(heard: Heard) -> bool:
    return heard.unsaid.is_dropping


def kinds(records: list[NewRecord]) -> list[str]:
    return [record.kind for record in records]


def test_what_has_no_answer_is_said_again_in_order() -> None:
    heard = Heard()
    first = heard.put(FEED)
    heard.put(ENDED)
    heard.put(FEED)

    assert heard.answered(first) == []
    assert heard.rest() == ["request-settled", "feed-changed"]
    assert len(heard.unsaid) == 2


def test_an_answer_speaks_for_its_own_batch_only() -> None:
    heard = Heard()
    heard.put(ENDED)
    later = heard.put(FEED)

    heard.answered(later)

    assert heard.rest() == ["request-settled"]


def test_the_end_of_a_request_that_was_refused_is_said_after_the_next_answer() -> None:
    heard = Heard()
    refused, stored = heard.put(FEED, ENDED), heard.put(FEED)

    assert heard.answered(refused, "the disk is full") == []
    assert heard.gaps == ["the journal refused facts: the disk is full"]
    assert heard.answered(stored) == ["request-settled"]
    assert heard.rest() == ["request-settled"]


def test_the_end_of_a_request_that_was_refused_is_said_to_the_next_journal() -> None:
    heard = Heard()

    heard.answered(heard.put(ENDED), "the disk is full")

    assert heard.rest() == ["request-settled"]
    assert heard.rest() == ["request-settled"]


def test_what_was_refused_is_said_before_what_was_put_after_it() -> None:
    heard = Heard()
    refused = heard.put(FEED, ENDED)
    heard.put(FEED)

    heard.answered(refused, "the disk is full")

    assert heard.rest() == ["request-settled", "feed-changed"]
    assert heard.answered(heard.put(FEED)) == []


def test_a_refused_fact_of_the_brokers_is_a_gap_and_not_said_again() -> None:
    heard = Heard()

    heard.answered(heard.put(FEED), "the file is behind")

    assert heard.gaps == ["the journal refused facts: the file is behind"]
    assert heard.rest() == []


def test_facts_of_accounts_without_a_policy_are_nobodys_loss() -> None:
    heard = Heard()

    heard.answered(heard.put(FEED, ENDED), "no policy", is_nobodys=True)

    assert heard.gaps == []
    assert heard.rest() == []


def test_beyond_the_bound_facts_are_dropped_and_told_once_but_never_an_end() -> None:
    heard = Heard()
    numbers = [heard.put(FEED) for _ in range(WAITING_MAX)]

    assert not dropping(heard)
    assert [heard.put(FEED), heard.put(FEED)] == [0, 0]
    assert heard.put(FEED, ENDED) == WAITING_MAX + 1
    assert dropping(heard)
    assert len(heard.gaps) == 1

    for number in numbers[: WAITING_MAX // 2 + 1]:
        heard.answered(number)
    assert dropping(heard)
    heard.answered(numbers[-1])
    assert not dropping(heard)
    assert len(heard.gaps) == 2
    assert heard.rest()[-1] == "request-settled"
