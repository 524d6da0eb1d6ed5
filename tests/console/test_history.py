"""A day of samples in files: kept over a restart, torn lines passed over, old ones let go."""

from pathlib import Path

import pytest

from risk_daemon.console import history
from risk_daemon.console.figures import Figures, Mark, Sample
from risk_daemon.console.history import HOUR_MS, Store

HOUR = 1_795_622_400_000 // HOUR_MS * HOUR_MS


def made(at: int) -> Sample:
    return Sample(
        at=at,
        rate=3.5,
        everyone=Figures(records=4, p95=1.25),
        processes={"journal": (21.5, None)},
        marks=(Mark(at, "phase", "entered canary"),),
    )


def test_a_sample_is_read_as_it_was_kept_by_another_run(tmp_path: Path) -> None:
    Store(tmp_path / "history").add(made(HOUR))
    assert Store(tmp_path / "history").read(HOUR, HOUR) == [made(HOUR)]


def test_a_stretch_of_time_is_read_over_the_hours_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for at in (HOUR - 10, HOUR + 10, HOUR + HOUR_MS + 10):
        store.add(made(at))

    found = store.read(HOUR, HOUR + 2 * HOUR_MS)

    assert [one.at for one in found] == [HOUR + 10, HOUR + HOUR_MS + 10]


def test_a_line_that_a_crash_has_torn_costs_itself_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.add(made(HOUR))
    path = tmp_path / history.name_of(HOUR)
    path.write_bytes(path.read_bytes() + b"\n" + history.line(made(HOUR + 1))[:40] + b"\xff")
    store.add(made(HOUR + 2))

    assert [one.at for one in store.read(HOUR, HOUR + 2)] == [HOUR, HOUR + 2]


def test_after_a_day_an_hour_is_let_go(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (tmp_path / "notes.txt").write_text("not ours")
    store.add(made(HOUR))
    store.add(made(HOUR + 24 * HOUR_MS))
    assert (tmp_path / history.name_of(HOUR)).exists()

    store.add(made(HOUR + 26 * HOUR_MS))

    kept = sorted(path.name for path in tmp_path.iterdir())
    wanted = [history.name_of(HOUR + hours * HOUR_MS) for hours in (24, 26)]
    assert kept == [*wanted, "notes.txt"]


@pytest.mark.parametrize("name", ["notes.txt", "2026-13-01T00.jsonl", "2020-01-01T00.json"])
def test_what_is_not_a_file_of_ours_is_never_over(name: str) -> None:
    assert not history.is_over(name, HOUR)


def test_nothing_kept_is_nothing_read(tmp_path: Path) -> None:
    assert Store(tmp_path / "none").read(HOUR, HOUR + HOUR_MS) == []
