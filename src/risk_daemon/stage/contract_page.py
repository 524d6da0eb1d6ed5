"""`docs/deployment/contract.md`: every line of a deployment, what it means, and what it took."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from risk_daemon.stage import brief
from risk_daemon.stage.brief import Chapter, Line

PAGE: Final = Path("docs") / "deployment" / "contract.md"
CHAPTERS: Final = (*brief.BEFORE, *brief.DEPLOYMENT, *brief.ROLLBACK, *brief.EMERGENCY)
HEAD: Final = """\
# The lines of a deployment, and what each must do

Every line works exactly as it is written here, unattended, from a checkout or an installed home, on
the home that `RISK_DAEMON_HOME` names. `./dev proof` types all of them into a shell, in this order,
on twenty accounts of four logins at the simulated gateway, with two releases that really differ,
and judges each by what it did: at the gateway, in the journal, by the processes themselves, never
by what it said.

Exit codes: 0 done and verified · 1 failed, or something is not as it should be (named) · 2 usage ·
3 a check or gate said no · 4 login or permission · 5 not found · 6 somebody else holds the
rollout · 7 timed out, safe to repeat · 8 the daemon cannot be reached. `health` and `status`: 0
healthy, 3 degraded, 1 down.
"""
TRIGGERS_HEAD: Final = """\
Releases that are bad in one way from a moment on: each passes its shadow, is given accounts and
then shows what it is, in the canary and again at half of ten accounts. The time is from that moment
until every account is back and was looked at; after it each of them breaks a limit, and is met.
"""
LASTING_HEAD: Final = """\
Both pass their shadow and are given an account. The one that leaks is held by the line that its
memory follows, before it is at the limit; a person brings it back. The other ends, both workers at
the same record, an hour of stream time (here: seconds) after it was given the account. For how long
nobody enforced, from that record to the heir's own word, stands beside what a killed worker costs.
"""
UNMEASURED: Final = "not measured yet"


def page(verdict: Mapping[str, Any] | None, on: dt.date | None = None) -> str:
    """Write the page with the figures of a run; without one, nothing is measured."""
    measured = iter(verdict["lines"] if verdict else ())
    parts = [HEAD]
    parts += [_chapter(chapter, measured) for chapter in CHAPTERS]
    parts.append(_triggers(verdict.get("triggers", ()) if verdict else ()))
    parts.append(lasting(verdict.get("lasting", ()) if verdict else ()))
    parts.append(_foot(verdict, on))
    return "\n".join(parts)


def _chapter(chapter: Chapter, measured: Iterator[Mapping[str, Any]]) -> str:
    lines = [f"## {chapter.name[0].upper()}{chapter.name[1:]}", ""]
    lines += ["| line | means | exit | within | took |", "|---|---|---|---|---|"]
    lines += [_row(line, next(measured, None)) for line in chapter.lines]
    return "\n".join(lines) + "\n"


def _triggers(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write what went back by itself: each reason, in which phase, and after how long."""
    lines = ["## What goes back by itself", "", TRIGGERS_HEAD]
    lines += ["| trigger | phase | seen by | accounts | back after |", "|---|---|---|---|---|"]
    for row in rows:
        took = f"**{row['problem']}**" if row["problem"] else f"{row['seconds']:g} s"
        by = str(row.get("by", "")).partition(":")[0]
        told = (row["trigger"], row["phase"], by, str(row.get("accounts", "")), took)
        lines.append(f"| {' | '.join(told)} |")
    return "\n".join(lines) + "\n"


def lasting(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write what came of releases that are bad only after a while."""
    lines = ["## What is bad only after a while", "", LASTING_HEAD]
    lines += ["| release | ended | seen by | after | nobody enforced | a killed worker |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in rows:
        if row["problem"]:
            told: tuple[str, ...] = ("", "", f"**{row['problem']}**", "", "")
        else:
            waited = [
                f"{row[name]:g} ms" if name in row else ""
                for name in ("unprotected_ms", "failover_ms")
            ]
            told = (row["ended"], row["by"], f"{row['seconds']:g} s", *waited)
        lines.append(f"| {row['release']} | {' | '.join(told)} |")
    return "\n".join(lines) + "\n"


def _row(line: Line, row: Mapping[str, Any] | None) -> str:
    took = UNMEASURED if row is None else f"{row['seconds']:.2f} s"
    if row is not None and row["problem"]:
        took = f"{took}: **{row['problem']}**"
    return f"| `{line.text}` | {line.means} | {line.exit} | {line.within_s:g} s | {took} |"


def _foot(verdict: Mapping[str, Any] | None, on: dt.date | None) -> str:
    if verdict is None or on is None:
        return "Not measured yet: `./dev proof --write`.\n"
    left = "\n".join(f"* {text}" for text in verdict["left_out"])
    return (
        f"Measured on {on.isoformat()} by `./dev proof --write`. The five steps of the rollback"
        f" took {verdict['rollback_total_s']} s together, 300 s are allowed.\n\n"
        f"Not in this run:\n\n{left}\n"
    )
