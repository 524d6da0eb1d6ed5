"""Planning: what will happen is said before it does, and what can't be is refused."""

from typing import Any

import msgspec
import pytest

from risk_daemon.rollout import row
from risk_daemon.rollout.exposure import MINUTE
from risk_daemon.rollout.order import MILLION, Member
from risk_daemon.rollout.plan import Version
from risk_daemon.rollout.planning import Figures, Made, asked_phase, make, restore, shape, show
from risk_daemon.rollout.reading import BEFORE, DAY, Problems, Wish, default_phase, read
from tests.rollout.test_exposure import FRIDAY, market, utc
from tests.rollout.test_reading import LEAST, phases

SPANS = market(2, 28)
TUESDAY = utc("08 15:00")
FIGURES = Figures(to_decide=327, errors=684, latency=650)


def people(n: int, **changes: Any) -> tuple[Member, ...]:
    return tuple(
        Member(account=number, **{"risk": 10, "events_per_day": 1000, **changes})
        for number in range(1, n + 1)
    )


def wish(reason: str = "why", **more: Any) -> Wish:
    found = read({**LEAST, "test_accounts": [1], **more})
    assert isinstance(found, Wish), found
    return msgspec.structs.replace(found, by="anna", reason=reason)


def made(n: int = 20, now: int = TUESDAY, members: tuple[Member, ...] = (), **more: Any) -> Made:
    found = make(wish(**more), members or people(n), SPANS, now, FIGURES)
    assert isinstance(found, Made), found
    return found


def refused(
    members: tuple[Member, ...] | None = None, taken: dict[int, str] | None = None, **more: Any
) -> tuple[str, ...]:
    found = make(
        wish(**more), people(20) if members is None else members, SPANS, TUESDAY, FIGURES, taken
    )
    assert isinstance(found, Problems), found
    return found.sentences


def test_twenty_accounts_are_one_two_ten_and_all_of_them() -> None:
    found = made(now=utc("07 00:00"))

    assert [phase.upto for phase in found.plan.phases] == [0, 1, 2, 10, 20, 20]
    assert found.plan.order[0] == 1
    assert found.plan.approvals == 0
    assert found.plan.said == ()


def test_from_a_tuesday_all_accounts_are_reached_after_five_days_and_a_weekend() -> None:
    found = made()

    shown = [(one.name, show(one.begins or 0)) for one in found.phases]
    assert shown == [
        ("shadow", "Tue 08 Dec 15:00 UTC"),
        ("canary", "Tue 08 Dec 15:00 UTC"),
        ("10", "Wed 09 Dec 15:00 UTC"),
        ("50", "Fri 11 Dec 15:00 UTC"),
        ("100", "Tue 15 Dec 13:00 UTC"),
        ("soak", "Tue 15 Dec 13:00 UTC"),
    ]
    assert found.full_at == found.phases[-2].begins


def test_a_start_on_a_friday_afternoon_is_told() -> None:
    found = made(now=FRIDAY)

    assert found.plan.said[0] == (
        "phase canary: 24 h from Fri 04 Dec 20:00 UTC don't see enough open market; "
        "it lasts until Mon 07 Dec 23:00 UTC"
    )
    assert found.plan.approvals == 0


def test_a_plan_that_takes_more_than_a_week_is_told() -> None:
    steps = phases(canary={"wall": "96h"})
    found = made(phases=steps)

    assert "until all accounts are on v1.3.0 (def456)" in found.plan.said[-1]


def test_exactly_a_week_is_not_long() -> None:
    def until_full(wall: str) -> Made:
        steps = phases(shadow={"wall": "0s"}, **{"50": {"wall": wall}})
        return made(now=utc("07 00:00"), phases=steps, production=False)

    exact, longer = until_full("96h"), until_full("97h")

    assert exact.full_at == utc("14 00:00")
    assert exact.plan.said == ()
    assert longer.plan.said == (
        "it takes until Mon 14 Dec 01:00 UTC until all accounts are on v1.3.0 (def456)",
    )


