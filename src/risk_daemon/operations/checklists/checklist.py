"""`checklist`: what must be so before, during and after a deployment, item by item. Pure.

What a machine can know ticks itself, by what was looked at; for the rest a person signs by name.
Nothing is ticked because nobody looked. Source of the items: the brief's checklists.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from risk_daemon.errors import NotFound, Refused, UsageError

PRE: Final = "pre"
DURING: Final = "during"
POST: Final = "post"
LISTS: Final = (PRE, DURING, POST)
DAY_NS: Final = 86_400 * 1_000_000_000

#: What is looked at beside the gates of a release and the phases of a rollout.
CONFIGURATION: Final = "configuration"
ENVIRONMENT: Final = "environment"
HOLDER: Final = "holder"
CONSOLE: Final = "console"
EVERYWHERE: Final = "everywhere"
NEVER_BACK: Final = "never back"
REPORT: Final = "report"
CONTACTS: Final = "contacts"
DEPLOYED: Final = "deployed"
SMOKE: Final = "smoke"
MONITORED: Final = "monitored"
METRICS: Final = "metrics"


class Item(msgspec.Struct, frozen=True):
    """One line of a checklist: its id, its words, and the looks that tick it.

    Without looks a person signs; `days` is then how long a signature counts, 0 for ever. `hint` is
    a command that shows what is to be signed.
    """

    name: str
    words: str
    looks: tuple[str, ...] = ()
    days: int = 0
    hint: str = ""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen: well or not, in words, when it was measured (UTC ns, 0: it is so now).

    `measure` is what would make it well.
    """

    well: bool
    sentence: str
    at: int = 0
    measure: str = ""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A person's word for one item of one list of one version, at an instant (UTC ns)."""

    version: str
    list: str
    item: str
    by: str
    at: int
    note: str = ""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """An item as it stands. `at`: when that was measured or signed (UTC ns), 0 for now or never."""

    item: str
    words: str
    who: str
    ticked: bool
    told: str
    at: int
    measure: str


#: Before (one day).
BEFORE: Final = (
    Item("tests", "all tests pass, none skipped or failing", ("tests", "live tests")),
    Item("coverage", "coverage of 85 % or more", ("coverage",)),
    Item("benchmarks", "performance benchmarks met", ("benchmarks",)),
    Item("audit", "security audit passed", ("audit", "signature")),
    Item("configuration-valid", "configuration validated", (CONFIGURATION,)),
    Item(
        "configuration-reviewed",
        "configuration reviewed",
        hint="risk-daemon-admin config diff",
    ),
    Item("environment", "environment variables and credentials set", (ENVIRONMENT,)),
    Item(
        "credentials-rotated",
        "credentials rotated if needed",
        hint="risk-daemon-admin credentials check",
    ),
    Item("flags", "feature flags configured", hint="risk-daemon-admin flag list"),
    Item("release-notes", "release notes written, breaking changes documented", ("release notes",)),
    Item("runbook", "runbook: the four documents, and their last drill", ("documents", "drill")),
    Item("rollback-tested", "rollback procedure tested", ("drill",)),
    Item("backup", "database and configuration backed up, restore tested", ("backup",)),
    Item("tagged", "current version named by commit and digest", (HOLDER,)),
    Item("parity", "staging is identical to production", ("parity",)),
    Item("deployment-team", "deployment team on call", days=1),
    Item("rollback-team", "rollback team on standby", days=1),
    Item("contacts", "emergency contacts filled in", (CONTACTS,)),
    Item(
        "contacts-reached",
        "emergency contacts reached",
        days=30,
        hint="risk-daemon-admin emergency contacts show",
    ),
    Item("traders-told", "traders notified of the window", days=1),
    Item("dashboard", "dashboard ready", (CONSOLE,)),
)

#: After (one week).
AFTER: Final = (
    Item("everywhere", "all accounts on the new version", (EVERYWHERE,)),
    Item("never-back", "no rollback required", (NEVER_BACK,)),
    Item("metrics", "metrics stable", (METRICS,)),
    Item("no-complaints", "no trader complaints"),
    Item("benchmarks", "performance benchmarks met", ("benchmarks",)),
    Item("retrospective", "retrospective held"),
    Item("lessons", "lessons learned written down"),
    Item("runbook-updated", "runbook updated"),
    Item("known-issues", "known issues documented"),
    Item("backups-archived", "old backups archived", hint="risk-daemon-admin backup list"),
    Item("logs-archived", "deployment logs archived", (REPORT,)),
    Item("canary-cleaned", "canary environment cleaned up", hint="risk-daemon-admin release list"),
)


def items(which: str, phases: Sequence[str] = ()) -> tuple[Item, ...]:
    """Return the items of a list; during a deployment there are five for each phase."""
    if which == DURING:
        return tuple(one for phase in phases for one in _of_phase(phase))
    return BEFORE if which == PRE else AFTER


