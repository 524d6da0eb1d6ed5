"""Making a release from a checkout: the commit's own tree, and every wheel its lock names.

What is made depends on the commit alone. The program's wheel is made from the
files of the commit, not from the folder around it, with the commit's time in
every entry; the wheels of others are those of the lock, by their hashes.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import io
import json
import os
import platform
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from risk_daemon.depot import files
from risk_daemon.depot.manifest import (
    EVIDENCE,
    LOCK,
    MANIFEST,
    SIGNATURE,
    Manifest,
    Part,
    Range,
    Schemas,
    encode,
    is_version,
    tree_digest,
)
from risk_daemon.errors import NotFound, OperatorError, Refused, UsageError

PACKAGE: Final = "risk_daemon"
SOURCES: Final = f"src/{PACKAGE}/"
#: Where a checkout keeps what it measured, and its commit the notes of each release.
MEASURED: Final = ".dev/evidence"
NOTES: Final = "docs/releases/"
#: Where a listing in CycloneDX, which has no field for it, says what commit it is of.
COMMIT_PROPERTY: Final = "risk-daemon:commit"
#: What a wheel is made of; nothing else of a checkout takes part.
_ALSO: Final = ("pyproject.toml", "README.md", LOCK)
_SCHEMAS: Final = f"{SOURCES}schemas.py"
#: A ZIP can't tell of earlier times, nor of odd seconds.
_EARLIEST: Final = 315_532_800
_SHOWN: Final = 3

type Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Commit:
    """The files of one commit that a release is made of."""

    name: str
    at: int
    files: Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Made:
    """A release that was just made: its texts, and where its parts lie."""

    manifest: Manifest
    text: bytes
    parts: Mapping[str, Path]


def python_tag() -> str:
    """The Python a release made here is for, like cp312."""
    name = {"CPython": "cp", "PyPy": "pp"}.get(platform.python_implementation(), "py")
    return f"{name}{sys.version_info.major}{sys.version_info.minor}"


def system_name() -> str:
    """The operating system by name, version and machine, like debian 12 x86_64."""
    try:
        told = platform.freedesktop_os_release()
        name = f"{told.get('ID', '')} {told.get('VERSION_ID', '')}".strip()
    except OSError:
        name = f"{platform.system()} {platform.release()}"
    return f"{name} {platform.machine()}"


def platform_tag() -> str:
    """The kind of machine a release made here is for, like linux-x86_64."""
    return sysconfig.get_platform()


# --- the commit -----------------------------------------------------------------


def read_commit(checkout: Path) -> Commit:
    """Read what is committed. Raises Refused where the folder differs from it."""
    commit = _read(checkout, is_parent=False)
    _refuse_edits(checkout, commit)
    return commit


def read_parent(checkout: Path) -> Commit:
    """Read the commit before the newest one. Raises NotFound where there is none."""
    return _read(checkout, is_parent=True)


def read_named(checkout: Path, commit: str) -> Commit:
    """Read a commit by its whole name. Raises NotFound where the checkout has none."""
    return _read(checkout, is_parent=False, named=commit)


def _read(checkout: Path, *, is_parent: bool, named: str = "") -> Commit:
    # Imported here: dulwich is slow to load.
    from dulwich.errors import NotGitRepository
    from dulwich.objects import Commit as Head
    from dulwich.repo import Repo

    try:
        repo = Repo(str(checkout))
    except NotGitRepository:
        raise NotFound(
            f"{checkout} is no checkout of this program: run it in one, or name it with --from."
        ) from None
    with repo:
        try:
            head = repo[repo.head()]
        except KeyError:
            raise Refused(f"{checkout} has no commit yet: commit first.") from None
        assert isinstance(head, Head)
        if named:
            try:
                head = repo[named.encode()]
            except KeyError:
                raise NotFound(
                    f"{checkout} has no commit {named[:12]}: fetch it, then again."
                ) from None
            assert isinstance(head, Head)
        if is_parent:
            if not head.parents or head.parents[0] not in repo.object_store:
                raise NotFound(
                    f"{checkout} has no commit before {head.id.decode()[:12]}: a clone without "
                    "its history has none; fetch it with `git fetch --unshallow`."
                )
            head = repo[head.parents[0]]
            assert isinstance(head, Head)
        found = {
            entry.path.decode(): repo[entry.sha].as_raw_string()
            for entry in repo.object_store.iter_tree_contents(head.tree)
            if _takes_part(entry.path.decode())
        }
        commit = Commit(head.id.decode(), int(head.commit_time), found)
    for name in (*_ALSO, _SCHEMAS):
        if name not in found:
            raise NotFound(f"the commit {commit.name[:12]} of {checkout} has no {name}.")
    return commit


def _takes_part(path: str) -> bool:
    return path in _ALSO or path.startswith((SOURCES, NOTES))


def _refuse_edits(checkout: Path, commit: Commit) -> None:
    """Refuse a folder that holds other code than its commit: nobody could make it again."""
    here = {
        path.relative_to(checkout).as_posix()
        for path in (checkout / SOURCES).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    edited = sorted(
        name
        for name in here | set(commit.files)
        if commit.files.get(name) != _content(checkout / name)
    )
    if edited:
        more = f" and {len(edited) - _SHOWN} more" if len(edited) > _SHOWN else ""
        raise Refused(
            f"{', '.join(edited[:_SHOWN])}{more} differ from commit {commit.name[:12]}: "
            "commit or remove them, so that this release can be made again."
        )


def _content(path: Path) -> bytes | None:
    """A file as git stores it: with plain line ends, as checkouts on Windows may not have."""
    try:
        return path.read_bytes().replace(b"\r\n", b"\n")
    except OSError:
        return None


def schemas_of(source: str) -> Schemas:
    """Read the ranges from the text of `schemas.py`. Raises UsageError."""
    wanted = {"RECORDS", "SNAPSHOTS", "STATE_FILE"}
    found: dict[str, Range] = {}
    for node in ast.parse(source).body:
        match node:
            case ast.AnnAssign(target=ast.Name(id=name), value=ast.Tuple() as value) if (
                name in wanted
            ):
                oldest, newest = ast.literal_eval(value)
                found[name] = (int(oldest), int(newest))
            case _:
                pass
    if missing := wanted - found.keys():
        raise UsageError(
            f"{_SCHEMAS} does not say {', '.join(sorted(missing))} as (oldest, newest)."
        )
    return Schemas(found["RECORDS"], found["SNAPSHOTS"], found["STATE_FILE"])


# --- wheels ---------------------------------------------------------------------


def make(checkout: Path, cache: Path, say: Say) -> Made:
    """Make a release; its parts lie in `cache` afterwards, unsigned."""
    commit = read_commit(checkout)
    say(f"commit {commit.name[:12]}, {python_tag()} on {platform_tag()}")
    with files.told("making the release"):
        own = own_wheel(commit, cache / "own" / commit.name)
        others = _locked_wheels(commit.files[LOCK], cache, say)
        lock = cache / "own" / commit.name / LOCK
        lock.write_bytes(commit.files[LOCK])
        parts = {f"wheels/{one.name}": one for one in (own, *others)} | {LOCK: lock}
        parts |= _evidence(checkout, commit, version_of(own.name), cache, say)
        manifest = Manifest(
            version=version_of(own.name),
            commit=commit.name,
            made_at=commit.at,
            python=python_tag(),
            platform=platform_tag(),
            wheel=f"wheels/{own.name}",
            code=tree_digest(code_of(own)),
            schemas=schemas_of(commit.files[_SCHEMAS].decode()),
            parts=tuple(
                Part(name, files.digest_of_file(path), path.stat().st_size)
                for name, path in sorted(parts.items())
            ),
        )
    if not is_version(manifest.version):
        raise UsageError(f"pyproject.toml says version {manifest.version[1:]!r}, not like 1.2.0.")
    return Made(manifest, encode(manifest), parts)


def _evidence(
    checkout: Path, commit: Commit, version: str, cache: Path, say: Say
) -> dict[str, Path]:
    """What was measured of exactly this commit, and the notes that the commit has of the release.

    What was measured of another commit stays behind: no gate is green for another release.
    """
    found = {
        f"{EVIDENCE}{path.name}": path
        for path in sorted((checkout / MEASURED).glob("*.json"))
        if commit_of(path) == commit.name
    }
    notes = commit.files.get(f"{NOTES}{version}.md")
    if notes is not None:
        page = cache / "own" / commit.name / "notes.md"
        page.write_bytes(notes)
        found[f"{EVIDENCE}notes.md"] = page
    names = ", ".join(name.removeprefix(EVIDENCE) for name in found)
    say(f"evidence of this commit: {names or 'none'}")
    return found


def commit_of(path: Path) -> str:
    """The commit that a file of evidence says it is of; empty where it says none."""
    try:
        told = json.loads(path.read_bytes())
        if "commit" in told:
            return str(told["commit"])
        about = {one["name"]: one["value"] for one in told["metadata"]["properties"]}
        return str(about.get(COMMIT_PROPERTY, ""))
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def version_of(wheel: str) -> str:
    """A release's name from the file name of its own wheel."""
    return f"v{wheel.split('-')[1]}"