@pytest.mark.parametrize("n", [2, 5, 19])
def test_few_accounts_are_told_and_somebody_must_agree(n: int) -> None:
    found = made(n)

    assert found.plan.said[0].startswith(f"with {n} accounts a percentage is no sample; accounts: ")
    assert found.plan.approvals == 1


def test_below_ten_accounts_ten_percent_is_the_first_real_one() -> None:
    assert [phase.upto for phase in made(5).plan.phases] == [0, 1, 2, 3, 5, 5]
    assert made(5).plan.said[0].endswith("accounts: canary 1, 10 2, 50 3, 100 5")


def test_one_account_is_told() -> None:
    found = made(1)

    assert found.plan.said[0] == "there is one account: it is the canary and everything after it"
    assert [phase.upto for phase in found.plan.phases] == [0, 1, 1, 1, 1, 1]


def test_without_a_test_account_somebody_must_agree() -> None:
    found = made(test_accounts=[])

    assert found.plan.said[0].startswith("no test account is listed")
    assert found.plan.approvals == 1


def test_a_cap_that_cannot_be_kept_is_told_and_the_plan_allows_what_was_told() -> None:
    rich = (Member(account=1, risk=90, events_per_day=9), *people(20)[1:])
    found = made(members=rich)

    assert found.plan.said[0] == (
        "phase canary: no choice of accounts stays under 10 % of the open risk; this one holds "
        "32.2 %"
    )
    assert found.plan.risk_cap_ppm[1] == 321_429
    assert found.plan.approvals == 1


def test_a_cap_that_is_just_kept_is_not_told() -> None:
    found = made(20)

    assert found.phases[2].risk_ppm == MILLION // 10
    assert not any("no choice" in one for one in found.plan.said)


def test_what_will_be_decidable_and_seen_when_is_told_in_numbers() -> None:
    canary, ten = made().phases[1:3]

    assert (canary.events_per_day, ten.events_per_day) == (1000, 2000)
    assert (canary.decidable_tenths, ten.decidable_tenths) == (4, 2)
    assert (canary.detect_errors_min, canary.detect_latency_min) == (985, 936)


def test_a_candidate_in_shadow_decides_on_all_accounts() -> None:
    assert made().phases[0].events_per_day == 20_000


def test_a_phase_without_records_is_never_decidable_and_has_no_end() -> None:
    found = made(members=people(20, events_per_day=0), test_accounts=[])

    assert found.phases[1].decidable_tenths is None
    assert found.phases[1].ends is None
    assert found.phases[2].begins is None
    assert found.full_at is None
    assert "phase canary: no end can be foreseen at this volume" in found.plan.said


def test_a_freeze_moves_what_comes_after_it() -> None:
    frozen = {
        "begin": "2026-12-09T12:00:00Z",
        "end": "2026-12-09T20:00:00Z",
        "forbids": ["promote"],
        "reason": "FOMC",
    }

    assert show(made(freezes=[frozen]).phases[2].begins or 0) == "Wed 09 Dec 20:00 UTC"


def test_a_freeze_without_an_end_in_sight_leaves_no_phase() -> None:
    frozen = {
        "begin": "2026-12-09T12:00:00Z",
        "end": "2027-12-09T20:00:00Z",
        "forbids": ["promote"],
        "reason": "year end",
    }
    found = made(freezes=[frozen])

    assert found.phases[2].begins is None
    assert found.full_at is None


def test_a_freeze_that_covers_everything_is_refused() -> None:
    frozen = {"begin": "2026-12-01T00:00:00Z", "end": "2027-12-09T20:00:00Z", "reason": "year end"}

    assert refused(freezes=[frozen])[-1] == (
        "the freezes forbid every switch from now until the plan would end; "
        "end a freeze or plan for later"
    )


