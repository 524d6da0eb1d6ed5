"""From single findings to what is known of a release: coverage by firings, and what differed. Pure.

A finding is one decision of two releases on the same record (`decision-compared`). What counts is
firings: that both decided nothing a million times proves nothing. Once an account has been given
to the candidate it is the other release that is warm and compares; its findings are the same
evidence seen from the other side, and are turned round here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from risk_daemon.core.events import DecisionCompared

AGREES: Final = "agrees"
LOOSER: Final = "looser"
STRICTER: Final = "stricter"
DECLARED: Final = "declared"
UNSEEN: Final = "unseen"
LIVE: Final = "live"
RECORDED: Final = "recorded"
GENERATED: Final = "generated"
SOURCES: Final = (LIVE, RECORDED, GENERATED)
_TURNED: Final = {LOOSER: STRICTER, STRICTER: LOOSER}
MILLION: Final = 1_000_000


def differs(finding: DecisionCompared) -> bool:
    """Tell whether the two decided differently, as declared or not."""
    return finding.verdict in (LOOSER, STRICTER, DECLARED)


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """A difference a release says it has: `rules.declared.Declared`, told by that release.

    `cap_ppm` in parts per million of the rule's firings, `until` in UTC ns.
    """

    name: str
    rule: str
    direction: str
    field: str
    cap_ppm: int
    until: int
    why: str


class OfRule(msgspec.Struct, frozen=True, kw_only=True):
    """Firings of one rule that were compared, by where the records came from, and by verdict.

    `unseen` ones could not be compared and are no firings here.
    """

    rule: str
    live: int = 0
    recorded: int = 0
    generated: int = 0
    agrees: int = 0
    looser: int = 0
    stricter: int = 0
    declared: int = 0
    unseen: int = 0

    @property
    def firings(self) -> int:
        """All that were compared."""
        return self.live + self.recorded + self.generated


class OfDeclared(msgspec.Struct, frozen=True, kw_only=True):
    """How often a declared difference was seen, of how many firings of its rule.

    `made` is how often in cases that were made at the boundary: they are part of no share.
    """

    name: str
    rule: str
    seen: int
    firings: int
    made: int
    cap_ppm: int
    why: str = ""

    @property
    def is_over(self) -> bool:
        """Whether the share seen is above the cap, taken literally: a judge allows for chance."""
        return self.seen * MILLION > self.cap_ppm * self.firings


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of `release` against another one, as of the findings given.

    `first_looser` is the first by record; `never_seen` are declared differences that no finding
    shows: the change may do nothing.
    """

    release: str
    against: str
    rules: tuple[OfRule, ...]
    looser: int
    first_looser: DecisionCompared | None
    stricter: tuple[DecisionCompared, ...]
    declared: tuple[OfDeclared, ...]
    never_seen: tuple[str, ...]
    unseen: int

    @property
    def firings(self) -> int:
        """Compared firings of all rules."""
        return sum(rule.firings for rule in self.rules)


def turned(finding: DecisionCompared) -> DecisionCompared:
    """See a finding from the other release's side: what is looser in one is stricter in the other.

    What a release declares about itself says nothing about the other one: the direction stands.
    """
    direction = _TURNED.get(finding.direction, finding.direction)
    verdict = direction if differs(finding) else finding.verdict
    return msgspec.structs.replace(
        finding,
        release=finding.against,
        against=finding.release,
        verdict=verdict,
        direction=direction,
        saw=finding.other_saw,
        wanted=finding.other_wanted,
        other_saw=finding.saw,
        other_wanted=finding.wanted,
        declared="",
    )


def of_pair(
    findings: Iterable[DecisionCompared], release: str, against: str
) -> list[DecisionCompared]:
    """Return what two releases decided of the same records, as the first of them sees it.

    One decision counts once, however often it was decided again.
    """
    found: dict[tuple[int, int, str, str], DecisionCompared] = {}
    for one in findings:
        key = (one.seq, one.account, one.rule, one.case)
        if (one.release, one.against) == (release, against):
            found.setdefault(key, one)
        elif (one.release, one.against) == (against, release):
            found.setdefault(key, turned(one))
    return [found[key] for key in sorted(found)]


