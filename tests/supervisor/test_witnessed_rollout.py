"""What a phase must have lived through is seen when it happens; a declared difference is let be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from risk_daemon.operations.which_release import release
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import until
from tests.releases.test_shadow import OVER, RULE
from tests.supervisor.test_rollout import Scene
from tests.untraced import leave_children_untraced

leave_children_untraced()

OLD, DECLARES, SAME = release(), "v9.3.0", "v9.4.0"
CROWD = Crowd(1, 2)
FIRST = CROWD.accounts()[0]
#: The limit itself is too much: a rule, and what decides contract by contract with it.
MEANT = (
    "rules/declared.py",
    "DECLARED: Final[tuple[Declared, ...]] = ()",
    """DECLARED: Final[tuple[Declared, ...]] = tuple(
    Declared(
        name=f"{rule}-{field}", rule=rule, direction=STRICTER, field=field, cap_ppm=900_000,
        until=1 << 62, why="the limit itself is too much",
    )
    for rule, field in (
        ("max-contracts", "breach"),
        ("max-contracts", "lock"),
        ("max-contracts-per-instrument", "breach"),
    )
)""",
)
SITUATIONS = ("reconnect", "restart with equal state")
PLAN = """\
production: false
minute: 1s
gates: []
phases:
  - {name: shadow, wall: 1s, open_minutes: 0, events: 0, situations: [], gates: [decisions]}
  - {name: canary, wall: 1s, open_minutes: 0, events: 0, gates: [],
     situations: [reconnect, restart with equal state]}
  - {name: 100, wall: 1s, open_minutes: 0, events: 0, situations: [], gates: []}
  - {name: soak, wall: 1s, open_minutes: 0, events: 0, situations: [], gates: []}
"""


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with contextlib.ExitStack() as stack:
        gateway, daemon = open_all(stack, "witnessed", CROWD, 5, None)
        install(daemon.home, DECLARES, (RULE, OVER, OVER.replace(">", ">=")), MEANT)
        install(daemon.home, SAME)
        (daemon.home / "config" / "rollout.yaml").write_text(PLAN)
        daemon.start()
        hold(gateway, CROWD.accounts(), LIMIT)
        yield Scene(gateway, daemon)


def unseen(scene: Scene) -> set[str]:
    """What the present phase has still to live through."""
    (now,) = [one for one in scene.rollout()["phases"] if one["state"] == "now"]
    return set(now["unseen"])


def test_a_stricter_release_that_declares_it_passes_its_shadow(scene: Scene) -> None:
    scene.run("deploy", "plan", DECLARES, "--account", str(FIRST)).ok()
    scene.run("rollout", "approve", "start", "--by", "anna").ok()
    scene.run("rollout", "start").ok()

    # The limit itself is too much now: what tests a rule in the canary says that it does not work.
    until(lambda: scene.rollout()["stage"] == "aborted", 60, "the canary's look at the rule")

    assert "rules that do not work: max-contracts" in scene.rollout()["why"]
    report = scene.run("rollout", "history").ok().out
    assert "canary" in report
    assert scene.on() == dict.fromkeys(CROWD.accounts(), OLD)


def test_a_canary_lives_through_a_restart_and_a_reconnect_before_more_follow(scene: Scene) -> None:
    scene.run("deploy", "plan", SAME, "--account", str(FIRST)).ok()
    scene.run("rollout", "approve", "start", "--by", "anna").ok()
    scene.run("deploy", "canary", "--account", str(FIRST)).ok()
    assert unseen(scene) == set(SITUATIONS)
    early = scene.run("deploy", "percentage", "--percent", "100")
    assert (early.code, "not witnessed yet: reconnect" in early.err) == (3, True)

    scene.run("restart").ok()

    until(lambda: not unseen(scene), 60, "both to be seen")
    scene.run("deploy", "percentage", "--percent", "100").ok()
    assert set(scene.on().values()) == {SAME}