def code_of(wheel: Path) -> dict[str, str]:
    """The program's files in a wheel, each with its digest, as they will lie in its package."""
    with zipfile.ZipFile(wheel) as opened:
        return {
            name.removeprefix(f"{PACKAGE}/"): hashlib.sha256(opened.read(name)).hexdigest()
            for name in opened.namelist()
            if name.startswith(f"{PACKAGE}/") and not name.endswith("/")
        }


def own_wheel(commit: Commit, target: Path) -> Path:
    """Make the program's wheel from the commit's files, in a place of their own."""
    if importlib.util.find_spec("hatchling") is None:
        raise UsageError(
            "releases are made in the environment of a checkout, which has what makes wheels: "
            "`./dev run release build`."
        )
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.whl"):
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="risk-daemon-release-") as scratch:
        for name, content in commit.files.items():
            if name.startswith(NOTES):
                continue
            path = Path(scratch) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
        time = str(max(commit.at, _EARLIEST))
        _run(words, "making the wheel", Path(scratch), {"SOURCE_DATE_EPOCH": time})
    return next(iter(target.glob("*.whl")))


def _locked_wheels(lock: bytes, cache: Path, say: Say) -> list[Path]:
    """Every wheel of the lock for this machine; fetched once per lock, with hashes checked."""
    name = f"{hashlib.sha256(lock).hexdigest()[:16]}-{python_tag()}-{platform_tag()}"
    target = cache / "wheels" / name
    if not target.is_dir():
        say("fetching the wheels that the lock names (once per lock, a minute or two) ...")
        partial = target.with_name(f"{name}.part")
        files.remove(partial)
        partial.mkdir(parents=True)
        (partial / LOCK).write_bytes(lock)
        pip = [str(_tools(cache, say)), "-m", "pip", "download", "--quiet", "--no-deps"]
        pip += ["--disable-pip-version-check", "--require-hashes", "--only-binary", ":all:"]
        _run([*pip, "-r", LOCK, "-d", "."], "fetching the wheels", partial)
        partial.rename(target)
    return sorted(target.glob("*.whl"))


