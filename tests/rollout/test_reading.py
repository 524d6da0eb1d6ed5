"""A plan as a person writes it: each mistake is a sentence with where, what and what is allowed."""

from typing import Any

import msgspec
import pytest

from risk_daemon.rollout import reading
from risk_daemon.rollout.exposure import HOUR, MINUTE
from risk_daemon.rollout.plan import Dwell, Freeze, Version
from risk_daemon.rollout.reading import DAY, Problems, Wish, read

LEAST: dict[str, Any] = {
    "rollout": "r1",
    "release": "v1.3.0",
    "commit": "def456",
    "fallback": "v1.2.0",
    "fallback_commit": "abc123",
}
NAMES = ("shadow", "canary", "10", "50", "100", "soak")


def wish(**more: Any) -> Wish:
    found = read({**LEAST, **more})
    assert isinstance(found, Wish), found
    return found


def wrong(**more: Any) -> tuple[str, ...]:
    found = read({**LEAST, **more})
    assert isinstance(found, Problems), found
    return found.sentences


def phases(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, **changes.get(name, {})} for name in NAMES]


def test_what_is_left_out_is_as_the_brief_has_it() -> None:
    found = wish()

    assert [phase.name for phase in found.phases] == list(NAMES)
    assert [phase.dwell.wall_ns // HOUR for phase in found.phases[1:]] == [24, 48, 48, 0, 168]
    assert [phase.percent for phase in found.phases] == [0, 0, 10, 50, 100, 100]
    assert found.caps == (0, 10, 10, 50, 100, 100)
    assert (found.candidate, found.fallback) == (
        Version("v1.3.0", "def456"),
        Version("v1.2.0", "abc123"),
    )
    assert (found.auto_advance, found.kind, found.minute_ns, found.in_production) == (
        False, "release", MINUTE, True,
    )  # fmt: skip


def test_everything_can_be_said() -> None:
    found = wish(
        kind="emergency",
        test_accounts=[7],
        phases=phases(
            canary={
                "wall": "90m",
                "open_minutes": 5,
                "events": 6,
                "longest": "2d",
                "situations": ["reconnect"],
                "gates": ["errors"],
                "approvals": 2,
                "risk_cap": 33,
            }
        ),
        freezes=[
            {
                "begin": "2026-12-09T19:00:00Z",
                "end": "2026-12-09T21:00:00+01:00",
                "forbids": ["switch"],
                "reason": "FOMC",
                "accounts": [3],
                "counts": False,
            }
        ],
        gates=["tests"],
        approvals=1,
        older=[{"release": "v1.1.0", "commit": "abc000"}],
        auto_advance=True,
        minute="250ms",
        production=False,
        harmless=True,
    )

    canary = found.phases[1]
    assert canary.dwell == Dwell(wall_ns=90 * MINUTE, open_minutes=5, events=6, longest_ns=2 * DAY)
    assert (canary.situations, canary.gates, canary.approvals, found.caps[1]) == (
        ("reconnect",), ("errors",), 2, 33,
    )  # fmt: skip
    seven = 1_796_842_800_000_000_000
    assert found.freezes == (
        Freeze(
            begin=seven,
            end=seven + HOUR,
            forbids=("switch",),
            reason="FOMC",
            accounts=(3,),
            counts=False,
        ),
    )
    assert found.older == (Version("v1.1.0", "abc000"),)
    assert (found.tests, found.gates, found.approvals, found.kind) == (
        (7,), ("tests",), 1, "emergency",
    )  # fmt: skip
    assert (found.minute_ns, found.auto_advance, found.in_production, found.is_harmless) == (
        MINUTE // 240, True, False, True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("more", "what", "allowed"),
    [
        ({"gates": ["decisions", "errors"]}, "gates: 'decisions, errors'", "none where"),
        ({"events": 1}, "events: 1", "0 where"),
        (
            {"situations": ["session open", "reconnect"]},
            "situations: 'reconnect'",
            "session open, session close, daily reset, maintenance break where",
        ),
    ],
)
def test_what_two_releases_would_show_is_not_waited_for_where_a_configuration_goes_alone(
    more: dict[str, Any], what: str, allowed: str
) -> None:
    steps = phases(shadow=more)

    assert wrong(kind="configuration", phases=steps) == (
        f"phases[0].{what} is not allowed; allowed: {allowed} a configuration goes alone "
        "(nothing is compared: plan it by a file of its own)",
    )
    assert wish(phases=steps).kind == "release"


def test_a_configuration_alone_waits_for_the_calendar_and_nothing_else() -> None:
    situations = ("session open", "daily reset")
    canary = {"situations": list(situations)}
    found = wish(kind="configuration", phases=phases(canary=canary))

    assert [(one.gates, one.dwell.events) for one in found.phases] == [((), 0)] * 6
    assert found.phases[1].situations == situations


@pytest.mark.parametrize("percent", [0, 101, 7.5, -3, True, "ten", None])
def test_a_percentage_is_a_whole_number_up_to_a_hundred(percent: object) -> None:
    steps = phases()
    steps[2]["name"] = percent

    assert (
        f"phases[2].name (a percentage): {percent!r} is not allowed; "
        "allowed: a whole number from 1 to 100"
    ) in wrong(phases=steps)


@pytest.mark.parametrize("percent", [1, "1", 49, "49"])
def test_other_percentages_than_the_brief_s_are_watched_like_its_half(percent: object) -> None:
    steps = phases()
    steps[2]["name"] = percent
    found = wish(phases=steps)

    assert (found.phases[2].name, found.phases[2].dwell.wall_ns) == (str(percent), 48 * HOUR)


@pytest.mark.parametrize(
    "names",
    [
        ["canary", "10", "50", "100", "soak"],
        ["shadow", "10", "canary", "100", "soak"],
        ["shadow", "canary", "50", "10", "100", "soak"],
        ["shadow", "canary", "10", "10", "100", "soak"],
        ["shadow", "canary", "10", "50", "soak"],
        ["shadow", "canary", "10", "100"],
        [],
    ],
)
def test_phases_out_of_order_are_refused(names: list[str]) -> None:
    assert wrong(phases=[{"name": name} for name in names]) == (
        f"phases: {', '.join(names)!r} is not allowed; allowed: "
        "shadow, canary, growing percentages, 100, soak, in this order",
    )


def test_the_shortest_plan_goes_from_the_canary_to_all() -> None:
    found = wish(phases=[{"name": name} for name in ("shadow", "canary", 100, "soak")])

    assert [phase.name for phase in found.phases] == ["shadow", "canary", "100", "soak"]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"rollout": ""}, "rollout: '' is not allowed; allowed: a name"),
        ({"release": 3}, "release: 3 is not allowed; allowed: a name"),
        ({"kind": "big"}, "kind: 'big' is not allowed; allowed: release, configuration, emergency"),
        ({"kind": []}, "kind: [] is not allowed; allowed: release, configuration, emergency"),
        ({"auto_advance": "yes"}, "auto_advance: 'yes' is not allowed; allowed: true or false"),
        ({"approvals": 10}, "approvals: 10 is not allowed; allowed: a whole number from 0 to 9"),
        ({"approvals": -1}, "approvals: -1 is not allowed; allowed: a whole number from 0 to 9"),
        ({"gates": "tests"}, "gates: 'tests' is not allowed; allowed: a list"),
        ({"gates": [""]}, "gates[0]: '' is not allowed; allowed: a name"),
        (
            {"minute": "1w"},
            "minute: '1w' is not allowed; allowed: a number with ms, s, m, h or d, as 24h",
        ),
        (
            {"minute": 60},
            "minute: 60 is not allowed; allowed: a number with ms, s, m, h or d, as 24h",
        ),
    ],
)
def test_what_is_not_allowed_is_told_with_what_is(more: dict[str, Any], sentence: str) -> None:
    assert wrong(**more) == (sentence,)


