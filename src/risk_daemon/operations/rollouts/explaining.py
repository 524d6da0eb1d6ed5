"""`rollout explain`, `rollout report`: a verdict worked out again, and what is left of a rollout.

Nothing is asked of the controller but its row, which is stored. The samples are read from the
state file and judged by the same pure function: who doubts a verdict can work it out by himself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import closing
from typing import Any, Final

import msgspec

from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.core.events import Entry, RolloutNoted, SampleTaken
from risk_daemon.errors import NotFound, Refused, UsageError
from risk_daemon.journal.reader import Reader
from risk_daemon.operations import daemon, home
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import DONE, FAILED, Outcome
from risk_daemon.operations.releases import gaps
from risk_daemon.operations.releases.under_way import now_of
from risk_daemon.operations.rollouts import differences, watching
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.stored import entries
from risk_daemon.operations.words import iso
from risk_daemon.rollout import eprocess, error_gate, judge, tally
from risk_daemon.rollout import row as rows
from risk_daemon.rollout.row import Row
from risk_daemon.rollout.tally import Tally
from risk_daemon.wire import sample

STATUS: Final = "risk-daemon-admin rollout status"
#: Rows of the table that an operator can check by hand.
BY_HAND: Final = 8


def stored_row(at: Home) -> Row:
    """Return the rollout's row as the journal has it. Raises NotFound where there never was one."""

    async def read(journal: Any) -> Any:
        return await journal.read_rollout()

    found = daemon.with_journal(at, read)
    if not found.revision:
        raise NotFound("no rollout was begun here: `risk-daemon-admin deploy plan --help`.")
    return rows.decode(found.body)


def explain(at: Home, gate: str, clock: Timekeeper) -> Outcome:
    """Work a gate's verdict out again from the stored samples, and say what it rests on."""
    home.read(at)
    row = stored_row(at)
    if rows.phase_of(row) is None:
        raise Refused(f"nothing is judged now: the rollout is {row.stage}. `{STATUS}` says more.")
    folded, count = _folded(at, row)
    verdicts = {one.gate: one for one in judge.judge(folded, now_of(at, clock))}
    if gate not in verdicts:
        known = ", ".join(verdicts)
        raise UsageError(f"there is no gate {gate!r} in this phase; there are: {known}.")
    one = verdicts[gate]
    lines = [f"{name}: {number:,}" for name, number in one.counts]
    above = [
        f"{gate}: {one.says.upper()}: {one.sentence}",
        f"worked out again from {count:,} samples stored since {iso(row.entered)}",
    ]
    if one.bound:
        above.append(f"proven: {one.bound}")
    below = _by_hand(folded) if gate == "errors" else ()
    data = watching.shown(one) | {"samples": count, "since": iso(row.entered)}
    return Outcome(
        tuple(lines), DONE, data, next_command=STATUS, above=tuple(above), below=tuple(below)
    )


def _folded(at: Home, row: Row) -> tuple[Tally, int]:
    file = at.state / FILE
    with closing(Reader(file)) as reader:
        begin = reader.seq_since(row.entered)
    declared = differences.declared(at, row.plan.release)
    found, count = tally.begin(watching.judging_of(row, declared)), 0
    for entry in entries(file, ("sample-taken",), begin):
        if isinstance(entry.fact, SampleTaken):
            tally.fold(found, sample.decode(entry.fact.body))
            count += 1
    return found, count


def _by_hand(folded: Tally) -> Sequence[str]:
    """Return the table of the error gate, as it can be checked without a program."""
    limits = folded.limits
    bets = error_gate.bets_on_errors(limits.fine_ppm)
    # Three classes of records share what may be aborted by mistake, and half of each bet is made
    # at the beginning of the phase: docs/architecture/judging.md.
    alpha = limits.alpha_ppm / len(sample.CLASSES) / 2 / 1_000_000
    rule = [
        f"the {number}. episode of a class fails if it comes within {within:,} records"
        for number in range(1, BY_HAND + 1)
        if (within := eprocess.latest(bets, alpha, number))
    ]
    return ("by hand:", *rule)


# --- report ---


def report(at: Home, version: str, clock: Timekeeper) -> Outcome:
    """Write what is known of a rollout of a version; what only people know is asked for by name."""
    home.read(at)
    notes = [
        entry
        for entry in entries(at.state / FILE, ("rollout-noted",))
        if isinstance(entry.fact, RolloutNoted) and entry.fact.rollout.startswith(f"{version}-")
    ]
    if not notes:
        raise NotFound(
            f"nothing was written of a rollout of {version} here; `risk-daemon-admin rollout "
            "history` shows what was."
        )
    text = _page(version, notes, gaps.in_words(gaps.of_release(at.state / FILE, version)))
    folder = at.path / "rollouts"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / f"{version}.md"
    kept = file.read_text() if file.is_file() else ""
    people = kept[kept.index(PEOPLE) :] if PEOPLE in kept else _ASKED
    file.write_text(text + people)
    still_asked = people == _ASKED
    lines = (f"{file}: {len(notes)} lines of audit, from {iso(notes[0].at)}",)
    note = "what went well, what did not, and known issues are still to be written in it by people"
    return Outcome(
        lines,
        FAILED if still_asked else DONE,
        {"file": str(file), "entries": len(notes), "written_at": iso(now_of(at, clock))},
        notes=(note,) if still_asked else (),
        next_command="risk-daemon-admin rollout history",
    )


PEOPLE: Final = "## What people say\n"
_HEAD: Final = ("| when | what | who | why |", "|---|---|---|---|")
#: What was left out, and who answered for it.
_REVIEWED: Final = re.compile(r"\| (?:it is an emergency|broke the glass for|overrode) ?")
_ASKED: Final = f"""{PEOPLE}
Lessons learned: (to be written)

Known issues: (to be written)
"""


def _page(version: str, notes: Sequence[Entry], gap: str) -> str:
    rows_of: list[str] = []
    for entry in notes:
        fact = entry.fact
        assert isinstance(fact, RolloutNoted)
        said = msgspec.to_builtins(fact)
        cells = (said["what"], said["actor"], said["reason"].replace("|", "/"))
        rows_of.append(f"| {iso(entry.at)} | {' | '.join(cells)} |")
    review = [row for row in rows_of if _REVIEWED.search(row)]
    asked = ("To be reviewed afterwards:", "", *_HEAD, *review, "") if review else ()
    table = "\n".join((*asked, *_HEAD, *rows_of))
    hours = (notes[-1].at - notes[0].at) / (3600 * SECOND_NS)
    return f"""# Rollout of {version}

From {iso(notes[0].at)} to {iso(notes[-1].at)}, {hours:.1f} hours. Hand-overs to it: {gap}.

{table}

"""
