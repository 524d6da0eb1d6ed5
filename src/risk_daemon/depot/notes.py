"""Release notes, drafted: what differs between two releases by their own sources. Pure.

Sources are texts by their paths below the package, and `requirements.lock`. Nothing of them is run:
the older one may be of any age, and what can't be read of it is not compared.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from risk_daemon.depot.manifest import LOCK, Range

BREAKING: Final = "breaking"
#: Headings in their order; the first one is what the gate `release notes` asks for.
HEADINGS: Final = {
    BREAKING: "Breaking changes",
    "decisions": "What is decided otherwise",
    "configuration": "Configuration",
    "formats": "Formats",
    "commands": "Commands",
    "packages": "Packages",
    "other": "Other changes",
}
NONE: Final = "None known."
_RULES: Final = "rules/"
#: Where the shape of a release's configuration stands; the second: before that room had walls.
_MODELS: Final = ("operations/configuration/models.py", "operations/models.py")
#: What rules share, and is no rule.
_SHARED: Final = {
    "__init__",
    "common",
    "declared",
    "parameters",
    "products",
    "rehearsal",
    "weights",
}
_PINNED: Final = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_NAMED: Final = {
    "RECORDS": "a record's payload",
    "SNAPSHOTS": "a snapshot",
    "STATE_FILE": "the state file",
    "CONFIGURATION": "the files in config/",
}

type Sources = Mapping[str, str]


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One change: under which heading, and in one sentence."""

    kind: str
    text: str


def changes(before: Sources, after: Sources, older: str) -> list[Change]:
    """Return what differs; `older` is the version of the release before."""
    return [
        *_ranges(before, after, older),
        *_rules(before, after),
        *_keys(before, after),
        *_kinds(before, after, older),
        *_packages(before.get(LOCK, ""), after.get(LOCK, "")),
    ]


def _ranges(before: Sources, after: Sources, older: str) -> Iterable[Change]:
    """Schemas by their ranges: who can't read what the other writes can't be gone back to."""
    theirs, ours = (ranges(one.get("schemas.py", "")) for one in (before, after))
    for name, (oldest, newest) in ours.items():
        if name not in theirs or theirs[name] == (oldest, newest):
            continue
        was = theirs[name]
        told = f"the schema of {_NAMED[name]} goes from {was[1]} to {newest}"
        if newest > was[1]:
            yield Change(BREAKING, f"{told}: {older} reads up to {was[1]}")
        elif oldest > was[0]:
            yield Change(BREAKING, f"{_NAMED[name]} of schema {was[0]} is not read any more")
        else:
            yield Change("formats", f"{_NAMED[name]} is read from schema {oldest} to {newest}")


def ranges(text: str) -> dict[str, Range]:
    """Read the ranges of `schemas.py`, by their names; nothing of a text that is none."""
    found: dict[str, Range] = {}
    for node in _body(text):
        match node:
            case (
                ast.AnnAssign(target=ast.Name(id=name), value=ast.Tuple() as value)
                | ast.Assign(targets=[ast.Name(id=name)], value=ast.Tuple() as value)
            ) if name in _NAMED:
                oldest, newest = ast.literal_eval(value)
                found[name] = (int(oldest), int(newest))
            case _:
                pass
    return found


def _rules(before: Sources, after: Sources) -> Iterable[Change]:
    theirs, ours = _rules_of(before), _rules_of(after)
    for name in sorted(theirs.keys() | ours.keys()):
        if name not in ours:
            yield Change(BREAKING, f"rule {name} is gone: a policy that names it is refused")
        elif name not in theirs:
            yield Change("decisions", f"rule {name} is new")
        elif theirs[name] != ours[name]:
            yield Change("decisions", f"rule {name} was changed")


def _rules_of(sources: Sources) -> dict[str, str]:
    names = {path.removeprefix(_RULES).removesuffix(".py"): path for path in _below(sources)}
    return {
        name.replace("_", "-"): sources[path]
        for name, path in names.items()
        if name not in _SHARED and "/" not in name
    }


def _below(sources: Sources) -> list[str]:
    return [path for path in sources if path.startswith(_RULES) and path.endswith(".py")]


def _keys(before: Sources, after: Sources) -> Iterable[Change]:
    """Keys of the configuration's files, by the fields of their models."""
    theirs, ours = (_fields(_first(sources, _MODELS)) for sources in (before, after))
    if not theirs:
        return
    for key in sorted(theirs - ours):
        yield Change(BREAKING, f"the key {key} is not read any more")
    for key in sorted(ours - theirs):
        yield Change("configuration", f"the key {key} is new")


def _first(sources: Sources, paths: Iterable[str]) -> str:
    return next((sources[path] for path in paths if path in sources), "")


def _fields(text: str) -> set[str]:
    found: set[str] = set()
    for node in _body(text):
        if isinstance(node, ast.ClassDef):
            for part in node.body:
                if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name):
                    found.add(f"{part.target.id} ({node.name.removesuffix('Section')})")
    return found


def _kinds(before: Sources, after: Sources, older: str) -> Iterable[Change]:
    """Kinds of records: an older release counts those it has no name for."""
    path = "wire/record.py"
    if path not in before:
        return
    theirs, ours = _kinds_of(before[path]), _kinds_of(after.get(path, ""))
    for kind in sorted(theirs - ours):
        yield Change(BREAKING, f"records of the kind {kind} have no name any more")
    for kind in sorted(ours - theirs):
        yield Change("formats", f"records of the kind {kind} are new; {older} only counts them")


def _kinds_of(text: str) -> set[str]:
    for node in _body(text):
        match node:
            case ast.AnnAssign(target=ast.Name(id="KINDS"), value=ast.Dict(keys=keys)):
                return {str(one.value) for one in keys if isinstance(one, ast.Constant)}
            case _:
                pass
    return set()


def _body(text: str) -> list[ast.stmt]:
    try:
        return ast.parse(text).body
    except SyntaxError:
        return []


def _packages(before: str, after: str) -> Iterable[Change]:
    theirs, ours = (dict(_PINNED.findall(text)) for text in (before, after))
    if not theirs:
        return
    for name in sorted(theirs.keys() | ours.keys()):
        was, now = theirs.get(name), ours.get(name)
        if was is None:
            yield Change("packages", f"{name} {now} is new")
        elif now is None:
            yield Change("packages", f"{name} is gone")
        elif was != now:
            yield Change("packages", f"{name} goes from {was} to {now}")


# --- the page ---


def page(version: str, older: str, found: Sequence[Change]) -> str:
    """Write the notes: what breaks first, headings without a change left out but for that."""
    lines = [f"# {version}", "", f"Since {older}." if older else "The first release."]
    for kind, heading in HEADINGS.items():
        said = [one.text for one in found if one.kind == kind]
        if said or kind == BREAKING:
            lines += ["", f"## {heading}", ""]
            lines += [f"* {text}" for text in said] or [NONE]
    return "\n".join(lines) + "\n"


def changelog(text: str, version: str, notes: str) -> str:
    """Put the notes of a version before the older ones; those of the same version are replaced.

    What stands before the first version stays there: it says what the page is.
    """
    head = "# Changelog\n"
    foreword, *older = re.split(r"(?m)^(?=## v)", text.removeprefix(head).strip("\n"))
    kept = [one for one in older if not one.startswith(f"## {version}\n")]
    deeper = re.sub(r"(?m)^#", "##", notes)
    parts = [foreword, deeper, *kept]
    return "\n".join([head, *(f"{one.strip()}\n" for one in parts if one.strip())])
