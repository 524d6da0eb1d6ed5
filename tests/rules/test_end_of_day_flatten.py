"""The vectors of `end-of-day-flatten`, each played long and short."""

from __future__ import annotations

import pytest

from risk_daemon.worker.script import play
from risk_daemon.worker.tables import Vector, vectors_of


@pytest.mark.parametrize("mirrored", [False, True], ids=["long", "short"])
@pytest.mark.parametrize("vector", vectors_of("end-of-day-flatten"), ids=str)
def test_each_vector_asks_for_what_it_says(vector: Vector, mirrored: bool) -> None:
    for line, expected, came in play("end-of-day-flatten", vector.table, mirrored=mirrored):
        assert came == expected, line
