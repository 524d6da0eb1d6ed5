"""`./dev` runs on whatever Python is there, and says what it can do."""

import ast
import runpy
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEV = ROOT / "dev"


def test_it_parses_on_python_3_8_and_imports_the_standard_library_only() -> None:
    tree = ast.parse(DEV.read_text(), feature_version=(3, 8))

    names = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert names <= set(sys.stdlib_module_names)


def test_alone_it_lists_its_commands_and_a_wrong_one_is_refused() -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(DEV), *words], capture_output=True, text=True, check=False
        )

    listed = run()
    assert listed.returncode == 0
    for command in ("demo", "test", "check", "bench", "crash", "mutate", "run"):
        assert f"\n  {command} " in listed.stdout
    wrong = run("tset")
    assert wrong.returncode == 2
    assert "there is no command 'tset'" in wrong.stderr


def test_every_share_of_the_tests_is_there_and_none_is_run_twice() -> None:
    dev = runpy.run_path(str(DEV))
    named = [folder for share in dev["SHARES"] for folder in share] + [*dev["ALONE"]]

    assert [folder for folder in named if not (ROOT / "tests" / folder).is_dir()] == []
    assert len(set(named)) == len(named)
    assert dev["SHARES"].count(()) == 1
