"""Hold the branch coverage that pyproject's `[tool.house]` asks for; run by `./dev test`."""

import sys
import tomllib
from pathlib import Path

import coverage
from coverage.exceptions import CoverageException

ROOT = Path(__file__).resolve().parents[2]
ROOM = ROOT / "src" / "risk_daemon"


def percent(measured: coverage.Coverage, patterns: list[str], *, show: bool) -> float:
    """Branch coverage of the files that match, with the missing lines of those below 100 %."""
    report = measured.report if show else measured.xml_report
    if show:
        return float(report(include=patterns, skip_covered=True, show_missing=True))
    return float(report(include=patterns, outfile=str(ROOT / ".dev" / "coverage" / "all.xml")))


def main() -> int:
    """Print both figures; 1 when one is too low."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["house"]
    measured = coverage.Coverage(config_file=str(ROOT / "pyproject.toml"))
    measured.load()
    try:
        overall = percent(measured, [f"{ROOM}/*"], show=False)
        full = percent(measured, [f"{ROOM}/{name}" for name in wanted["coverage_full"]], show=True)
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
