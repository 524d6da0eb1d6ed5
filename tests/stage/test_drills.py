"""Disaster drills: two of them for real with a small state, how they are judged, and their page."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from risk_daemon.core.events import FeedChanged
from risk_daemon.errors import OperatorError, UsageError
from risk_daemon.operations import home
from risk_daemon.operations.home import Home
from risk_daemon.operations.running import drilling
from risk_daemon.operations.stored import entries
from risk_daemon.stage import brief, drill_book
from risk_daemon.stage.crowd import Crowd
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.drill_book import DRILLS, Drill, Half, chosen, judge, verdict
from risk_daemon.stage.drill_page import BEGIN, END, PAGE, written
from risk_daemon.stage.drills import PLAYS, Drills, first_answer
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.waiting import until
from risk_daemon.wire.heart import LINK_IS_DOWN
from tests.untraced import leave_children_untraced

leave_children_untraced()

ROOT = Path(__file__).resolve().parents[2]
BOOK = {drill.name: drill for drill in DRILLS}
TODAY = dt.date(2026, 11, 27)
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Which drills type the commands of which section of the document.
SECTIONS = {
    "1": ("crash",),
    "2": ("disconnect",),
    "3": ("config",),
    "4": ("database", "restore"),
    "5": ("disk",),
}
ANY = Drill(name="any", broken="it", budget_s=100.0, lines=())


# --- for real ---------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_after_a_crash_and_a_broken_configuration_the_breach_is_answered_and_all_is_whole() -> None:
    drills = Drills(lambda *_: None, size_mb=0, stayed_up_s=0.0)

    told = drills.run((BOOK["crash"], BOOK["config"]))

    assert [(row["name"], row["problem"]) for row in told["drills"]] == [
        ("crash", ""),
        ("config", ""),
    ]
    assert told["ok"]
    for one in told["drills"]:
        assert 0 < one["seconds"] <= one["budget_s"] / 10
        assert [typed["line"] for typed in one["typed"]] == lines_of(one["name"])


def test_a_new_supervisor_says_of_every_login_that_it_is_blind_before_the_first_link_begins(
    tmp_path: Path,
) -> None:
    crowd = Crowd(logins=4, each=1)
    with contextlib.ExitStack() as stack:
        _, daemon = open_all(stack, "blind", crowd, 5, tmp_path)
        daemon.start()
        daemon.kill_all()
        until(lambda: not daemon.processes(), 20.0, "everything to be gone")
        before = len(feeds_of(daemon))

        daemon.run("start").ok()
        right_after = daemon.run("reconcile-state")

    assert right_after.code == 0, right_after.out + right_after.err
    first = feeds_of(daemon)[before : before + crowd.logins]
    assert {one.login for one in first} == {crowd.login(number) for number in range(crowd.logins)}
    assert {(one.state, one.why) for one in first} == {("blind", LINK_IS_DOWN)}


def feeds_of(daemon: Daemon) -> list[FeedChanged]:
    found = entries(daemon.home / "state" / "journal.db", ("feed-changed",))
    return [entry.fact for entry in found if isinstance(entry.fact, FeedChanged)]


# --- the command ------------------------------------------------------------------------


def admin(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "risk_daemon.programs.admin", *words, "--home", str(home)],
        capture_output=True,
        text=True,
        check=False,
    )


def a_home(folder: Path, environment: str) -> Path:
    at = Home(folder / environment)
    home.create(at, environment, "2026-11-27T00:00:00Z", "environment")
    return at.path


def test_no_drill_is_played_where_a_production_home_is_chosen(tmp_path: Path) -> None:
    said = admin(a_home(tmp_path, "production"), "drill", "crash", "--json")

    assert said.returncode == 3
    error = json.loads(said.stdout)["error"]
    assert error["code"] == 3
    assert "is a production home, and a drill kills, fills and overwrites" in error["message"]
    assert "--scratch" in error["message"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("drill", "flood"), "there is no drill 'flood'; there are crash, disconnect, config"),
        (("drill", "crash", "--mb", "-1"), "--mb is -1; allowed is 0 to 5000"),
    ],
)
def test_a_drill_that_there_is_not_is_refused(
    tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    said = admin(a_home(tmp_path, "staging"), *words)

    assert said.returncode == 2
    assert sentence in said.stderr


def row(**changed: Any) -> dict[str, Any]:
    return judge(ANY, [Half(answered_s=2.0, healthy_s=3.0)]) | changed


def test_the_command_says_what_the_play_came_to() -> None:
    played = verdict([row(), row(name="other", ok=False, problem="it burns")])

    told = drilling.outcome(1, f"noise\n{json.dumps(played)}\n")

    assert told.exit_code == 1
    assert told.lines == (
        "any: breach answered after 2 s of 100; by hand 0 s of 100",
        "other: NOT ok: it burns",
    )
    assert drilling.outcome(0, json.dumps(verdict([row()]))).ok


@pytest.mark.parametrize("out", ["", "not JSON", "{}", "[1]"])
def test_a_play_that_says_nothing_has_failed(out: str) -> None:
    with pytest.raises(OperatorError, match="ended with 7 and said nothing"):
        drilling.outcome(7, out)


# --- judged -----------------------------------------------------------------------------


def test_within_a_tenth_is_ok_and_a_moment_later_is_not() -> None:
    assert judge(ANY, [Half(answered_s=10.0)])["ok"]

    late = judge(ANY, [Half(answered_s=10.1)])

    assert (late["ok"], late["problem"]) == (
        False,
        "the breach was answered after 10.1 s, promised 10",
    )


def test_the_slowest_half_counts_also_one_that_is_mended_by_hand() -> None:
    by_hand = Half(answered_s=9.0, healthy_s=40.0, typed_s=41.0, typed=({"line": "x"},))

    told = judge(ANY, [Half(answered_s=1.0), by_hand])

    assert (told["ok"], told["seconds"], told["by_hand_s"]) == (True, 9.0, 41.0)
    assert told["healthy_s"] == 40.0


def test_what_is_typed_may_take_all_of_the_time_and_no_more() -> None:
    typed = ({"line": "x"},)

    assert judge(ANY, [Half(typed_s=100.0, typed=typed)])["ok"]
    late = judge(ANY, [Half(typed_s=100.1, typed=typed)])

    assert late["problem"] == "by hand it took 100.1 s, allowed 100"


def test_a_manual_half_with_a_time_of_its_own_is_held_against_that() -> None:
    crash = msgspec.structs.replace(ANY, by_hand_budget_s=600.0)
    typed = ({"line": "x"},)

    told = judge(crash, [Half(answered_s=1.0), Half(answered_s=50.0, typed_s=60.0, typed=typed)])
    late = judge(crash, [Half(answered_s=1.0), Half(answered_s=50.0, typed_s=60.1, typed=typed)])

    assert (told["ok"], told["seconds"], told["by_hand_answered_s"]) == (True, 1.0, 50.0)
    assert late["problem"] == "by hand it took 60.1 s, allowed 60"


def test_a_line_that_ended_wrongly_is_a_problem_whatever_the_time() -> None:
    told = judge(ANY, [Half(answered_s=1.0, problems=("`x` ended with 1",))])

    assert (told["ok"], told["problem"]) == (False, "`x` ended with 1")


def test_a_drill_that_was_not_played_is_not_ok() -> None:
    assert not judge(ANY, [])["ok"]
    assert drill_book.failed(ANY, "no gateway")["problem"] == "no gateway"
    assert not verdict([])["ok"]


def test_people_read_each_drill_and_what_is_wrong() -> None:
    told = drill_book.in_words(verdict([row(), row(ok=False, problem="it burns")]))

    assert told[0] == ("any        ok     breach answered after 2.0 s of 100; by hand 0.0 s of 100")
    assert "problem: any: it burns" in told
    assert told[-1] == "verdict: NOT ok"
    assert drill_book.in_words(verdict([row()]))[-1] == "verdict: ok"


def request(**changed: Any) -> dict[str, Any]:
    close = "/Position/partialCloseContract"
    return {"account": 1, "path": close, "mono_ms": 1_500.0, "status": 200, "code": 0} | changed


def test_the_answer_is_the_first_close_of_the_account_that_was_taken() -> None:
    rows = [
        request(mono_ms=900.0),
        request(mono_ms=1_100.0, status=503, code=None),
        request(mono_ms=1_200.0, code=5),
        request(mono_ms=1_300.0, account=2),
        request(mono_ms=1_400.0, path="/Order/cancel"),
        request(mono_ms=1_700.0),
        request(),
    ]

    assert first_answer(rows, 1, 1_000.0) == 500.0
    assert first_answer(rows[:5], 1, 1_000.0) == 0.0


# --- what is typed ----------------------------------------------------------------------


def test_the_drills_are_those_of_the_command() -> None:
    assert tuple(BOOK) == drilling.NAMES == tuple(PLAYS)
    assert chosen("all") == DRILLS
    assert chosen("disk") == (BOOK["disk"],)


def test_a_line_is_typed_as_it_stands_but_for_what_it_stands_for() -> None:
    stands_for = {"FILE": "/backups/one.zip", "v1.2.0": "v0.1.0"}

    assert drill_book.words_of("risk-daemon-admin restore --backup-file FILE", stands_for) == [
        "restore",
        "--backup-file",
        "/backups/one.zip",
    ]
    assert drill_book.words_of('./scripts/send_alert.sh "Back to v1.2.0"', stands_for) == [
        "alert",
        "send",
        "Back to v0.1.0",
    ]


@pytest.mark.parametrize(("script", "words"), drill_book.SCRIPTS.items())
def test_a_script_passes_on_what_the_drill_types(script: str, words: tuple[str, ...]) -> None:
    line = (ROOT / script).read_text().splitlines()[1]

    assert line == f'exec risk-daemon-admin {" ".join(words)} "$@"'


def typed_in(text: str) -> list[str]:
    """The lines of every block of commands in a text, without what is said beside them."""
    lines = [line for block in BLOCK.findall(text) for line in block.splitlines()]
    return [re.sub(r"\s+# .*$", "", line) for line in lines]


def lines_of(*drills: str) -> list[str]:
    return [line.text for name in drills for line in BOOK[name].lines]


@pytest.mark.parametrize("section", SECTIONS)
def test_every_command_of_a_section_is_typed_by_its_drill_in_its_order(section: str) -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    mine = next(one for one in text.split("\n## ") if one.startswith(f"{section}. "))
    first = [line.text for line in drill_book.FIRST_LOOK] if section == "1" else []

    assert [*first, *typed_in(mine)] == lines_of(*SECTIONS[section])


def test_what_is_looked_at_first_is_typed_and_the_rest_is_the_proofs() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    emergency = {line.text for chapter in brief.EMERGENCY for line in chapter.lines}
    head, *sections = text.split("\n## ")
    override = next(one for one in sections if one.startswith("Manual override"))

    looked = [line.text for line in drill_book.FIRST_LOOK]
    assert [line for line in typed_in(head) if line not in emergency] == looked
    assert set(typed_in(override)) - emergency == {"risk-daemon-admin start"}


def test_the_steps_of_a_rollback_are_those_of_its_page() -> None:
    text = (ROOT / "docs/deployment/rollback_procedure.md").read_text(encoding="utf-8")
    steps = "\n## ".join(one for one in text.split("\n## ") if one.startswith("Step "))

    assert typed_in(steps) == lines_of("rollback")


# --- the page ---------------------------------------------------------------------------


def rows_of(page: str) -> dict[str, str]:
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    return {row.split("|")[1].strip(): row for row in rows[1:]}


def test_the_page_shows_each_drill_between_its_marks_and_is_else_as_it_was() -> None:
    half = Half(answered_s=1.26, typed_s=7.0, typed=({"line": "x"},))
    told = verdict([judge(drill, [Half(answered_s=1.26), half]) for drill in DRILLS], size_mb=204.8)

    page = written(f"before\n{BEGIN}old figures\n{END}after\n", told, TODAY)

    assert page.startswith(f"before\n{BEGIN}| drill |")
    assert page.endswith(f"{END}after\n")
    assert "old figures" not in page
    assert list(rows_of(page)) == list(BOOK)
    for drill in DRILLS:
        begins = f"| {drill.name} | {drill.broken} | 1.3 s | {drill.budget_s / 10:g} s |"
        assert rows_of(page)[drill.name].startswith(begins)
    assert rows_of(page)["disk"].endswith(
        "| 300 s (the crash's: the brief has none of its own) | 7.0 s | 300 s"
        " | 2026-11-27, 204.8 MB |"
    )
    assert rows_of(page)["crash"].endswith("| 300 s | 7.0 s | 180 s | 2026-11-27, 204.8 MB |")
    assert written(page, told, TODAY) == page


def test_a_single_drill_replaces_its_own_row_only() -> None:
    first = verdict([judge(drill, [Half(answered_s=1.0)]) for drill in DRILLS], size_mb=200.0)
    page = written(BEGIN + END, first, TODAY)
    again = verdict([judge(BOOK["disk"], [Half(answered_s=2.0)])], size_mb=201.0)

    changed = rows_of(written(page, again, dt.date(2026, 12, 1)))

    assert "| 2.0 s |" in changed["disk"]
    assert changed["disk"].endswith("| 2026-12-01, 201 MB |")
    assert changed | {"disk": ""} == rows_of(page) | {"disk": ""}
    assert list(changed) == list(BOOK)


def test_a_drill_that_is_not_ok_says_why_on_the_page() -> None:
    late = judge(BOOK["disk"], [Half(answered_s=31.0)])

    page = written(BEGIN + END, verdict([late], size_mb=1.0), TODAY)

    assert "| **the breach was answered after 31.0 s, promised 30** |" in page


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(UsageError, match="has no place between"):
        written("nothing\n", verdict([row()], size_mb=1.0), TODAY)


def test_the_page_that_is_here_has_the_figures_of_every_drill() -> None:
    text = (ROOT / PAGE).read_text(encoding="utf-8")

    missing = [drill.name for drill in DRILLS if f"| {drill.name} | {drill.broken} |" not in text]
    assert missing == [], "measure it with `./dev drill NAME --write`"
