"""What was measured of a commit before its release was made, as files that go with it. Pure.

`./dev test`, `bench` and `audit` write them, `release build` takes those of its own commit into
the signed manifest, the gates read them. Instants are seconds since 1970 UTC, figures millionths.
The format: docs/formats/evidence.md.
"""

from __future__ import annotations

import json
from typing import Final, Literal

import msgspec

from risk_daemon.errors import Malformed

TESTS: Final = "tests.json"
BENCHMARKS: Final = "benchmarks.json"
AUDIT: Final = "audit.json"
SBOM: Final = "sbom.json"
NOTES: Final = "notes.md"
#: Of a unit of a benchmark.
MILLIONTHS: Final = 1_000_000


class Count(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tests of one kind, by how they ended."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0


class Measured(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The base of evidence: the commit it is of, and when it was measured (seconds of 1970)."""

    format: Literal[1] = 1
    commit: str
    at: int


class Suite(Measured, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What came of the whole suite, and what it ran on.

    `lock` is the SHA-256 of requirements.lock. `covered` of `coverable` lines and branches.
    `documents` are counted among the simulated ones too.
    """

    system: str
    python: str
    lock: str
    simulated: Count
    live: Count
    documents: Count
    covered: int
    coverable: int


class Figure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One benchmark: its median and its stored budget, millionths of `unit`; 0 is no budget."""

    name: str
    unit: str
    measured: int
    budget: int


class Benchmarks(Measured, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the hot paths took, beside what is stored for them."""

    figures: tuple[Figure, ...]


class Audit(Measured, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known against the packages of the lock, and what of the tree looks like a secret.

    Of `packages` of the lock the advisories knew `known`; `unknown` says why not of all.
    `vulnerable` and `secrets` are for people, one line each. `sbom` is the digest of the listing.
    """

    packages: int
    known: int
    unknown: str
    vulnerable: tuple[str, ...]
    files: int
    secrets: tuple[str, ...]
    sbom: str


def encode(what: Measured) -> bytes:
    """Write evidence as its file has it."""
    plain = msgspec.to_builtins(what)
    return (json.dumps(plain, sort_keys=True, indent=2) + "\n").encode()


def decode[T: Measured](text: bytes, kind: type[T]) -> T:
    """Read evidence. Raises Malformed with what is wrong."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"it can't be read: {error}") from None