def test_a_rehearsal_s_minute_makes_everything_shorter() -> None:
    found = made(
        production=False, minute="100ms", phases=phases(canary={"wall": "1s", "longest": "1h"})
    )

    assert found.plan.minute_ns == MINUTE // 600
    assert found.plan.blind_ns == 5 * 60 * 1_000_000_000  # what is asked for is not rehearsed
    assert found.plan.window_ns == 7 * DAY // 600


# --- refusals ---


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (
            {"release": "v1.2.0", "commit": "abc123"},
            "release: v1.2.0 (abc123) is what enforces already; name another one",
        ),
        (
            {"older": [{"release": "v1.3.0", "commit": "def456"}]},
            "older: v1.3.0 (def456) is what is rolled out; leave it out",
        ),
        ({"test_accounts": [1, 1]}, "test_accounts: an account is listed twice; list it once"),
        (
            {"minute": "59s"},
            "minute: a minute lasts 60s in production; rehearse elsewhere",
        ),
        (
            {"phases": phases(canary={"wall": "23h"})},
            "phase canary: wall below what production asks for; "
            "leave it out to get that, or plan it as an emergency",
        ),
        (
            {"phases": phases(canary={"open_minutes": 1319, "events": 329, "gates": []})},
            "phase canary: open_minutes, events, gate errors, gate latency, gate decisions, "
            "gate enforcement, gate memory, gate connection below what production asks for; "
            "leave it out to get that, or plan it as an emergency",
        ),
    ],
)
def test_what_cannot_be_planned_is_told(more: dict[str, Any], sentence: str) -> None:
    assert refused(**more) == (sentence,)


def test_a_situation_that_is_not_waited_for_is_lowered_evidence() -> None:
    (sentence,) = refused(phases=phases(**{"50": {"situations": ["session open"]}}))

    assert sentence.startswith("phase 50: situation session close, situation daily reset")


def test_a_gate_before_the_start_that_is_left_out_is_lowered_evidence() -> None:
    found = refused(gates=["tests"])

    assert len(found) == 11
    assert found[0] == (
        "gates: 'live tests' is missing, and this is production; add it, "
        "or accept it by an override"
    )


@pytest.mark.parametrize(
    "more",
    [
        {"production": False},
        {"kind": "emergency"},
        {"kind": "configuration", "harmless": True, "release": "v1.2.0"},
    ],
)
def test_a_rehearsal_an_emergency_and_a_harmless_change_may_ask_for_less(
    more: dict[str, Any],
) -> None:
    steps = phases(canary={"wall": "1h", "events": 0, "open_minutes": 1, "situations": []})

    assert made(phases=steps, **more).plan.phases[1].dwell.open_minutes == 1


@pytest.mark.parametrize(
    "more", [{"kind": "configuration", "release": "v1.2.0"}, {"harmless": True}]
)
def test_a_change_that_is_not_both_harmless_and_of_the_configuration_may_not(
    more: dict[str, Any],
) -> None:
    assert refused(phases=phases(canary={"wall": "1h"}), **more)


