"""The page of budgets is what `./dev bench` compares with; it cannot drift from the program."""

from pathlib import Path

from tests.bench.figures import Sample, budgets, exceeded, page_of, table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architecture" / "performance.md"
FOUND = {"a thing": Sample("ms", [1.0, 2.0, 9.0]), "another / a thing": Sample("x", [0.5])}


def test_what_is_written_is_three_times_the_median_and_read_back(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(page_of(FOUND, "2026-11-26", "2 cores"))

    assert budgets(page) == {"a thing": 6.0, "another / a thing": 1.5}
    assert exceeded(FOUND, budgets(page)) == []


def test_a_median_over_its_budget_and_a_figure_without_one_are_named() -> None:
    over = exceeded(FOUND, {"a thing": 1.9})

    assert over == [
        "a thing: 2.000 ms, the budget is 1.9",
        "another / a thing: no budget is written; run `./dev bench --write`",
    ]
    assert [line for line in table(FOUND, {"a thing": 1.9}) if line.endswith("EXCEEDED")]


def test_what_the_host_takes_is_shown_and_never_judged(tmp_path: Path) -> None:
    page, found = tmp_path / "performance.md", {"flush": Sample("ms", [9.0])}
    page.write_text(page_of(found, "2026-11-26", "2 cores"))

    assert "| flush | ms | 9.000 | 9.000 | none |" in page.read_text()
    assert budgets(page) == {}
    assert exceeded(found, {}) == []


def test_without_a_page_there_is_no_budget(tmp_path: Path) -> None:
    assert budgets(tmp_path / "none.md") == {}


def test_the_page_has_budgets_for_every_kind_of_figure() -> None:
    names = set(budgets(PAGE))

    assert {"decode an order", "append to subscriber", "intend, durable"} <= names
    assert {"quote, 100 accounts / 1", "close, SDK / bare", "breach to close"} <= names