def _of_phase(phase: str) -> tuple[Item, ...]:
    watch = "risk-daemon-admin rollout status"
    return (
        Item(f"{phase}-deployed", f"{phase}: accounts deployed", (f"{phase} {DEPLOYED}",)),
        Item(f"{phase}-smoke", f"{phase}: smoke tests pass", (f"{phase} {SMOKE}",)),
        Item(f"{phase}-monitored", f"{phase}: monitored long enough", (f"{phase} {MONITORED}",)),
        Item(f"{phase}-metrics", f"{phase}: metrics validated", (f"{phase} {METRICS}",)),
        Item(f"{phase}-decision", f"{phase}: decided to proceed", hint=watch),
    )


# --- how it stands ---


def judge(
    which: str,
    version: str,
    of: Sequence[Item],
    looks: Mapping[str, Look],
    signatures: Sequence[Signature],
    now: int,
) -> tuple[Row, ...]:
    """Return every item as it stands at an instant; `signatures` are of this list and version."""
    return tuple(
        _looked(one, looks)
        if one.looks
        else _signed(sign_with(which, version, one.name), one, signatures, now)
        for one in of
    )


def _looked(item: Item, looks: Mapping[str, Look]) -> Row:
    """Tick an item only if each of its looks is well; what was not looked at is not."""
    nothing = Look(well=False, sentence="it was not looked at")
    found = [looks.get(name, nothing) for name in item.looks]
    bad = [one for one in found if not one.well]
    return Row(
        item=item.name,
        words=item.words,
        who="machine",
        ticked=not bad,
        told="; ".join(one.sentence for one in bad or found),
        at=min((one.at for one in bad or found if one.at), default=0),
        measure="; ".join(dict.fromkeys(one.measure for one in bad if one.measure)),
    )


def _signed(command: str, item: Item, signatures: Sequence[Signature], now: int) -> Row:
    last = _last(item, signatures)
    ticked = last is not None and _counts(item, last, now)
    if last is None:
        told = "nobody signed"
    else:
        note = f": {last.note}" if last.note else ""
        old = "" if ticked else f", counts for {_days(item)}"
        told = f"signed by {last.by}{note}{old}"
    look = f"`{item.hint}`, then " if item.hint else ""
    return Row(
        item=item.name,
        words=item.words,
        who="person",
        ticked=ticked,
        told=told,
        at=last.at if last else 0,
        measure="" if ticked else f"{look}`{command}`",
    )


def _last(item: Item, signatures: Sequence[Signature]) -> Signature | None:
    return max((one for one in signatures if one.item == item.name), key=_when, default=None)


def _when(one: Signature) -> int:
    return one.at


def _counts(item: Item, signature: Signature, now: int) -> bool:
    """Whether a signature still counts: who was on call yesterday may sleep today."""
    return not item.days or now - signature.at <= item.days * DAY_NS


def _days(item: Item) -> str:
    return "a day" if item.days == 1 else f"{item.days} days"


def sign_with(which: str, version: str, item: str) -> str:
    """Return the command that signs an item, of this version and of no newer one."""
    return f"risk-daemon-admin checklist {which} --version {version} --sign {item} --by NAME"


# --- signing ---


def sign(
    of: Sequence[Item], wanted: Signature, signatures: Sequence[Signature]
) -> tuple[Signature, ...]:
    """Return the signatures with one more. `signatures` may be of other lists and versions too.

    Raises UsageError where nobody signs, NotFound for an unknown item, Refused for what a machine
    knows and for what was signed already and still counts.
    """
    if not wanted.by:
        raise UsageError(
            f"{wanted.item} is to be signed by somebody: add --by NAME, the name of who answers "
            "for it; nothing was signed."
        )
    item = _item(of, wanted)
    if item.looks:
        raise Refused(
            f"{item.name} ({item.words}) is ticked by what is measured, nobody can sign it; "
            f"`risk-daemon-admin checklist {wanted.list}` says what would tick it."
        )
    last = _last(item, of_list(signatures, wanted.version, wanted.list))
    if last is not None and _counts(item, last, wanted.at):
        note = f" ({last.note})" if last.note else ""
        raise Refused(
            f"{item.name} of {wanted.version} was signed already, by {last.by}{note}; nothing was "
            f"changed. `risk-daemon-admin checklist {wanted.list}` shows what is still open."
        )
    return (*signatures, wanted)


def _item(of: Sequence[Item], wanted: Signature) -> Item:
    names = {one.name: one for one in of}
    if wanted.item in names:
        return names[wanted.item]
    near = difflib.get_close_matches(wanted.item, names, n=1)
    meant = f"did you mean {near[0]}?" if near else f"it has: {', '.join(names) or 'none'}."
    raise NotFound(f"checklist {wanted.list} has no item {wanted.item!r}; {meant}")


def of_list(signatures: Sequence[Signature], version: str, which: str) -> tuple[Signature, ...]:
    """Return the signatures of one list of one version."""
    return tuple(one for one in signatures if one.version == version and one.list == which)