def test_a_configuration_alone_needs_two_persons_and_is_compared_with_nobody() -> None:
    found = made(kind="configuration", release="v1.2.0")

    assert (found.plan.approvals, found.plan.gates) == (2, ("rollback drill", "backup"))
    assert found.plan.is_configuration
    assert found.plan.candidate == Version("v1.2.0", "def456")
    assert [one.gates for one in found.plan.phases] == [()] * 6
    assert [one.dwell.events for one in found.plan.phases] == [0] * 6
    assert [one.dwell.wall_ns // DAY for one in found.plan.phases] == [0, 1, 2, 2, 0, 7]
    assert "reconnect" not in found.plan.phases[1].situations


@pytest.mark.parametrize("more", [{"release": "v1.2.0"}, {"kind": "configuration"}])
def test_a_configuration_alone_keeps_its_release_and_everything_else_does_not(
    more: dict[str, Any],
) -> None:
    (sentence,) = refused(**more)

    assert "a configuration alone keeps its release, everything else does not" in sentence


def test_an_emergency_needs_two_persons() -> None:
    assert made(kind="emergency").plan.approvals == 2
    assert made(kind="emergency", approvals=3).plan.approvals == 3


def test_an_emergency_is_short_and_says_what_it_leaves_out() -> None:
    found = made(kind="emergency")

    assert [(one.name, one.upto) for one in found.plan.phases] == [
        ("shadow", 0), ("canary", 1), ("100", 20), ("soak", 20),
    ]  # fmt: skip
    assert (found.full_at or 0) - TUESDAY < 6 * MINUTE
    assert (found.plan.by, found.plan.reason) == ("anna", "why")
    assert found.plan.gates == ("signature",)
    assert found.plan.said == (
        "EMERGENCY: not asked before the start: tests, live tests, coverage, benchmarks, audit, "
        "documents, release notes, rollback drill, backup, parity, checklist",
        "EMERGENCY: no phase of 10 % and 50 %",
        "EMERGENCY: phase canary: less wall, open_minutes, events, gate errors, gate latency, "
        "gate decisions, gate enforcement, gate memory, gate connection, situation session open, "
        "situation session close, situation daily reset, situation maintenance break, "
        "situation reconnect, situation restart with equal state",
    )


def test_an_emergency_that_is_asked_for_everything_leaves_nothing_out() -> None:
    usual = [msgspec.to_builtins(default_phase(name)) for name in ("canary", "10", "50")]
    steps = [
        {"name": "shadow"},
        *(
            {
                "name": one["name"],
                "wall": f"{one['dwell']['wall_ns'] // MINUTE}m",
                "longest": "14d",
                "open_minutes": one["dwell"]["open_minutes"],
                "events": one["dwell"]["events"],
                "situations": list(one["situations"]),
                "gates": list(one["gates"]),
            }
            for one in usual
        ),
        {"name": "100"},
        {"name": "soak"},
    ]
    assert (
        made(now=utc("07 00:00"), kind="emergency", phases=steps, gates=list(BEFORE)).plan.said
        == ()
    )


def test_an_emergency_is_held_up_by_no_freeze_and_says_by_which_it_would_have_been() -> None:
    frozen = {
        "begin": "2026-01-01T00:00:00Z",
        "end": "2027-12-31T00:00:00Z",
        "reason": "the holidays",
    }

    found = made(kind="emergency", freezes=[frozen])

    assert found.plan.freezes == ()
    assert "EMERGENCY: not held up by the freeze for the holidays" in found.plan.said


def test_an_emergency_that_says_no_reason_is_none() -> None:
    assert refused(kind="emergency", reason="") == (
        "reason: an emergency leaves evidence out, so it says why; add --reason",
    )
    assert made(reason="").plan.reason == ""


def test_an_account_that_is_not_guarded_is_told_with_those_that_are() -> None:
    assert refused(people(3), test_accounts=[99]) == (
        "test_accounts: 99 is not guarded here; guarded: 1, 2, 3",
    )


def test_an_account_that_is_not_fit_to_be_the_first_is_told() -> None:
    locked = (Member(account=1, events_per_day=9, unfit="is locked until 17:00"), *people(20)[1:])

    assert refused(locked) == ("test_accounts: 1 is locked until 17:00; name another one",)


#: It was read all day, and the broker told nothing of it.
SILENT = (Member(account=1, events_per_day=1000, is_silent=True), *people(20)[1:])


@pytest.mark.parametrize(
    "canary",
    [
        *({"events": 0, "gates": [gate]} for gate in ("errors", "latency", "decisions")),
        {"events": 0, "gates": ["memory", "enforcement"]},
        {"events": 1, "gates": []},
    ],
)
def test_an_account_without_events_is_told(canary: dict[str, Any]) -> None:
    found = refused(SILENT, phases=phases(canary=canary), production=False)

    assert found == refused(SILENT)
    assert found == (
        "test_accounts: 1 has no events (no order, position or fill of it was told in the last "
        "24 h of open market), so the gates of the canary would see nothing; name an account that "
        "trades, or have a trade made on this one",
    )


def test_who_is_not_the_first_may_be_silent() -> None:
    assert made(members=SILENT, test_accounts=[2]).plan.order[0] == 2


@pytest.mark.parametrize("gates", [[], ["memory", "connection"]])
def test_a_canary_that_is_not_judged_by_records_may_be_silent(gates: list[str]) -> None:
    steps = phases(canary={"events": 0, "gates": gates})

    assert made(members=SILENT, phases=steps, production=False).plan.order[0] == 1


def test_an_emergency_begins_with_a_silent_account_too() -> None:
    assert made(members=SILENT, kind="emergency").plan.order[0] == 1


def test_an_account_of_another_rollout_is_told() -> None:
    assert refused(taken={7: "r0", 99: "r9"}) == (
        "account 7 is in the rollout r0: end that one, or supersede it",
    )


def test_a_home_without_accounts_has_no_plan() -> None:
    assert refused(()) == (
        "there is no account here: add one to the configuration, then plan again",
    )


# --- percentages asked for later ---


def asked(percent: object, stage: str = "10") -> str:
    found = asked_phase(made().plan, stage, percent)
    return found if isinstance(found, str) else found.sentences[0]


@pytest.mark.parametrize("percent", [0, 101, 7.5, "10", True])
def test_a_percentage_asked_for_is_a_whole_number_up_to_a_hundred(percent: object) -> None:
    assert asked(percent) == (
        f"percent: {percent!r} is not allowed; allowed: a whole number from 1 to 100"
    )


def test_a_percentage_is_a_phase_of_the_plan() -> None:
    assert [asked(percent) for percent in (10, 50, 100)] == ["10", "50", "100"]
    assert asked(10, "shadow") == "10"
    assert asked(25) == "percent: 25 is no phase of this plan; its percentages: 10, 50, 100"


def test_a_percentage_never_shrinks_what_is_switched() -> None:
    assert asked(10, "50") == (
        "percent: 10 is less than the 50 % already switched; percentages never shrink: "
        "to go back use scripts/rollback_daemon.sh"
    )
    assert asked(100, "soak") == "100"


# --- stored ---


def test_a_plan_is_read_back_as_it_was_written() -> None:
    plan = made(
        freezes=[
            {"begin": "2026-12-09T19:00:00Z", "end": "2026-12-09T20:00:00Z", "reason": "FOMC"}
        ],
        older=[{"release": "v1.1.0", "commit": "abc000"}],
    ).plan

    assert restore(shape(plan)) == plan


@pytest.mark.parametrize(
    "change",
    [
        {"risk_cap_ppm": (1,)},
        {"order": (1, 1)},
        {"order": (1,)},
        {"phases": tuple(reversed(made().plan.phases))},
        {
            "phases": (
                msgspec.structs.replace(made().plan.phases[0], upto=-1),
                *made().plan.phases[1:],
            )
        },
    ],
)
def test_a_plan_changed_by_hand_so_that_it_contradicts_itself_is_refused(change: Any) -> None:
    plan = msgspec.structs.replace(made().plan, **change)

    assert restore(shape(plan)) == Problems(("the stored plan contradicts itself; make a new one",))


def test_a_plan_that_is_none_is_refused() -> None:
    found = restore({"rollout": 3})

    assert isinstance(found, Problems)
    assert found.sentences[0].startswith("the stored plan can't be read: Expected `str`")


def test_the_plan_s_own_words_name_the_release_and_its_configuration() -> None:
    assert str(Version("v1", "")) == "v1"
    assert str(Version("v1", "c")) == "v1 (c)"
    assert row.latch(row.begin(made().plan, {})) == "r1/draft/0"


def test_a_release_is_the_version_that_the_plan_knows_it_as() -> None:
    plan = made(older=[{"release": "v1.1.0", "commit": "abc000"}]).plan

    assert plan.version_of("v1.3.0") == plan.candidate
    assert plan.version_of("v1.1.0") == Version("v1.1.0", "abc000")
    assert plan.version_of("v0.9.0") == Version("v0.9.0", "")
