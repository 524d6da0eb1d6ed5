"""`release notes`: drafted from fragments of people and from what differs from the release before.

The page must be in the commit that a release is made of, so it is drafted in a checkout; of a
release that is in the depot already it only shows what it would say.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from risk_daemon.depot import files, notes
from risk_daemon.depot.making import NOTES, PACKAGE, SOURCES
from risk_daemon.depot.manifest import LOCK, is_version
from risk_daemon.depot.notes import HEADINGS, Change
from risk_daemon.depot.store import Depot, Release
from risk_daemon.errors import NotFound, Refused, UsageError
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.releases.staging_release import is_checkout

#: Sentences of people: one file each, NAME.KIND.md.
FRAGMENTS: Final = "docs/changes"
CHANGELOG: Final = "CHANGELOG.md"
_VERSION: Final = re.compile(r'^version = "(.+)"$', re.MULTILINE)


def draft(depot: Depot, checkout: Path, version: str, *, write: bool) -> Outcome:
    """Show the notes of a version; `write`: into the checkout, with the changelog."""
    if not is_version(version):
        raise UsageError(f"{version[:60]!r} is no version: one is like v1.2.0.")
    is_here = is_checkout(checkout) and _version_of(checkout) == version
    if not is_here and version not in depot.versions():
        raise NotFound(
            f"{version} is neither in the depot {depot.path} nor the version of the checkout "
            f"{checkout}; nothing was written. Raise the version in pyproject.toml first."
        )
    if write and not is_here:
        raise Refused(
            f"notes are written in a checkout of {version}, before the release is made, and "
            f"{checkout} is none; nothing was written."
        )
    before = _before(depot, version)
    after = _of_checkout(checkout) if is_here else _of_release(depot, depot.get(version))
    fragments = _fragments(checkout) if is_here else {}
    older = before.version if before is not None else ""
    found = list(fragments.values())
    if before is not None:
        found += notes.changes(_of_release(depot, before), after, older)
    text = notes.page(version, older, found)
    data = {
        "version": version,
        "before": older,
        "changes": {kind: [one.text for one in found if one.kind == kind] for kind in HEADINGS},
        "fragments": [path.name for path in fragments],
        "written": [],
    }
    if not write:
        next_command = f"risk-daemon-admin release notes {version} --write" if is_here else ""
        return Outcome((), data=data, above=tuple(text.splitlines()), next_command=next_command)
    page = checkout / NOTES / f"{version}.md"
    log = checkout / CHANGELOG
    kept = log.read_text(encoding="utf-8") if log.is_file() else ""
    page.parent.mkdir(exist_ok=True, parents=True)
    for path, content in ((page, text), (log, notes.changelog(kept, version, text))):
        files.remove(path)
        files.write(path, content.encode())
    for path in fragments:
        path.unlink()
    written = [str(one.relative_to(checkout)) for one in (page, log)]
    return Outcome(
        tuple(f"{one}: written" for one in written),
        data=data | {"written": written},
        below=(f"{len(fragments)} fragments went into it; read it, and commit it",),
        next_command="git add -A docs CHANGELOG.md && git commit",
    )


def _version_of(checkout: Path) -> str:
    found = _VERSION.search((checkout / "pyproject.toml").read_text(encoding="utf-8"))
    return f"v{found[1]}" if found else ""


def _before(depot: Depot, version: str) -> Release | None:
    """The release that was added before it; of one that is not there yet, the newest."""
    known = depot.versions()
    earlier = known[: known.index(version)] if version in known else known
    return depot.get(earlier[-1]) if earlier else None


def _of_release(depot: Depot, release: Release) -> dict[str, str]:
    """The texts of a release's program, and its lock."""
    manifest = release.manifest
    found = {LOCK: _text(depot.part(manifest.part(LOCK)).read_bytes())}
    with zipfile.ZipFile(depot.part(manifest.part(manifest.wheel))) as wheel:
        for name in wheel.namelist():
            if name.startswith(f"{PACKAGE}/") and name.endswith(".py"):
                found[name.removeprefix(f"{PACKAGE}/")] = _text(wheel.read(name))
    return found


def _of_checkout(checkout: Path) -> dict[str, str]:
    folder = checkout / SOURCES
    found = {
        path.relative_to(folder).as_posix(): _text(path.read_bytes())
        for path in sorted(folder.rglob("*.py"))
    }
    lock = checkout / LOCK
    return found | {LOCK: _text(lock.read_bytes()) if lock.is_file() else ""}


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace").replace("\r\n", "\n")


def _fragments(checkout: Path) -> Mapping[Path, Change]:
    """Read what people wrote; a name that says no kind is refused before anything is written."""
    found: dict[Path, Change] = {}
    for path in sorted((checkout / FRAGMENTS).glob("*.md")):
        if path.name == "README.md":
            continue
        kind = path.stem.rpartition(".")[2]
        text = " ".join(_text(path.read_bytes()).split())
        if kind not in HEADINGS or "." not in path.stem or not text:
            raise UsageError(
                f"{path} is no fragment: it is to be one sentence in NAME.KIND.md, KIND one of "
                f"{', '.join(HEADINGS)}; nothing was written."
            )
        found[path] = Change(kind, text)
    return found
