"""What a release is made of, in one canonical text: the thing that is signed. Pure.

A release is a triple: code (digest of its wheel), configuration (commit of a
home's `config/`), and the range of schemas it can live with. The manifest binds
the first and the last; the configuration joins them in a home.

The text is JSON with sorted keys, two spaces and one newline at the end. Any
other text of the same meaning is refused: one release has one digest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal

import msgspec

from risk_daemon.errors import Malformed

#: File names of a release, beside its parts.
MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.json.minisig"
LOCK: Final = "requirements.lock"
WHEELS: Final = "wheels/"
#: What was measured of the commit before: see docs/formats/evidence.md.
EVIDENCE: Final = "evidence/"
#: Most bytes that are read of a manifest or signature before anything is believed.
MANIFEST_MAX: Final = 1 << 20

_VERSION: Final = re.compile(r"v[0-9]+\.[0-9]+\.[0-9]+([a-z0-9.+-]{0,40})?")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
#: No folders, no dots at the start: a part can't be written outside of its place.
_PART: Final = re.compile(
    r"requirements\.lock|wheels/[A-Za-z0-9_][A-Za-z0-9_.+!-]{0,200}\.whl"
    r"|evidence/[a-z]{1,40}\.(?:json|md)"
)

type Range = tuple[int, int]


class Schemas(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Oldest and newest shape of each kind that a release can live with."""

    records: Range
    snapshots: Range
    state_file: Range


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One file of a release. `size` in bytes."""

    path: str
    sha256: str
    size: int


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A release. `wheel` names the part that is this program, `code` is what it unpacks to.

    `made_at` is the commit's time in seconds since 1970, never a time of making.
    """

    format: Literal[1] = 1
    version: str
    commit: str
    made_at: int
    python: str
    platform: str
    wheel: str
    code: str
    schemas: Schemas
    parts: tuple[Part, ...]

    def part(self, path: str) -> Part:
        """The part at a path. Raises KeyError where there is none."""
        return {one.path: one for one in self.parts}[path]

    @property
    def wheels(self) -> tuple[Part, ...]:
        """The parts that are unpacked, in the order of their names."""
        return tuple(one for one in self.parts if one.path.startswith(WHEELS))

    @property
    def evidence(self) -> tuple[Part, ...]:
        """The parts that say what was measured of it; there need be none."""
        return tuple(one for one in self.parts if one.path.startswith(EVIDENCE))

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return sum(one.size for one in self.parts)


def is_version(text: str) -> bool:
    """Whether a text can name a release, like v1.2.0."""
    return _VERSION.fullmatch(text) is not None


def encode(manifest: Manifest) -> bytes:
    """The canonical text."""
    plain = msgspec.to_builtins(manifest)
    return (json.dumps(plain, sort_keys=True, indent=2, ensure_ascii=True) + "\n").encode()


def decode(text: bytes) -> Manifest:
    """Read a manifest. Raises Malformed with what is wrong."""
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"it can't be read: {error}") from None
    for wrong in _wrongs(manifest):
        raise Malformed(wrong)
    if encode(manifest) != text:
        raise Malformed("it is not in its canonical form")
    return manifest


def digest_of(text: bytes) -> str:
    """A release's digest: of its manifest, which has the digests of all else."""
    return hashlib.sha256(text).hexdigest()


def _wrongs(manifest: Manifest) -> Iterable[str]:
    """Say what a manifest claims that can't be."""
    if not is_version(manifest.version):
        yield f"its version {manifest.version[:60]!r} is not like v1.2.0"
    if not _COMMIT.fullmatch(manifest.commit):
        yield f"its commit {manifest.commit[:60]!r} is not 40 hexadecimal digits"
    if manifest.made_at < 0:
        yield f"its time {manifest.made_at} is before 1970"
    for name, (oldest, newest) in ranges_of(manifest.schemas).items():
        if not 0 < oldest <= newest:
            yield f"its range of {name} is {oldest} to {newest}"
    yield from _wrong_parts(manifest)


def _wrong_parts(manifest: Manifest) -> Iterable[str]:
    paths = [one.path for one in manifest.parts]
    if paths != sorted(set(paths)):
        yield "its parts are not in order of their names, each once"
    for one in manifest.parts:
        if not _PART.fullmatch(one.path):
            yield f"its part {one.path[:80]!r} is neither {LOCK}, wheels/NAME.whl nor evidence"
        if not _DIGEST.fullmatch(one.sha256) or one.size < 0:
            yield f"its part {one.path[:80]!r} has no proper digest and size"
    if LOCK not in paths:
        yield f"it has no {LOCK}"
    if manifest.wheel not in paths or not manifest.wheel.startswith(WHEELS):
        yield f"its own wheel {manifest.wheel[:80]!r} is none of its parts"
    if not _DIGEST.fullmatch(manifest.code):
        yield "its digest of the code is not 64 hexadecimal digits"


# --- schemas ------------------------------------------------------------------


def ranges_of(schemas: Schemas) -> dict[str, Range]:
    """The ranges by the names people read."""
    return {
        "records": schemas.records,
        "snapshots": schemas.snapshots,
        "state file": schemas.state_file,
    }


def misfits(schemas: Schemas, found: Mapping[str, Range]) -> list[str]:
    """Say which shapes found in a home a release can't live with; empty if it can with all.

    Each is found as a range too: the oldest shape whose releases can still live with what is
    there, and what it is. The two ranges must have a shape in common. A kind that nobody has heard
    of does not fit: unknown is not "passed".
    """
    ranges = ranges_of(schemas)
    said = []
    for name, (least, number) in sorted(found.items()):
        if name not in ranges:
            said.append(f"the home has {name} {number}, the release can live with none")
            continue
        oldest, newest = ranges[name]
        if newest < least or number < oldest:
            known = f"{oldest} to {newest}"
            said.append(f"the home has {name} {number}, the release can live with {known}")
    return said


# --- what files are in a folder ---------------------------------------------------


def tree_digest(files: dict[str, str]) -> str:
    """One digest of many files: their paths with `/` between, and each one's own digest."""
    lines = [f"{digest}  {path}\n" for path, digest in sorted(files.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
