"""An unmodified program on the SDK trades, and sees after every step what a table says."""

import asyncio
from pathlib import Path

from tests.conformance.sdk_program import SCENARIO, run
from tests.sim.gateway_process import running


def test_a_program_on_the_sdk_sees_what_the_table_says(tmp_path: Path) -> None:
    config = tmp_path / "sdk.yaml"
    config.write_text(SCENARIO)

    with running(config) as gateway:
        assert asyncio.run(run(gateway)) == 1
