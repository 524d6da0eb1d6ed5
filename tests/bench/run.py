"""`./dev bench`: the budgets of the hot path, measured; exit 1 when one is exceeded."""

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench import hot, processes  # noqa: E402  this file is run, not imported
from tests.bench.figures import FLOORS, budgets, exceeded, host, page_of, table  # noqa: E402

PAGE = ROOT / "docs" / "architecture" / "performance.md"


def main() -> int:
    """Measure, print, and compare; 1 when a budget is exceeded or missing."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument(
        "what", nargs="?", choices=("all", "core"), default="all", help="core: one process only"
    )
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.name}: new budgets")
    parser.add_argument("--json", action="store_true", help="the figures on the last line")
    parser.add_argument("--figures", type=Path, help="also write them to a file, for the evidence")
    args = parser.parse_args()
    if args.write and args.what != "all":
        parser.error("--write needs every figure; leave out `core`")
    os.environ["NO_PROXY"] = "127.0.0.1,localhost"

    def say(what: str) -> None:
        print(f"bench: {what} ...", file=sys.stderr, flush=True)

    say("hot path")
    found = hot.measure()
    if args.what == "all":
        found |= processes.measure(say)
    if args.write:
        written = datetime.now(UTC).strftime("%Y-%m-%d")
        PAGE.write_text(page_of(found, written, host()))
    limits = budgets(PAGE)
    print("\n".join(table(found, limits)))
    over = exceeded(found, limits)
    for line in over:
        print(f"bench: {line}", file=sys.stderr)
    figures = {
        name: {
            "unit": one.unit,
            "median": round(one.median, 4),
            "p99": round(one.quantile(0.99), 4),
            "n": len(one.values),
            "budget": limits.get(name),
            "judged": name not in FLOORS,
        }
        for name, one in found.items()
    }
    # A part of the figures, or new budgets for what was just measured, show nothing.
    if args.figures and args.what == "all" and not args.write:
        args.figures.write_text(json.dumps(figures))
    if args.json:
        print(json.dumps({"ok": not over, "exceeded": over, "figures": figures}))
    return int(bool(over))


if __name__ == "__main__":
    sys.exit(main())
