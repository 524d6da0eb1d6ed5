"""What each disaster drill is: what is broken, what a person types, and how long it may take.

Pure. The lines are those of the documents, in their order; `./dev drill` and
`risk-daemon-admin drill` type them (`stage.drills`).
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from risk_daemon.operations.running.drilling import ALL
from risk_daemon.stage import brief

MINUTE_S: Final = 60.0
#: What is promised of a drill: so much of what the brief allows.
SHARE: Final = 0.1
#: What the lines stand in for: the newest backup, and the release that all go back to.
FILE: Final = "FILE"
#: What each script of these lines passes on.
SCRIPTS: Final[Mapping[str, tuple[str, ...]]] = {
    "./scripts/stop_deployment.sh": ("deploy", "stop"),
    "./scripts/rollback_daemon.sh": ("rollback", "--all"),
    "./scripts/rollback_config.sh": ("config", "rollback"),
    "./scripts/restart_daemon.sh": ("restart",),
    "./scripts/send_alert.sh": ("alert", "send"),
}
OURS: Final = "risk-daemon-admin"


class Typed(msgspec.Struct, frozen=True):
    """One line, and what it may end with: what is broken answers otherwise than what is whole."""

    text: str
    exits: tuple[int, ...] = (0,)


class Drill(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario. `by_hand_budget_s`: of the whole manual half, where it has one of its own."""

    name: str
    broken: str
    budget_s: float
    lines: tuple[Typed, ...]
    by_hand_budget_s: float | None = None
    why_budget: str = ""


#: What people look at first, whatever it is.
FIRST_LOOK: Final = (
    Typed("risk-daemon-admin status", (1,)),
    Typed("risk-daemon-admin health", (1,)),
    Typed("risk-daemon-admin logs errors"),
    Typed("risk-daemon-admin doctor", (0, 1)),
)
#: The five steps of a rollback, as they stand on their page.
ROLLBACK: Final = tuple(
    Typed(line.text) for chapter in brief.ROLLBACK if chapter.is_timed for line in chapter.lines
)
DRILLS: Final = (
    Drill(
        name="crash",
        broken="every process but the supervisor is killed; then every one, and nobody starts it",
        budget_s=5 * MINUTE_S,
        by_hand_budget_s=30 * MINUTE_S,
        lines=(
            *FIRST_LOOK,
            Typed("risk-daemon-admin logs errors"),
            Typed("risk-daemon-admin start"),
            Typed("risk-daemon-admin status"),
            Typed("risk-daemon-admin reconcile-state"),
        ),
    ),
    Drill(
        name="disconnect",
        broken="every hub is reset and refused, and REST gives errors, for 5 s",
        budget_s=2 * MINUTE_S,
        lines=(
            Typed("risk-daemon-admin test-connection"),
            Typed("risk-daemon-admin credentials check"),
            Typed("risk-daemon-admin logs errors"),
            Typed("risk-daemon-admin reconcile-state"),
        ),
    ),
    Drill(
        name="config",
        broken="settings and policy are overwritten; then every process is killed",
        budget_s=10 * MINUTE_S,
        lines=(
            Typed("risk-daemon-admin config validate", (2,)),
            Typed("risk-daemon-admin restore --config"),
            Typed("risk-daemon-admin config validate"),
            Typed("risk-daemon-admin start"),
            Typed("risk-daemon-admin config reload"),
            Typed("risk-daemon-admin restart"),
            Typed("risk-daemon-admin test-rule --all"),
        ),
    ),
    Drill(
        name="database",
        broken="every page of the state file is overwritten, in use; then at rest, all killed",
        budget_s=20 * MINUTE_S,
        lines=(
            # 1: nobody answers any more, so nobody can be stopped.
            Typed('risk-daemon-admin stop --reason "the database is corrupted" --yes', (0, 1)),
            Typed("risk-daemon-admin backup list"),
            Typed("risk-daemon-admin restore --rebuild"),
            Typed("risk-daemon-admin start"),
            Typed("risk-daemon-admin reconcile-state"),
            Typed("risk-daemon-admin verify-db"),
            Typed("risk-daemon-admin verify-state"),
        ),
    ),
    Drill(
        name="disk",
        broken="the disk of the home is filled to the last byte",
        budget_s=5 * MINUTE_S,
        why_budget="the crash's: the brief has none of its own",
        lines=(
            Typed("risk-daemon-admin doctor", (1,)),
            Typed("risk-daemon-admin backup prune --keep 3 --yes"),
            Typed("risk-daemon-admin doctor"),
            Typed("risk-daemon-admin test-persistence"),
            Typed("risk-daemon-admin verify-db"),
        ),
    ),
    Drill(
        name="rollback",
        broken="all accounts are with a release whose max-contracts does not trip",
        budget_s=5 * MINUTE_S,
        lines=ROLLBACK,
    ),
    Drill(
        name="restore",
        broken="every process is killed, and the folder of the state is emptied",
        budget_s=20 * MINUTE_S,
        why_budget="the corrupted database's: the brief has none of its own",
        lines=(
            Typed(f"risk-daemon-admin restore --backup-file {FILE}"),
            Typed("risk-daemon-admin start"),
            Typed("risk-daemon-admin reconcile-state"),
            Typed("risk-daemon-admin verify-db"),
            Typed("risk-daemon-admin verify-state"),
        ),
    ),
)


