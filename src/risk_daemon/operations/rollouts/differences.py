"""What releases decide differently: read from the journal, from recorded days, from made cases.

The release that is asked decides by its own code: in a throw-away process of its own Python for a
recorded stream, in its warm worker for cases that the holder of each account has made.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.core.events import DecisionCompared
from risk_daemon.errors import NotFound, OperatorError, TimedOut
from risk_daemon.operations import daemon, home
from risk_daemon.operations.accounts.looking import find_account
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import DONE, FAILED, Outcome
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.stored import entries
from risk_daemon.operations.which_release import release as own_release
from risk_daemon.operations.words import count
from risk_daemon.rollout import difference
from risk_daemon.rollout.difference import Declared, Summary
from risk_daemon.supervisor.release import interpreter, workers_of
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import new_record
from risk_daemon.worker.boundary import Decided
from risk_daemon.worker.canonical import BREACH, LOOSER, SAME, STRICTER, Decision, way
from risk_daemon.worker.differing import once_of
from risk_daemon.worker.scripted import Scripted, Told, compared

KIND: Final = "decision-compared"
#: A year of a busy home takes some minutes to decide again.
RECORDED_WITHIN_S: Final = 600.0
DECLARED_WITHIN_S: Final = 20.0
CASES_WITHIN_S: Final = 10.0
SCRIPTS_WITHIN_S: Final = 60.0
#: Findings that go to the journal in one request, how long each may take, and the pause after it.
KEPT_AT_ONCE: Final = 200
KEPT_WITHIN_S: Final = 10.0
PAUSE_S: Final = 0.1
#: How a program ends whose words it does not know.
_ASKED_WRONGLY: Final = 2
#: Of asking two releases about an account between two of its facts.
TRIES: Final = 20
_TOO_LONG: Final = (
    "{release} took longer than {within_s:g} s; nothing was changed, it is safe to repeat."
)
NOTHING_YET: Final = (
    "no release has been compared with another one here: that begins when the workers of one are"
    " warm beside those of the release that holds the accounts"
)


# --- what is in the journal ------------------------------------------------------


def read(at: Home, account: int | None = None) -> list[DecisionCompared]:
    """Return the findings that a home's journal holds, of one account or of all."""
    file = at.state / FILE
    if not file.is_file():
        raise NotFound(f"there is no state file in {at.state}: this home has never run.")
    found = (entry.fact for entry in entries(file, (KIND,)))
    return [
        fact
        for fact in found
        if isinstance(fact, DecisionCompared) and account in (None, fact.account)
    ]


def diff(at: Home, account: str | None = None) -> Outcome:
    """Each difference of two releases as a person would tell it, and what covers each rule.

    One pair of releases after the other, newest first. Exit 1 if any has an undeclared difference.
    """
    home.read(at)
    number = None if account is None else find_account(at, account)[0]
    found = read(at, number)
    if not found:
        of = "" if number is None else f" (account {number})"
        data: dict[str, Any] = {"pairs": []}
        return Outcome(
            (NOTHING_YET + of,), data=data, next_command="risk-daemon-admin release list"
        )
    pairs = [
        difference.summary(
            [one for one in found if (one.release, one.against) == pair],
            *pair,
            declared(at, pair[0]),
        )
        for pair in _pairs(found)
    ]
    lines = [
        difference.told(one)
        for pair in pairs
        for one in difference.of_pair(_said_by(found, pair), pair.release, pair.against)
        if difference.differs(one)
    ]
    wrong = sum(pair.looser + len(pair.stricter) for pair in pairs)
    return Outcome(
        tuple(lines),
        FAILED if wrong else DONE,
        {"pairs": [_data(pair, found) for pair in pairs]},
        next_command="risk-daemon-admin status --show-events" if wrong else "",
        above=tuple(_head(pair) for pair in pairs),
        below=tuple(line for pair in pairs for line in _coverage(pair)),
    )


def _pairs(found: Sequence[DecisionCompared]) -> list[tuple[str, str]]:
    newest = {(one.release, one.against): one.decided_at for one in found}
    return sorted(newest, key=lambda pair: (-newest[pair], pair))