def test_a_key_that_is_none_is_told_with_those_there_are() -> None:
    (sentence,) = wrong(realease="x")

    assert sentence.startswith("realease: 'x' is not allowed; allowed: no such key, but rollout,")
    (sentence,) = wrong(phases=phases(canary={"dwel": 1}))
    assert sentence.startswith("phases[1].dwel: 1 is not allowed; allowed: no such key, but name,")


def test_an_older_release_has_a_commit_too() -> None:
    assert wrong(older=[7])[0] == (
        "older[0]: 7 is not allowed; allowed: a table of keys and values"
    )
    assert wrong(older=[{"release": "v1"}]) == (
        "older[0].commit: None is not allowed; allowed: a name",
    )


def test_a_phase_that_may_not_last_as_long_as_it_must_is_refused() -> None:
    assert wrong(phases=phases(canary={"longest": "23h"})) == (
        "phases[1].longest: '23h' is not allowed; allowed: at least as long as wall",
    )
    assert wish(phases=phases(canary={"longest": "24h"})).phases[1].dwell.longest_ns == DAY


def test_a_situation_that_nobody_can_witness_is_refused() -> None:
    (sentence,) = wrong(phases=phases(canary={"situations": ["eclipse"]}))

    assert sentence.startswith(
        "phases[1].situations[0]: 'eclipse' is not allowed; allowed: session"
    )


@pytest.mark.parametrize("begin", ["yesterday", "2026-12-09T19:00:00", 7])
def test_an_instant_needs_its_zone(begin: object) -> None:
    found = wrong(freezes=[{"begin": begin, "end": "2026-12-09T21:00:00Z", "reason": "FOMC"}])

    assert found == (
        f"freezes[0].begin: {begin!r} is not allowed; "
        "allowed: a date and time with its zone, as 2026-12-09T19:00:00Z",
    )


def test_a_freeze_ends_after_it_begins_and_forbids_everything_unless_it_says_what() -> None:
    one = {"begin": "2026-12-09T19:00:00Z", "end": "2026-12-09T19:00:00Z", "reason": "FOMC"}
    assert wish(freezes=[one]).freezes[0].forbids == ("start", "promote", "switch")

    (sentence,) = wrong(freezes=[{**one, "end": "2026-12-09T18:59:59Z"}])

    assert sentence.endswith("allowed: an instant after its begin")


def test_a_plan_that_is_no_table_is_refused() -> None:
    found = read("phases")

    assert isinstance(found, Problems)
    assert found.sentences[0] == (
        "the plan: 'phases' is not allowed; allowed: a table of keys and values"
    )


def test_every_mistake_is_told_at_once() -> None:
    assert len(wrong(kind="big", approvals=99, gates=3)) == 3


def test_a_phase_of_the_brief_asks_the_gates_it_needs() -> None:
    found = {name: reading.default_phase(name).gates for name in NAMES}

    assert found["shadow"] == ("decisions",)
    assert found["100"] == ()
    assert set(found["canary"]) == set(reading.GATES)
    assert msgspec.structs.replace(reading.default_phase("10"), name="50", percent=50) == (
        reading.default_phase("50")
    )
