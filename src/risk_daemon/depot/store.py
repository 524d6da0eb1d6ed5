"""The depot: every release of a host, once, whichever home brought it in.

    lock                         held while anything is changed
    parts/SHA256                 each file of any release, once, named by what is in it
    releases/VERSION/            manifest.json, manifest.json.minisig, added.json
    homes/NAME.json              homes that have used this depot: what they need is kept
    incoming/                    half-copied things; swept by whoever holds the lock

A release is there when its folder below `releases/` is: it gets that name last,
after every part was copied, compared with the signed manifest, and flushed.
Trust is a home's: what one home has brought in, another verifies by its own keys.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from risk_daemon.depot import files, signing
from risk_daemon.depot.manifest import (
    MANIFEST,
    MANIFEST_MAX,
    SIGNATURE,
    Manifest,
    Part,
    decode,
    digest_of,
    is_version,
)
from risk_daemon.depot.signing import Trusted
from risk_daemon.errors import Malformed, NotFound, OperatorError, Refused, UsageError
from risk_daemon.journal import durable
from risk_daemon.journal.exclusive import Hold

_ADDED: Final = "added.json"
#: Kept free of other things that write to the disk.
_SPARE: Final = 64 << 20

type Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Release:
    """A release in the depot. `added_at` in nanoseconds since 1970."""

    manifest: Manifest
    text: bytes
    signature: bytes
    added_at: int
    added_by: str

    @property
    def version(self) -> str:
        """Its name."""
        return self.manifest.version

    @property
    def digest(self) -> str:
        """What tells it from any other of the same name."""
        return digest_of(self.text)


@dataclass(frozen=True, slots=True)
class Damage:
    """A part of a release that is not what its manifest says."""

    path: str
    why: str


class Depot:
    """One depot, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def part(self, part: Part) -> Path:
        """Where a part's content lies."""
        return self.path / "parts" / part.sha256

    # --- looking ------------------------------------------------------------------

    def versions(self) -> list[str]:
        """The names of all releases, in the order in which they were added."""
        try:
            found = [one.name for one in (self.path / "releases").iterdir() if is_version(one.name)]
        except FileNotFoundError:
            return []
        return sorted(found, key=lambda name: (self.get(name).added_at, name))

    def get(self, version: str) -> Release:
        """One release. Raises NotFound, UsageError for no version at all."""
        if not is_version(version):
            raise UsageError(f"{version[:60]!r} is no version: one is like v1.2.0.")
        folder = self.path / "releases" / version
        try:
            text = (folder / MANIFEST).read_bytes()
            signature = (folder / SIGNATURE).read_bytes()
            added = json.loads((folder / _ADDED).read_bytes())
            return Release(decode(text), text, signature, int(added["at"]), str(added["by"]))
        except FileNotFoundError:
            if folder.is_dir():
                raise OperatorError(
                    f"{folder} is not whole: remove it, and add {version} again."
                ) from None
            raise self._unknown(version) from None
        except (Malformed, ValueError, KeyError, TypeError) as error:
            raise OperatorError(
                f"{folder} is damaged: {error}; remove it, and add {version} again."
            ) from None

    def _unknown(self, version: str) -> NotFound:
        known = ", ".join(self.versions()) or "none yet"
        return NotFound(
            f"there is no release {version} in the depot {self.path} (there: {known}); "
            "bring it in with `risk-daemon-admin release add`."
        )

    def damages(self, release: Release) -> list[Damage]:
        """Compare every part with the manifest, byte by byte."""
        found = []
        for one in release.manifest.parts:
            path = self.part(one)
            if not path.is_file():
                found.append(Damage(one.path, "is missing"))
            elif files.digest_of_file(path) != one.sha256:
                found.append(Damage(one.path, "has other content than its manifest says"))
        return found

    # --- bringing in ----------------------------------------------------------------

    def add(
        self, source: Path, trusted: Sequence[Trusted], at: int, by: str, say: Say
    ) -> tuple[Release, bool]:
        """Bring a release in, whole and verified, or not at all; tell whether it was new."""
        with _opened(source) as given:
            text, signature = given.read(MANIFEST), given.read(SIGNATURE)
            manifest = accept(text, signature, trusted, str(source))
            with self.changing():
                if (known := self._known(manifest, text)) is not None:
                    return known, False
                self._bring(given, manifest, say)
                release = Release(manifest, text, signature, at, by)
                self._name(release)
                return release, True

    def check(self, source: Path, trusted: Sequence[Trusted]) -> tuple[Manifest, bool]:
        """Verify all that `add` would, and change nothing; tell whether it would be new."""
        with _opened(source) as given:
            text, signature = given.read(MANIFEST), given.read(SIGNATURE)
            manifest = accept(text, signature, trusted, str(source))
            known = self._known(manifest, text)
            for one in manifest.parts:
                with given.open(one.path) as content:
                    _refuse_other(one, files.digest_of(content, one.size))
            return manifest, known is None

    def _known(self, manifest: Manifest, text: bytes) -> Release | None:
        """The same release, if it is here and whole. Raises Refused for another of its name."""
        folder = self.path / "releases" / manifest.version
        if not folder.exists():
            return None
        here = self.get(manifest.version)
        if here.digest != digest_of(text):
            raise Refused(
                f"{manifest.version} is in the depot already, and is another release "
                f"({here.digest[:12]}, this one is {digest_of(text)[:12]}): a version is never "
                "given twice. Raise the version in pyproject.toml, and make it anew."
            )
        return None if self.damages(here) else here

    def _bring(self, given: _Source, manifest: Manifest, say: Say) -> None:
        """Copy and compare all parts that are not here, then let them in."""
        missing = [one for one in manifest.parts if not self._has(one)]
        self._room_for(sum(one.size for one in missing))
        incoming = self.path / "incoming"
        say(f"copying {len(missing)} of {len(manifest.parts)} parts ...")
        for one in missing:
            with given.open(one.path) as content:
                found = files.copy(content, incoming / one.sha256, one.size)
            _refuse_other(one, found)
        for one in missing:
            (incoming / one.sha256).replace(self.part(one))
        durable.flush_folder(self.path / "parts")

    def _has(self, part: Part) -> bool:
        path = self.part(part)
        return path.is_file() and files.digest_of_file(path) == part.sha256

    def _room_for(self, size: int) -> None:
        free = shutil.disk_usage(self.path).free
        if free < size + _SPARE:
            raise OperatorError(
                f"{self.path} has {free / 1e6:.0f} MB free and {(size + _SPARE) / 1e6:.0f} MB are "
                "needed; nothing was changed. Make room, or name another depot in "
                "RISK_DAEMON_DEPOT."
            )

    def _name(self, release: Release) -> None:
        """Give the release its name: from now on it is there."""
        partial = self.path / "incoming" / release.version
        partial.mkdir()
        files.write(partial / MANIFEST, release.text)
        files.write(partial / SIGNATURE, release.signature)
        added = {"at": release.added_at, "by": release.added_by}
        files.write(partial / _ADDED, (json.dumps(added, sort_keys=True) + "\n").encode())
        durable.flush_folder(partial)
        target = self.path / "releases" / release.version
        files.remove(target)  # a damaged one of the same digest
        files.rename(partial, target)

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Be the only one who changes the depot; leaves nothing half-done behind."""
        with files.told(f"writing to the depot {self.path}"):
            for name in ("parts", "releases", "homes", "incoming"):
                (self.path / name).mkdir(parents=True, exist_ok=True)
            hold = self._hold()
            try:
                self._sweep()
                yield
            finally:
                with contextlib.suppress(OSError):  # what went wrong before is what is told
                    self._sweep()
                hold.release()

    def _hold(self) -> Hold:
        try:
            return Hold(self.path / "lock")
        except Refused as refused:
            holder = refused.sentence.rpartition(": ")[2]
            raise Refused(
                f"somebody else changes the depot right now ({holder}); nothing was done. "
                "Try again when that is finished."
            ) from None

    def _sweep(self) -> None:
        for left in (self.path / "incoming").iterdir():
            files.remove(left)

    # --- homes, and letting go ----------------------------------------------------------

    def remember(self, home: Path) -> None:
        """Note that a home uses this depot; called while changing."""
        name = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
        target = self.path / "homes" / f"{name}.json"
        if not target.exists():
            partial = self.path / "incoming" / target.name
            files.write(partial, (json.dumps({"home": str(home)}) + "\n").encode())
            files.rename(partial, target)

    def homes(self) -> dict[Path, Path]:
        """Every home that has used this depot, by the file that says so."""
        found = {}
        for note in sorted((self.path / "homes").glob("*.json")):
            try:
                found[note] = Path(json.loads(note.read_bytes())["home"])
            except (ValueError, KeyError, TypeError) as error:
                raise OperatorError(
                    f"{note} can't be read: {error}; nothing was changed."
                ) from None
        return found

    def let_go(self, versions: Sequence[str]) -> int:
        """Remove releases, then the parts that none of the others has; return bytes freed."""
        for version in versions:
            # Away from its name first: a half-removed release must not look complete.
            gone = self.path / "incoming" / version
            files.rename(self.path / "releases" / version, gone)
            files.remove(gone)
        kept = {one.sha256 for name in self.versions() for one in self.get(name).manifest.parts}
        freed = 0
        for path in sorted((self.path / "parts").iterdir()):
            if path.name not in kept:
                freed += path.stat().st_size
                path.unlink()
        return freed


def accept(text: bytes, signature: bytes, trusted: Sequence[Trusted], what: str) -> Manifest:
    """Read a manifest that a trusted key has signed. Raises Refused for any other."""
    try:
        signing.verify(text, signature, trusted)
        return decode(text)
    except Malformed as error:
        raise Refused(f"{what} is not accepted: its manifest: {error}.") from None
    except Refused as refused:
        raise Refused(
            f"{what} is not accepted: {refused.sentence}; nothing was changed. Get the release "
            "anew from who made it, or make the home trust its key (HOME/trusted.keys)."
        ) from None


def _refuse_other(part: Part, found: str) -> None:
    if found != part.sha256:
        raise Refused(
            f"{part.path} is not what the signed manifest says (SHA-256 {found[:12]}, should be "
            f"{part.sha256[:12]}); nothing was added. Get the release anew."
        )


class _Source:
    """What a release is brought from: a folder, or one file."""

    def __init__(self, path: Path, tar: tarfile.TarFile | None) -> None:
        self._path, self._tar = path, tar

    def open(self, name: str) -> BinaryIO:
        """Open one of its files. Raises Refused if it is not there."""
        try:
            if self._tar is None:
                return (self._path / name).open("rb")
            found = self._tar.extractfile(name)
        except (FileNotFoundError, NotADirectoryError, KeyError):
            found = None
        except tarfile.TarError as error:
            raise Refused(f"{self._path} is damaged: {error}; nothing was added.") from None
        if found is None:
            raise Refused(f"{self._path} is not whole: it has no {name}; nothing was added.")
        return found  # type: ignore[return-value]  # typeshed: IO[bytes]

    def read(self, name: str) -> bytes:
        """Read a small file whole."""
        with self.open(name) as file:
            text = file.read(MANIFEST_MAX + 1)
        if len(text) > MANIFEST_MAX:
            raise Refused(f"{self._path}: {name} has more than {MANIFEST_MAX} bytes.")
        return text


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[_Source]:
    if path.is_dir():
        yield _Source(path, None)
        return
    if not path.exists():
        raise NotFound(f"there is no release at {path}: a folder or a file NAME.tar.")
    try:
        tar = tarfile.open(path, "r:")  # noqa: SIM115  closed below, and its errors told apart
    except (tarfile.TarError, OSError) as error:
        raise UsageError(f"{path} is neither a folder nor a .tar of a release: {error}.") from None
    with tar:
        yield _Source(path, tar)
