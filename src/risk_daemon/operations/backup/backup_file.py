"""One backup as a file: a zip with the home's state, its configuration, and a manifest of digests.

docs/formats/backup.md. Nothing of a backup is believed before its digest is
compared, and nothing is unpacked outside of the folder that was named for it.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.errors import NotFound, OperatorError, Refused
from risk_daemon.journal import durable
from risk_daemon.journal.file import Copied
from risk_daemon.journal.lock_file import SLOTS
from risk_daemon.journal.schema import SCHEMA
from risk_daemon.operations.home import About, Home
from risk_daemon.operations.state_file import FILE

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
STATE: Final = tuple(f"state/{name}" for name in (FILE, *SLOTS))
_PIECE: Final = 1 << 20
#: Quick, and half the size; what is slow to make is made too seldom.
_LEVEL: Final = 1
#: What reading a damaged zip may raise; a method or a flag it doesn't know is damage too.
_UNREADABLE: Final = (
    zipfile.BadZipFile,
    zlib.error,
    KeyError,
    OSError,
    ValueError,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a backup."""

    bytes: int
    digest: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself."""

    format: int
    made_at: int
    environment: str
    host: str
    release: str
    schema: int
    incarnation: int
    seq: int
    at: int
    crc: int
    config_commit: str
    files: dict[str, Part]


class Identity(msgspec.Struct, frozen=True):
    """Where and when a backup is made, and by which release."""

    about: About
    made_at: int
    release: str
    config_commit: str


def pack(home: Home, copy: Path, copied: Copied, who: Identity, file: Path) -> Manifest:
    """Write a backup of a copied state and of the configuration, in one step. Raises OSError."""
    sources = {f"state/{path.name}": path for path in sorted(copy.iterdir())}
    sources |= {
        f"config/{path.relative_to(home.config).as_posix()}": path
        for path in sorted(home.config.rglob("*"))
        if path.is_file()
    }
    sources["home.json"] = home.about
    fresh = file.with_name(f".{file.name}.new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as raw:
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as bundle:
            files = {name: _add(bundle, name, path) for name, path in sources.items()}
            manifest = Manifest(
                format=FORMAT,
                made_at=who.made_at,
                environment=who.about.environment,
                host=who.about.host,
                release=who.release,
                schema=SCHEMA,
                incarnation=copied.incarnation,
                seq=copied.seq,
                at=copied.at,
                crc=copied.crc,
                config_commit=who.config_commit,
                files=files,
            )
            bundle.writestr(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        raw.flush()
        os.fsync(raw.fileno())
    durable.move(fresh, file)
    return manifest


def _add(bundle: zipfile.ZipFile, name: str, path: Path) -> Part:
    digest, size = hashlib.blake2b(digest_size=32), 0
    with path.open("rb") as source, bundle.open(name, "w", force_zip64=True) as target:
        while piece := source.read(_PIECE):
            digest.update(piece)
            size += len(piece)
            target.write(piece)
    return Part(bytes=size, digest=digest.hexdigest())


def digest_of(file: Path) -> str:
    """Name a backup by its content. Raises NotFound."""
    try:
        with file.open("rb") as source:
            return hashlib.file_digest(source, lambda: hashlib.blake2b(digest_size=32)).hexdigest()
    except OSError as error:
        raise NotFound(f"the backup {file} can't be read: {error.strerror or error}.") from None


def manifest_of(file: Path) -> Manifest:
    """Read what a backup says of itself. Raises OperatorError."""
    if not file.is_file():
        raise NotFound(f"there is no backup {file}; `risk-daemon-admin backup list` shows them.")
    try:
        with zipfile.ZipFile(file) as bundle:
            raw = bundle.read(MANIFEST)
        told = msgspec.json.decode(raw, type=dict[str, object])
        if told.get("format") != FORMAT:
            raise Refused(
                f"the backup {file} has format {told.get('format')}, this release knows {FORMAT}: "
                "use the command of the release that made it."
            )
        return msgspec.convert(told, Manifest)
    except _UNREADABLE as error:
        raise _damaged(file, str(error)) from None


def unpack(file: Path, folder: Path) -> Manifest:
    """Unpack a backup into an empty folder, each file against its digest. Raises OperatorError."""
    manifest = manifest_of(file)
    lacking = [name for name in (*STATE, "home.json") if name not in manifest.files]
    if lacking:
        raise _damaged(file, f"it has no {lacking[0]}")
    try:
        with zipfile.ZipFile(file) as bundle:
            for name, part in manifest.files.items():
                _extract(bundle, name, part, folder, file)
    except _UNREADABLE as error:
        raise _damaged(file, str(error)) from None
    return manifest


def _extract(bundle: zipfile.ZipFile, name: str, part: Part, folder: Path, file: Path) -> None:
    target = folder / name
    if not target.resolve().is_relative_to(folder.resolve()):
        raise Refused(f"the backup {file} names a file outside of itself: {name!r}.")
    _make_private(target.parent)
    digest, size = hashlib.blake2b(digest_size=32), 0
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as written:
        for piece in _pieces(bundle, name):
            digest.update(piece)
            size += len(piece)
            written.write(piece)
        written.flush()
        os.fsync(written.fileno())
    if (size, digest.hexdigest()) != (part.bytes, part.digest):
        raise ValueError(f"{name} is not what the manifest names")


def _make_private(folder: Path) -> None:
    """Make a folder and those above it, for their owner only: a mode is not for parents."""
    if not folder.exists():
        _make_private(folder.parent)
        folder.mkdir(mode=0o700)


def _pieces(bundle: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    with bundle.open(name) as source:
        while piece := source.read(_PIECE):
            yield piece


def _damaged(file: Path, why: str) -> OperatorError:
    return OperatorError(
        f"the backup {file} is damaged: {why}. Nothing was changed; take another one "
        "(`risk-daemon-admin backup list`)."
    )