def _said_by(found: Sequence[DecisionCompared], pair: Summary) -> list[DecisionCompared]:
    return [one for one in found if (one.release, one.against) == (pair.release, pair.against)]


def _head(pair: Summary) -> str:
    agrees = sum(rule.agrees for rule in pair.rules)
    covered = sum(rule.declared for rule in pair.rules)
    return (
        f"{pair.release} against {pair.against}: {count(pair.firings, 'decision')} compared:"
        f" {agrees} agree, {pair.looser} looser, {len(pair.stricter)} stricter,"
        f" {covered} declared; {pair.unseen} could not be compared"
    )


def _coverage(pair: Summary) -> list[str]:
    lines = [f"{pair.release}: {difference.in_words(rule)}" for rule in pair.rules]
    lines += [
        f"{pair.release}: declared {one.name}: seen {one.seen} of {count(one.firings, 'firing')}"
        f" of {one.rule}, {one.cap_ppm / 10_000:g} % allowed{_judged(one)}"
        for one in pair.declared
    ]
    return lines


def _judged(one: difference.OfDeclared) -> str:
    if not one.seen and not one.made:
        return ": NEVER SEEN, the change may do nothing"
    made = f", and {count(one.made, 'time')} in cases made at the boundary" if one.made else ""
    return made + (": MORE than that" if one.is_over else "")


def _data(pair: Summary, found: Sequence[DecisionCompared]) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(pair)
    differing = [one for one in _said_by(found, pair) if difference.differs(one)]
    return plain | {
        "firings": pair.firings,
        "coverage": [difference.in_words(rule) for rule in pair.rules],
        "differences": [
            msgspec.to_builtins(one) | {"told": difference.told(one)} for one in differing
        ],
    }


# --- what a release declares -----------------------------------------------------


def declared(at: Home, release: str) -> list[Declared]:
    """Return where a release means to decide otherwise; nothing of one that cannot be asked."""
    try:
        found = _run(at, release, ["--declared"], DECLARED_WITHIN_S)
    except OperatorError:
        return []  # retired and gone, or older than the question: nothing excuses it
    return msgspec.convert(found, list[Declared])


# --- recorded days ---------------------------------------------------------------


def recorded(at: Home, release: str, file: Path | None = None) -> list[DecisionCompared]:
    """Have a release decide a recorded stream again where another one held the accounts.

    `file` is a state file, or a copy of one; the home's own if it is left out. Writes nothing.
    """
    words = ["--compare", "--release", release]
    words += ["--file", str(file)] if file is not None else []
    return _findings(release, _run(at, release, words, RECORDED_WITHIN_S))


def _findings(release: str, found: Any) -> list[DecisionCompared]:
    if not isinstance(found, dict) or "findings" not in found:
        raise OperatorError(f"{release} did not say what it decided of the recorded stream.")
    return msgspec.convert(found["findings"], list[DecisionCompared])


async def recorded_of_pair(
    at: Home, release: str, against: str, upto: int
) -> list[DecisionCompared]:
    """Have a release decide the home's recorded days up to a record, against one that holds now.

    Days that an older release held count where both have decided them again. Whoever cancels it
    ends the process that decides.
    """
    mine = await _recorded(at, release)
    found = [one for one in mine if one.against == against]
    older = [one for one in mine if one.against not in (against, release)]
    if older:
        found += difference.through(older, await _recorded(at, against), against)
    known = await asyncio.to_thread(declared, at, release)
    return [difference.covered(one, known) for one in found if one.seq <= upto]


