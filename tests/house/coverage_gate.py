"""Hold the branch coverage that pyproject's `[tool.house]` asks for; run by `./dev test`."""

import sys
import tomllib
from pathlib import Path

import coverage
from coverage.exceptions import CoverageException

ROOT = Path(__file__).resolve().parents[2]
ROOM = ROOT / "src" / "risk_daemon"
XML = ROOT / ".dev" / "coverage" / "all.xml"


def main() -> int:
    """Print both figures; 1 when one is too low."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["house"]
    measured = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    measured.load()
    try:
        overall = measured.xml_report(include=[f"{ROOM}/*"], outfile=str(XML))
        deciders = [f"{ROOM}/{name}" for name in wanted["coverage_full"]]
        full = measured.report(include=deciders, skip_covered=True, show_missing=True)
    except CoverageException as error:
        print(f"coverage: {error}", file=sys.stderr)
        return 1
    print(
        f"coverage: {overall:.1f} % of all branches (asked: {wanted['coverage_overall']} %), ",
        end="",
    )
    print(f"{full:.2f} % of the deciders' (asked: 100 %)")
    return int(overall < wanted["coverage_overall"] or full < 100)


if __name__ == "__main__":
    sys.exit(main())
