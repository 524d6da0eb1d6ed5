"""While a program loads nothing is collected; as soon as it works Python collects as usual."""

import subprocess
import sys
from pathlib import Path

BEGINS = "import sys; sys.argv[0] = '-m'; import gc; usual = gc.get_threshold()\n"
COLLECTS = "print(gc.get_threshold() == usual, gc.get_threshold()[0] > 100_000)\n"


def said(code: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_a_program_that_begins_puts_collecting_off() -> None:
    assert said(f"{BEGINS}import risk_daemon.programs\n{COLLECTS}") == ["False True"]


def test_who_only_looks_at_a_program_collects_as_usual() -> None:
    looks = BEGINS.replace("-m", "pytest")

    assert said(f"{looks}import risk_daemon.programs.journal\n{COLLECTS}") == ["True False"]


def test_a_program_at_work_collects_as_usual_and_leaves_what_was_loaded_alone(
    tmp_path: Path,
) -> None:
    works = (
        "from risk_daemon.programs import process\nfrom pathlib import Path\n"
        f"def serve():\n    {COLLECTS}    print(gc.get_freeze_count() > 1000)\n    return 0\n"
        f"process.run('any', Path({str(tmp_path)!r}), serve)\n"
    )

    assert said(f"{BEGINS}{works}") == ["True False", "True"]