async def _recorded(at: Home, release: str) -> list[DecisionCompared]:
    process = await asyncio.create_subprocess_exec(
        *_command(at, release, ["--compare", "--release", release]),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(RECORDED_WITHIN_S):
            out, err = await process.communicate()
    except TimeoutError:
        raise TimedOut(_TOO_LONG.format(release=release, within_s=RECORDED_WITHIN_S)) from None
    finally:
        if process.returncode is None:
            process.kill()
    return _findings(release, _answer(release, out.decode(), err.decode()))


def _command(at: Home, release: str, words: Sequence[str]) -> list[str]:
    python = interpreter(at.path, release, own_release())
    return [python, "-m", "risk_daemon.programs.worker", "--home", str(at.path), *words]


def _run(
    at: Home, release: str, words: Sequence[str], within_s: float, given: str | None = None
) -> Any:
    """Run a throw-away worker of a release; return what it prints. NotFound: it knows no such."""
    try:
        done = subprocess.run(
            _command(at, release, words),
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
            input=given,
        )
    except subprocess.TimeoutExpired:
        raise TimedOut(_TOO_LONG.format(release=release, within_s=within_s)) from None
    if done.returncode == _ASKED_WRONGLY:
        raise NotFound(f"{release} is older than the question: it has no {words[0]}")
    return _answer(release, done.stdout, done.stderr)


def _answer(release: str, out: str, err: str) -> Any:
    try:
        return json.loads(out)
    except ValueError:
        said = err.strip().splitlines()[-1:] or ["no answer"]
        raise OperatorError(f"{release} could not be asked: {said[0]}") from None


# --- generated cases -------------------------------------------------------------


def generated(at: Home, release: str) -> list[DecisionCompared]:
    """Have the holder of each account make its boundary cases; compare what both decide of them.

    The release must be warm. A holder that is of the release itself has nothing to compare.
    """
    known = declared(at, release)
    found: list[DecisionCompared] = []
    for row in daemon.status(at).get("accounts", []):
        holder, against = str(row.get("holder") or ""), str(row.get("release") or "")
        if holder and against != release:
            for case, mine, other in _asked(
                at, int(row["account"]), workers_of(release)[0], holder
            ):
                found += of_case(case, mine, other, release, against)
    return [difference.covered(one, known) for one in found]


def _asked(
    at: Home, account: int, worker: str, holder: str
) -> Iterator[tuple[Mapping[str, Any], Decided, Decided]]:
    """Ask both about the cases of one account, until neither has news of it that the other lacks.

    Raises TimedOut where news never pauses for so long.
    """
    for _ in range(TRIES):
        made = daemon.ask(at, holder, "boundary", {"account": account}, CASES_WITHIN_S)["cases"]
        mine, other = (_decided(at, who, made) for who in (worker, holder))
        facts_at = {one.facts_at for one in (*mine, *other)} | {case["facts_at"] for case in made}
        if len(facts_at) <= 1:
            yield from zip(made, mine, other, strict=True)
            return
    raise TimedOut(
        f"account {account} has news so often that no two releases could be asked about the same"
        " of it; nothing was changed, it is safe to repeat."
    )


def _decided(at: Home, who: str, cases: list[Any]) -> list[Decided]:
    answer = daemon.ask(at, who, "decide", {"cases": cases}, CASES_WITHIN_S)
    return msgspec.convert(answer["decided"], list[Decided])


def of_case(
    case: Mapping[str, Any], mine: Decided, other: Decided, release: str, against: str
) -> list[DecisionCompared]:
    """Compare two releases on one case: a finding per rule that either found something by. Pure."""
    rules = sorted({one.rule for one in (*mine.decisions, *other.decisions) if one.rule})
    found = []
    for rule in rules:
        ours, theirs = _of(mine, rule), _of(other, rule)
        ways = _ways(ours, theirs)
        if not ways and not any(one.field == BREACH for one in ours.values()):
            continue  # they act alike, and the rule has found nothing: no firing
        direction = LOOSER if LOOSER in ways.values() else STRICTER if ways else ""
        is_own = rule == case["rule"]
        saw, wanted = _words(ours)
        other_saw, other_wanted = _words(theirs)
        found.append(
            DecisionCompared(
                account=case["account"],
                release=release,
                against=against,
                rule=rule,
                seq=case["seq"],
                decided_at=case["at"],
                verdict=direction or difference.AGREES,
                source=difference.GENERATED,
                direction=direction,
                fields=tuple(sorted(ways)),
                saw=saw or (mine.sees if is_own else ""),
                wanted=wanted,
                other_saw=other_saw or (other.sees if is_own else ""),
                other_wanted=other_wanted,
                why=_why(ways, release, against),
                case=f"{case['case']} of {case['rule']}",
            )
        )
    return found


def _of(decided: Decided, rule: str) -> dict[str, Decision]:
    return {one.name: one for one in decided.decisions if one.rule == rule}


def _ways(mine: Mapping[str, Decision], other: Mapping[str, Decision]) -> dict[str, str]:
    """Say by field which way the first differs; anything looser makes a field looser."""
    ways: dict[str, str] = {}
    for name in sorted({*mine, *other}):
        one, two = mine.get(name), other.get(name)
        if one is not None and two is not None:
            direction = way(one, two)
        else:
            direction = LOOSER if one is None else STRICTER
        field = name.partition(":")[0]
        if direction != SAME and ways.get(field) != LOOSER:
            ways[field] = direction
    return ways


def _why(ways: Mapping[str, str], release: str, against: str) -> str:
    return "; ".join(
        f"{field}: {release} is {ways[field]} than {against}" for field in sorted(ways)
    )


def _words(decisions: Mapping[str, Decision]) -> tuple[str, str]:
    ordered = [decisions[name] for name in sorted(decisions)]
    saw = "; ".join(one.words for one in ordered if one.field == BREACH)
    return saw, ", ".join(one.words for one in ordered if one.field != BREACH)


# --- scripts of the rules --------------------------------------------------------


def scripted(at: Home, release: str) -> list[DecisionCompared]:
    """Have each release that holds accounts play the tables of its rules; compare what both decide.

    Nothing where one of the two is older than the question: it is no evidence then.
    """
    status = daemon.status(at).get("accounts", [])
    others = {str(row.get("release") or "") for row in status} - {"", release}
    known = declared(at, release)
    found: list[DecisionCompared] = []
    for against in sorted(others):
        with contextlib.suppress(NotFound):
            found += _scripted(at, release, against)
    return [difference.covered(one, known) for one in found]


def _scripted(at: Home, release: str, against: str) -> Iterator[DecisionCompared]:
    given = _run(at, against, ["--scripts"], SCRIPTS_WITHIN_S)
    told = [
        msgspec.convert(
            _run(at, who, ["--decide"], SCRIPTS_WITHIN_S, json.dumps(given)), list[Told]
        )
        for who in (release, against)
    ]
    for script, mine, other in zip(msgspec.convert(given, list[Scripted]), *told, strict=True):
        yield from of_script(script, mine, other, release, against)


def of_script(
    script: Scripted, mine: Told, other: Told, release: str, against: str
) -> list[DecisionCompared]:
    """Compare two releases on one script of a rule. Pure."""
    at = script.lines[-1].at
    case = {"account": 0, "seq": 0, "at": at, "rule": script.rule, "case": script.case}
    return of_case(case, *compared(script, mine, other), release, against)


# --- keeping it ------------------------------------------------------------------


def keep(at: Home, findings: Iterable[DecisionCompared], of: str = "") -> int:
    """Write findings into the journal, each stored once; return how many were new.

    `of` is what they are evidence in: there each is stored once more, whatever was found before.
    Of a thousand accounts it is more than one message holds, and every worker folds each of them:
    they go in pieces, with pauses in which whoever guards comes first.
    """
    suffix = f":{of}" if of else ""
    records = [new_record(one, once_of(one) + suffix) for one in findings]

    async def act(journal: JournalClient) -> int:
        fresh = 0
        for start in range(0, len(records), KEPT_AT_ONCE):
            await asyncio.sleep(PAUSE_S if start else 0)
            piece = records[start : start + KEPT_AT_ONCE]
            appended = await journal.append(piece)
            if appended.refused:
                raise OperatorError(f"the journal refused it: {appended.refused}")
            fresh += len(piece) - appended.duplicates
        return fresh

    pieces = -(-len(records) // KEPT_AT_ONCE)
    return daemon.with_journal(at, act, pieces * (KEPT_WITHIN_S + PAUSE_S)) if records else 0
