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
    for command in ("demo", "test", "check", "bench", "audit", "crash", "mutate", "run"):
        assert f"\n  {command} " in listed.stdout
    wrong = run("tset")
    assert wrong.returncode == 2
    assert "there is no command 'tset'" in wrong.stderr


def test_every_test_is_in_one_share_and_in_one_only() -> None:
    dev = runpy.run_path(str(DEV))
    shares = [share for shares, _ in dev["ROUNDS"] for share in shares]
    tests = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("test_*.py")}

    run = [name for share in shares for name in collected(dev["paths_of"](share), tests)]

    assert sorted(run) == sorted(tests)
    assert all((ROOT / "tests" / name).exists() for share in shares for name in share)


def collected(words: list[str], tests: set[str]) -> set[str]:
    """Name the test files that pytest finds for these words."""
    ignored = [word.partition("=")[2] for word in words if word.startswith("--ignore=")]
    paths = [word for word in words if not word.startswith("--")] or ["tests"]
    return {
        name
        for name in tests
        if any(f"{name}/".startswith(f"{path}/") for path in paths)
        and not any(f"{name}/".startswith(f"{path}/") for path in ignored)
    }