def through(
    mine: Iterable[DecisionCompared], theirs: Iterable[DecisionCompared], against: str
) -> list[DecisionCompared]:
    """Compare a release with `against` by what both decided of records that a third one held.

    Only where it is certain: what differs from the third in both, and not alike, is left out.
    """
    known = {(one.account, one.seq, one.rule, one.against): one for one in theirs}
    found = []
    for one in mine:
        other = known.get((one.account, one.seq, one.rule, one.against))
        if other is None or UNSEEN in (one.verdict, other.verdict):
            continue
        seen = msgspec.structs.replace(
            one, against=against, other_saw=other.saw, other_wanted=other.wanted
        )
        if other.verdict == AGREES:
            found.append(seen)
        elif one.verdict == AGREES:
            direction = _TURNED.get(other.direction, other.direction)
            found.append(
                msgspec.structs.replace(
                    seen, verdict=direction, direction=direction, fields=other.fields, why=other.why
                )
            )
        elif (one.direction, one.fields, one.wanted) == (
            other.direction,
            other.fields,
            other.wanted,
        ):
            found.append(
                msgspec.structs.replace(
                    seen, verdict=AGREES, direction="", fields=(), why="", declared=""
                )
            )
    return found


def covered(finding: DecisionCompared, declared: Sequence[Declared]) -> DecisionCompared:
    """Count a difference as declared if each field of it is; of a turned one nobody has asked."""
    if finding.verdict not in (LOOSER, STRICTER):
        return finding
    known = [
        one
        for one in declared
        if (one.rule, one.direction) == (finding.rule, finding.direction)
        and finding.decided_at < one.until
    ]
    names = [next((one.name for one in known if one.field == f), "") for f in finding.fields]
    if not names or not all(names):
        return finding
    said = ", ".join(dict.fromkeys(names))
    return msgspec.structs.replace(finding, verdict=DECLARED, declared=said)


def summary(
    findings: Iterable[DecisionCompared],
    release: str,
    against: str,
    declared: Sequence[Declared] = (),
) -> Summary:
    """Sum up what a release decided against another one."""
    pair = [covered(one, declared) for one in of_pair(findings, release, against)]
    rules = tuple(_of_rule(rule, pair) for rule in sorted({one.rule for one in pair}))
    firings = {rule.rule: rule.firings - rule.generated for rule in rules}
    seen = [name for one in pair if one.source != GENERATED for name in one.declared.split(", ")]
    made = [name for one in pair if one.source == GENERATED for name in one.declared.split(", ")]
    looser = [one for one in pair if one.verdict == LOOSER]
    return Summary(
        release=release,
        against=against,
        rules=rules,
        looser=len(looser),
        first_looser=looser[0] if looser else None,
        stricter=tuple(one for one in pair if one.verdict == STRICTER),
        declared=tuple(
            OfDeclared(
                name=one.name,
                rule=one.rule,
                seen=seen.count(one.name),
                firings=firings.get(one.rule, 0),
                made=made.count(one.name),
                cap_ppm=one.cap_ppm,
                why=one.why,
            )
            for one in declared
        ),
        never_seen=tuple(one.name for one in declared if one.name not in (*seen, *made)),
        unseen=sum(one.verdict == UNSEEN for one in pair),
    )


def _of_rule(rule: str, pair: Sequence[DecisionCompared]) -> OfRule:
    mine = [one for one in pair if one.rule == rule]
    compared = [one for one in mine if one.verdict != UNSEEN]
    sources = {name: sum(one.source == name for one in compared) for name in SOURCES}
    verdicts = (AGREES, LOOSER, STRICTER, DECLARED, UNSEEN)
    counts = {name: sum(one.verdict == name for one in mine) for name in verdicts}
    return OfRule(rule=rule, **sources, **counts)


def in_words(rule: OfRule) -> str:
    """Say what covers a rule, with the mix of sources."""
    mix = ", ".join(f"{getattr(rule, name)} {name}" for name in SOURCES)
    firings = "1 firing" if rule.firings == 1 else f"{rule.firings} firings"
    words = [f"{rule.rule}: {firings}: {mix}"]
    words += [
        f"{getattr(rule, name)} {name}"
        for name in (LOOSER, STRICTER, DECLARED, UNSEEN)
        if getattr(rule, name)
    ]
    return "; ".join(words)


def told(finding: DecisionCompared) -> str:
    """Tell one finding as a person would: who saw what and wanted what, and why they differ."""
    named = f" ({finding.declared})" if finding.declared else ""
    other = _side(finding.against, finding.other_saw, finding.other_wanted)
    mine = _side(finding.release, finding.saw, finding.wanted)
    why = f"; {finding.why}" if finding.why else ""
    return f"{_where(finding)}, {finding.rule}: {finding.verdict}{named}: {other}; {mine}{why}"


def _where(finding: DecisionCompared) -> str:
    if not finding.account:
        return f"script {finding.case!r}"
    place = f"generated {finding.case}" if finding.case else f"record {finding.seq}"
    return f"account {finding.account}, {place}"


def _side(release: str, saw: str, wanted: str) -> str:
    seen = f"saw {saw!r}" if saw else "saw no breach"
    return f"{release} {seen} and wanted {wanted or 'nothing'}"
