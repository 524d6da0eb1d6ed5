"""The program: its command line, its refusals, its exit codes."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from tests.sim.gateway_process import Gateway, running, until

ACCOUNT = 9000000101
MNQ = "CON.F.US.MNQ.Z26"


def test_a_bad_configuration_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("logins: [{user: a, api_key: short, accounts: [{id: 1}]}]")
    done = subprocess.run(
        [sys.executable, "-m", "risk_daemon.programs.simgate", "run", "--config", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "bad.yaml: logins[0].api_key is 'short'; allowed is" in done.stderr


def test_a_port_in_use_is_one_sentence_and_exit_code_1(gateway: Gateway, scenario: Path) -> None:
    command = [sys.executable, "-m", "risk_daemon.programs.simgate", "run"]
    command += ["--config", str(scenario), "--port", str(gateway.port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert f"port {gateway.port} on 127.0.0.1 can't be used" in done.stderr
    assert done.stderr.count("\n") == 1


def test_seed_and_offset_of_the_command_line_win_and_the_log_tells_what_happened(
    scenario: Path, tmp_path: Path
) -> None:
    log = tmp_path / "simgate.log"
    with running(scenario, "--seed", "99", "--offset-s", "0", "--log", str(log)) as gateway:
        assert gateway.control("/verdict")["seed"] == 99
        assert gateway.control("/truth")["at"][:10] == datetime.now(UTC).date().isoformat()
        wish = {"account": ACCOUNT, "contract": "MNQ", "side": "buy", "size": 9}
        gateway.control("/order", wish)
        until(lambda: "9 contracts held, limit 5" in log.read_text())
