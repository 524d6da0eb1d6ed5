"""`./dev sim` as a process: what it started ends when it does, however that comes."""

import subprocess
import sys

import psutil
import pytest

from tests.sim.gateway_process import until

PATIENCE_S = 30.0
#: More histories than are played before the deadline; one defence takes as long as many of them.
LONG = (["--seeds", "100000"], ["--seeds", "1", "--defences", "--defence-seeds", "100000"])


def players(sim: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The processes that play, once both are there and have something to do."""
    found = [
        one
        for one in psutil.Process(sim.pid).children()
        if "spawn_main" in " ".join(one.cmdline()) and one.cpu_times().user > 1.0
    ]
    return found if len(found) == 2 else []


@pytest.mark.parametrize("words", LONG, ids=("histories", "defences"))
@pytest.mark.parametrize("end", ["kill", "terminate"])
def test_who_plays_ends_with_who_asked(words: list[str], end: str) -> None:
    command = [sys.executable, "-m", "risk_daemon.programs.proving", "--cores", "2", *words]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sim:
        try:
            playing = until(lambda: players(sim), PATIENCE_S)
            getattr(sim, end)()
            sim.wait(PATIENCE_S)
        finally:
            sim.kill()

    gone, alive = psutil.wait_procs(playing, PATIENCE_S)
    for one in alive:
        one.kill()

    assert len(gone) == 2
    assert alive == []
