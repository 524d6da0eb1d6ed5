"""Silence counts from the first answer on, and only while we were there; slow is not frozen."""

from __future__ import annotations

from risk_daemon.supervisor.probing import LATE_NS, SILENT_NS, STILL_NS, Silence

STEP = LATE_NS // 2


def over_after(silence: Silence, began: int, span: int, *, works: bool = True) -> bool:
    """Look in time again and again; whether it was ever over."""
    at, found = began, False
    while at < began + span:
        at = min(at + STEP, began + span)
        if works:
            silence.worked(at)
        found = silence.is_over(at) or found
    return found


def test_who_never_answered_owes_no_answer() -> None:
    assert not over_after(Silence(), 0, 10 * SILENT_NS)


def test_silence_is_over_after_a_second_without_an_answer() -> None:
    silence = Silence()
    silence.answered(1_000)

    assert not over_after(silence, 1_000, SILENT_NS)
    assert silence.is_over(1_001 + SILENT_NS)


def test_of_one_that_does_nothing_meanwhile_it_is_over_sooner() -> None:
    silence = Silence()
    silence.answered(1_000)

    assert not over_after(silence, 1_000, STILL_NS, works=False)
    assert silence.is_over(1_001 + STILL_NS)


def test_one_that_was_seen_at_work_has_the_time_anew_but_not_beyond_a_second() -> None:
    silence = Silence()
    silence.answered(0)
    assert not over_after(silence, 0, STILL_NS, works=False)
    silence.worked(STILL_NS)

    assert not over_after(silence, STILL_NS, SILENT_NS - STILL_NS, works=False)
    assert silence.is_over(1 + SILENT_NS)


def test_an_answer_begins_it_anew() -> None:
    silence = Silence()
    silence.answered(0)
    assert not over_after(silence, 0, SILENT_NS)
    silence.answered(SILENT_NS)

    assert not over_after(silence, SILENT_NS, SILENT_NS)
    assert silence.is_over(1 + 2 * SILENT_NS)


def test_time_in_which_nobody_looked_counts_against_nobody() -> None:
    silence = Silence()
    silence.answered(0)

    assert not silence.is_over(100 * SILENT_NS)
    assert not over_after(silence, 100 * SILENT_NS, SILENT_NS)
    assert silence.is_over(1 + 101 * SILENT_NS)


def test_a_look_that_is_just_in_time_counts() -> None:
    silence = Silence()
    silence.answered(0)
    looks = []
    for at in (LATE_NS, 2 * LATE_NS, 2 * LATE_NS + 1):
        silence.worked(at)
        looks.append(silence.is_over(at))

    assert looks == [False, False, True]


def test_a_new_process_owes_nothing_until_it_answered() -> None:
    silence = Silence()
    silence.answered(0)
    silence.gone()

    assert not over_after(silence, 0, 3 * SILENT_NS)
