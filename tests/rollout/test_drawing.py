"""The drawing in the documents is the table that the machine obeys."""

from pathlib import Path

from risk_daemon.rollout import row as rows
from risk_daemon.rollout.drawing import drawn

PAGE = Path(__file__).resolve().parents[2] / "docs" / "architecture" / "rollout.md"


def test_the_drawing_in_the_documents_is_fresh() -> None:
    assert f"```mermaid\n{drawn()}```\n" in PAGE.read_text()


def test_whatever_is_over_leads_nowhere() -> None:
    assert {before for before, _ in rows.TRANSITIONS}.isdisjoint(rows.ENDED)
    assert {after for _, after in rows.TRANSITIONS} >= set(rows.ENDED)


def test_from_every_stage_that_has_moved_anybody_a_way_back_leads() -> None:
    for stage in (rows.DRAFT, rows.GATED, rows.STAGED, rows.PHASE):
        assert (stage, rows.ABORTING) in rows.TRANSITIONS
    assert (rows.DONE, rows.ROLLING_BACK) in rows.TRANSITIONS