def _tools(cache: Path, say: Say) -> Path:
    """An interpreter with Python's own pip; the environment we run in may have none."""
    folder = cache / "tools"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    if not python.exists():
        say("making an environment with pip ...")
        venv.EnvBuilder(with_pip=True, clear=True, symlinks=sys.platform != "win32").create(folder)
    return python


def _run(words: list[str], what: str, at: Path, more: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        words,
        cwd=at,
        env={**environment(), **(more or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    if done.returncode != 0:
        said = done.stdout.decode("utf-8", "replace").strip().splitlines()[-3:]
        raise OperatorError(f"{what} failed (exit {done.returncode}): {' | '.join(said)}")


def environment() -> dict[str, str]:
    """What tools see of ours: where indexes are is theirs to know, what to import is not."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


# --- writing it down ----------------------------------------------------------------


def write_folder(made: Made, signature: bytes, target: Path) -> None:
    """Write a release as a folder, whole or not at all."""
    partial = target.with_name(f".{target.name}.part")
    files.remove(partial)
    with files.told(f"writing {target}"):
        try:
            (partial / "wheels").mkdir(parents=True)
            for name, path in made.parts.items():
                (partial / name).parent.mkdir(exist_ok=True)
                with path.open("rb") as source:
                    files.copy(source, partial / name, path.stat().st_size)
            files.write(partial / MANIFEST, made.text)
            files.write(partial / SIGNATURE, signature)
            files.rename(partial, target)
        finally:
            files.remove(partial)


def write_file(made: Made, signature: bytes, target: Path) -> None:
    """Write a release as one file, the same bytes for the same release."""
    partial = target.with_name(f".{target.name}.part")
    with files.told(f"writing {target}"):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar:
                for name, text in ((MANIFEST, made.text), (SIGNATURE, signature)):
                    tar.addfile(_member(name, len(text), made.manifest.made_at), io.BytesIO(text))
                for one in made.manifest.parts:
                    with made.parts[one.path].open("rb") as source:
                        tar.addfile(_member(one.path, one.size, made.manifest.made_at), source)
            files.rename(partial, target)
        finally:
            files.remove(partial)


def _member(name: str, size: int, at: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, at, 0o644
    return member


def signed_comment(manifest: Manifest, digest: str) -> str:
    """What the signature says in words, signed too; without a time, so that it can be repeated."""
    return f"risk-daemon {manifest.version} sha256:{digest}"
