"""A small scenario, and a gateway that runs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.gateway_process import Gateway, running

SCENARIO = """
seed: 3
offset_s: -691200.0
profile: calm
traders: false
logins:
  - user: north
    api_key: north-key-0001
    accounts:
      - {id: 9000000101, name: N-1, balance: "50000.00", style: oversizer}
      - {id: 9000000102, name: N-2, balance: "50000.00", style: calm}
  - user: south
    api_key: south-key-0002
    accounts:
      - {id: 9000000201, name: S-1, balance: "50000.00", style: calm}
limits:
  default: {max_contracts: 5, daily_realized_loss: "400.00"}
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    """The small scenario as a file."""
    path = tmp_path / "scenario.yaml"
    path.write_text(SCENARIO)
    return path


@pytest.fixture
def gateway(scenario: Path) -> Iterator[Gateway]:
    """The small scenario, running."""
    with running(scenario) as gateway:
        yield gateway