def chosen(name: str) -> tuple[Drill, ...]:
    """Return the drill of a name, or all of them. KeyError if there is no such drill."""
    if name == ALL:
        return DRILLS
    return ({drill.name: drill for drill in DRILLS}[name],)


def words_of(text: str, stands_for: Mapping[str, str]) -> list[str]:
    """Return what our command is given by a line; a word is replaced by what it stands for."""
    first, *rest = (put(word, stands_for) for word in shlex.split(text, comments=True))
    return rest if first == OURS else [*SCRIPTS[first], *rest]


def put(word: str, stands_for: Mapping[str, str]) -> str:
    """Replace what stands for something else, also within a word."""
    for name, value in stands_for.items():
        word = word.replace(name, value)
    return word


class Half(msgspec.Struct, frozen=True, kw_only=True):
    """What one half of a drill came to. `typed_s` 0: nothing was typed."""

    answered_s: float = 0.0
    healthy_s: float = 0.0
    typed_s: float = 0.0
    typed: tuple[dict[str, Any], ...] = ()
    problems: tuple[str, ...] = ()


def by_hand_allowed_s(drill: Drill) -> float:
    """Return how long all that is typed may take: a tenth where it has a budget of its own."""
    if drill.by_hand_budget_s is None:
        return drill.budget_s
    return drill.by_hand_budget_s * SHARE


def judge(drill: Drill, halves: Sequence[Half]) -> dict[str, Any]:
    """Hold what happened against what is promised: a row of the verdict.

    `seconds` is the slowest breach's answer; where the brief has a time of its own for what is
    done by hand, that breach is held against it, and does not count here.
    """
    problems = [text for half in halves for text in half.problems]
    by_itself = [half for half in halves if not half.typed or drill.by_hand_budget_s is None]
    seconds = max((half.answered_s for half in by_itself), default=0.0)
    by_hand = [half for half in halves if half.typed]
    by_hand_s = max((half.typed_s for half in by_hand), default=0.0)
    budget_s, allowed_s = drill.budget_s, by_hand_allowed_s(drill)
    if seconds > budget_s * SHARE:
        problems.append(
            f"the breach was answered after {seconds:.1f} s, promised {budget_s * SHARE:g}"
        )
    if by_hand_s > allowed_s:
        problems.append(f"by hand it took {by_hand_s:.1f} s, allowed {allowed_s:g}")
    return {
        "name": drill.name,
        "ok": not problems and bool(halves),
        "seconds": round(seconds, 1),
        "budget_s": budget_s,
        "by_hand_s": round(by_hand_s, 1),
        "by_hand_budget_s": drill.by_hand_budget_s or budget_s,
        "by_hand_answered_s": round(max((half.answered_s for half in by_hand), default=0.0), 1),
        "healthy_s": round(max((half.healthy_s for half in halves), default=0.0), 1),
        "problem": "; ".join(problems),
        "typed": [row for half in halves for row in half.typed],
    }


def failed(drill: Drill, why: str) -> dict[str, Any]:
    """Return the row of a drill that could not be played to its end."""
    return judge(drill, ()) | {"problem": why}


def verdict(rows: Iterable[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """Join the rows of a run."""
    drills = list(rows)
    return {"ok": bool(drills) and all(row["ok"] for row in drills), "drills": drills, **more}


def in_words(told: Mapping[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    lines = []
    for row in told["drills"]:
        lines.append(
            f"{row['name']:<10} {'ok    ' if row['ok'] else 'NOT ok'} breach answered after"
            f" {row['seconds']:.1f} s of {row['budget_s']:g}; by hand {row['by_hand_s']:.1f} s"
            f" of {row['by_hand_budget_s']:g}"
        )
        if row["problem"]:
            lines.append(f"problem: {row['name']}: {row['problem']}")
    lines.append("verdict: ok" if told["ok"] else "verdict: NOT ok")
    return lines
