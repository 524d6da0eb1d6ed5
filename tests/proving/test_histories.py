"""The protocol in virtual time: what must hold does, and each defence is missed when it is out."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from risk_daemon.errors import OperatorError
from risk_daemon.programs.proving import digest, main, table
from risk_daemon.proving import runs
from risk_daemon.proving.chance import Fault
from risk_daemon.proving.pace import pace_of
from risk_daemon.proving.runs import play
from risk_daemon.proving.scenes import SCENES
from risk_daemon.proving.without import DEFENCES
from risk_daemon.proving.world import Plan, World

TAPES = sorted((Path(__file__).parent / "tapes").glob("*.json"))
SEEDS = 25
#: A seed that notices the missing defence (`./dev sim --defences` finds others).
NOTICED = {
    "durable-before-send": "S4",
    "flush-before-answer": "S6",
}
POINTS_EVERY = 300


def unheard(done: int, failed: int) -> None:
    del done, failed


def test_nothing_is_broken_in_some_histories() -> None:
    plans = [Plan(seed=seed, pace=pace_of(seed)) for seed in range(SEEDS)]
    found = runs.many(plans, 1, unheard)

    assert [(one.plan.seed, one.broken) for one in found.failures] == []
    assert sum(found.faults.values()) > 20 * SEEDS


def test_one_history_in_ten_is_crowded() -> None:
    paces = [pace_of(seed) for seed in range(20)]

    assert (paces.count("crowded"), paces.count("quick")) == (2, 18)


def test_there_are_thirty_scenes_and_none_is_broken_by_itself() -> None:
    assert len(SCENES) >= 30
    assert [name for name in SCENES if play(Plan(seed=0, scene=name, tape=())).broken] == []


@pytest.mark.parametrize(
    ("scene", "locked"), [("wild-quote", []), ("wild-quote-that-stands", ["daily-combined-loss"])]
)
def test_a_quote_that_is_far_off_counts_when_it_stands(scene: str, locked: list[str]) -> None:
    world = World(Plan(seed=0, scene=scene, tape=())).run()

    assert [lock.rule for lock in world.judge.standing.locks.get(102, {}).values()] == locked


def test_a_crash_at_some_effects_of_each_scene_breaks_nothing() -> None:
    plans = runs.crash_plans(every=POINTS_EVERY)
    found = runs.many(plans, 1, unheard)

    assert [(one.plan.scene, one.tape, one.broken) for one in found.failures] == []
    assert found.faults["killed"] > len(plans) // 2


@pytest.mark.parametrize("path", TAPES, ids=lambda path: path.stem)
def test_what_was_found_once_is_not_broken_any_more(path: Path) -> None:
    tape = runs.read_tape(path)

    assert tape.broken
    assert play(tape.plan).broken == ""


@pytest.mark.parametrize(("name", "which"), sorted(NOTICED.items()))
def test_a_defence_that_is_left_out_is_missed(name: str, which: str) -> None:
    assert name in DEFENCES
    broken = [play(Plan(seed=seed, off=frozenset({name}))).which for seed in range(4)]

    assert which in broken


def test_a_defence_that_no_history_misses_is_told() -> None:
    assert runs.unnoticed({"a": "noticed at seed 1 alone", "b": "not noticed in 9 seeds"}) == ["b"]


def test_a_failure_is_made_small_and_written_to_be_played_again(tmp_path: Path) -> None:
    off = frozenset({"durable-before-send"})
    failure = next(
        one for seed in range(9) if (one := play(Plan(seed=seed, off=off))).which == "S4"
    )

    small = runs.shrink(failure, tries=40)
    tape = runs.read_tape(runs.write_tape(tmp_path, small))

    assert small.which == "S4"
    assert len(small.tape) < len(failure.tape)
    assert play(tape.plan).broken == small.broken


def test_a_fault_that_cannot_come_where_a_tape_has_it_does_not() -> None:
    tape = tuple(Fault(point, "no-such-trouble") for point in range(1, 2_000))
    played = play(Plan(seed=5, tape=tape))

    assert (played.broken, played.faults) == ("", {})


def test_a_tape_of_another_format_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "tape.json"
    tape = runs.Tape(format=9, broken="S1: x", plan=Plan(seed=1))
    path.write_bytes(msgspec.json.encode(tape))

    with pytest.raises(OperatorError, match="has format 9, this simulator plays 2"):
        runs.read_tape(path)
    with pytest.raises(OperatorError, match="can't be read"):
        runs.read_tape(tmp_path / "none.json")


def test_the_same_seed_is_the_same_history_in_every_process() -> None:
    mine = digest(play(Plan(seed=7, is_traced=True)))
    code = (
        "from risk_daemon.programs.proving import digest\n"
        "from risk_daemon.proving.runs import play\n"
        "from risk_daemon.proving.world import Plan\n"
        "print(digest(play(Plan(seed=7, is_traced=True))))"
    )
    told = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]

    assert told == [mine, mine]


def test_a_trace_names_the_seed_the_faults_and_the_verdict() -> None:
    lines = table(play(Plan(seed=3, is_traced=True)))

    assert lines[0].startswith("seed 3: ")
    assert any("FAULT" in line for line in lines)
    assert lines[-1] == "nothing is broken"


def test_the_command_tells_a_verdict_on_its_last_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "2", "--cores", "1", "--json"]) == 0
    last = capsys.readouterr().out.splitlines()[-1]

    assert msgspec.json.decode(last)["violations"] == 0


def test_the_command_fails_when_something_is_broken(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "0", "--without", "flush-before-answer", "--trace"]) == 1
    assert "S6" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--seeds", "0"], "--seeds 0 is out of range; 1 to 10000000"),
        (["--every", "0"], "--every 0 is out of range"),
        (["--without", "luck"], "--without luck is no defence; known are compare-and-set"),
        (["--tapes", "nowhere/at/all"], "--tapes nowhere/at/all is no folder; make it first"),
    ],
)
def test_bad_input_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    told = capsys.readouterr().err

    assert told.startswith("sim: ")
    assert sentence in told
    assert told.count("\n") == 1
