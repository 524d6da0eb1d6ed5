"""A release unpacked into a home: a virtual environment that runs, offline and compiled.

It is put together in a folder beside its place, with its final paths already
written into its scripts, then compared with its manifest, flushed, and named
last. What has the name is whole; `staged.json` in it says what it was then.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import msgspec
from installer import install
from installer.destinations import SchemeDictionaryDestination
from installer.exceptions import InstallerError
from installer.sources import WheelFile

from risk_daemon.depot import files, making
from risk_daemon.depot.manifest import MANIFEST, SIGNATURE, Manifest, tree_digest
from risk_daemon.depot.store import Depot, Release
from risk_daemon.errors import NotFound, OperatorError, Refused

STAGED: Final = "staged.json"
#: Unpacked and compiled, wheels take about this many times their own bytes.
_GROWS: Final = 5
_TOLD_EVERY: Final = 15
_LAUNCHER: Final = "win-amd64" if sys.platform == "win32" else "posix"
_SAYS: Final = (
    "import importlib.metadata as m, risk_daemon.schemas as s;"
    "print('v' + m.version('risk-daemon'), *s.RECORDS, *s.SNAPSHOTS, *s.STATE_FILE)"
)

type Say = Callable[[str], None]


class Staged(msgspec.Struct, frozen=True, kw_only=True):
    """What `staged.json` says. `release` and `installed` are digests, `at` nanoseconds of 1970."""

    format: int = 1
    version: str
    release: str
    code: str
    installed: str
    configuration: str
    python: str
    at: int
    by: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """When and by whom it is staged, and the commit of the configuration it joins."""

    configuration: str
    at: int
    by: str


def python_of(folder: Path) -> Path:
    """The interpreter of an unpacked release."""
    return folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def packages_of(folder: Path) -> Path:
    """Where an unpacked release has its packages."""
    if sys.platform == "win32":
        return folder / "Lib" / "site-packages"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return folder / "lib" / version / "site-packages"


def read(folder: Path) -> Staged:
    """Read what was staged. Raises NotFound for nothing, OperatorError for half of something."""
    try:
        return msgspec.json.decode((folder / STAGED).read_bytes(), type=Staged)
    except FileNotFoundError:
        if folder.exists():
            raise OperatorError(
                f"{folder} is not whole; "
                f"`risk-daemon-admin release stage {folder.name}` does it anew."
            ) from None
        raise NotFound(
            f"{folder.name} is not staged in this home: "
            f"`risk-daemon-admin release stage {folder.name}`."
        ) from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise OperatorError(f"{folder / STAGED} is damaged: {error}.") from None


def difference(folder: Path, staged: Staged) -> str:
    """Say how an unpacked release differs from what was staged; empty if it does not."""
    if not python_of(folder).exists():
        return f"the Python that {folder} was tied to, {staged.python}, is gone"
    if files.digest_of_folder(packages_of(folder) / making.PACKAGE) != staged.code:
        return f"the program in {folder} is not the one of {staged.version}"
    if installed_digest(folder) != staged.installed:
        return f"{folder} is not as it was when it was staged"
    return ""


def installed_digest(folder: Path) -> str:
    """One digest of all that was unpacked and compiled."""
    tree = files.tree_of(folder, with_cache=True)
    tree.pop(STAGED, None)
    return tree_digest(tree)


# --- putting together ---------------------------------------------------------------


def stage(depot: Depot, release: Release, target: Path, about: Circumstances, say: Say) -> Staged:
    """Unpack a release into `target`, whole or not at all.

    Raises Refused for a release of
    another Python or platform, or one that turns out not to be what it says.
    """
    manifest = release.manifest
    _refuse_other_machine(manifest)
    # Each try in a folder of its own: a compiler of one that was killed may still write.
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    with files.told(f"staging {release.version}"):
        for left in target.parent.glob(".*.part"):
            shutil.rmtree(left, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            _room_for(manifest, partial)
            _environment(partial)
            _unpack(depot, manifest, partial, target, say)
            say("compiling ...")
            _compile(partial, target)
            _refuse_other_words(manifest, partial)
            _keep_evidence(depot, manifest, partial)
            files.write(partial / MANIFEST, release.text)
            files.write(partial / SIGNATURE, release.signature)
            staged = Staged(
                version=release.version,
                release=release.digest,
                code=_code(manifest, partial),
                installed=installed_digest(partial),
                configuration=about.configuration,
                python=str(Path(sys._base_executable)),  # type: ignore[attr-defined]  # noqa: SLF001
                at=about.at,
                by=about.by,
            )
            say("flushing ...")
            files.write(partial / STAGED, msgspec.json.format(msgspec.json.encode(staged)) + b"\n")
            files.flush_all(partial)
            files.remove(target)  # half a copy: whoever is whole is not staged again
            files.rename(partial, target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return staged


def _refuse_other_machine(manifest: Manifest) -> None:
    here = (making.python_tag(), making.platform_tag())
    if (manifest.python, manifest.platform) != here:
        raise Refused(
            f"{manifest.version} is for {manifest.python} on {manifest.platform}, this is "
            f"{here[0]} on {here[1]}; nothing was changed. Make the release on such a machine."
        )


def _room_for(manifest: Manifest, at: Path) -> None:
    need = manifest.size * _GROWS
    free = shutil.disk_usage(at).free
    if free < need:
        raise OperatorError(
            f"{at.parent} has {free / 1e6:.0f} MB free and staging {manifest.version} needs about "
            f"{need / 1e6:.0f} MB; nothing was changed. "
            "`risk-daemon-admin release prune` makes room."
        )


class _Bare(venv.EnvBuilder):
    """An environment without scripts that would name the folder it is made in."""

    def setup_scripts(self, context: SimpleNamespace) -> None:
        """Write none."""


def _environment(partial: Path) -> None:
    """Make the environment; its one text that names a place is written without it."""
    _Bare(symlinks=sys.platform != "win32").create(partial)
    settings = partial / "pyvenv.cfg"
    lines = settings.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("command")]
    settings.write_text("\n".join(kept) + "\n", encoding="utf-8")


def _unpack(depot: Depot, manifest: Manifest, partial: Path, target: Path, say: Say) -> None:
    scripts = "Scripts" if sys.platform == "win32" else "bin"
    packages = str(packages_of(partial))
    schemes = {
        "purelib": packages,
        "platlib": packages,
        "scripts": str(partial / scripts),
        "data": str(partial),
    }
    total = len(manifest.wheels)
    for number, one in enumerate(manifest.wheels, start=1):
        if number % _TOLD_EVERY == 0 or number == total:
            say(f"unpacked {number} of {total} wheels ...")
        name = one.path.removeprefix("wheels/")
        headers = str(partial / "include" / name.split("-")[0])
        destination = SchemeDictionaryDestination(
            schemes | {"headers": headers},
            interpreter=str(python_of(target)),
            script_kind=_LAUNCHER,
        )
        try:
            with zipfile.ZipFile(depot.part(one)) as opened:
                install(_wheel(opened, name), destination, {"INSTALLER": b"risk-daemon\n"})
        except (InstallerError, zipfile.BadZipFile, ValueError) as error:
            raise Refused(f"{name} can't be unpacked: {error}; nothing was changed.") from None


def _keep_evidence(depot: Depot, manifest: Manifest, partial: Path) -> None:
    """Lay what was measured beside what was unpacked: the gates read it, also without the depot."""
    for one in manifest.evidence:
        (partial / one.path).parent.mkdir(exist_ok=True)
        with depot.part(one).open("rb") as source:
            files.copy(source, partial / one.path, one.size)


def _wheel(opened: zipfile.ZipFile, name: str) -> WheelFile:
    """A wheel under its own name: the depot names files by their content."""
    opened.filename = name
    return WheelFile(opened)


def _compile(partial: Path, target: Path) -> None:
    """Compile everything now, not when it is switched to. Test data of some may not compile."""
    words = ["-m", "compileall", "-q", "-q", "-j", "0", "-s", str(partial), "-p", str(target)]
    _python(partial, [*words, str(packages_of(partial))])
    own = packages_of(partial) / making.PACKAGE
    missing = [
        path
        for path in own.rglob("*.py")
        if not list((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"))
    ]
    if missing:
        raise OperatorError(
            f"{missing[0].relative_to(partial)} and {len(missing) - 1} more could not be compiled; "
            "nothing was changed. Is the disk full?"
        )


def _python(partial: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python_of(partial)), *words],
        env=making.environment(),
        cwd=partial,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _refuse_other_words(manifest: Manifest, partial: Path) -> None:
    """Run it once: it must be of the version, and live with the schemas, that were signed."""
    done = _python(partial, ["-c", _SAYS])
    ranges = manifest.schemas
    numbers = (*ranges.records, *ranges.snapshots, *ranges.state_file)
    wanted = " ".join([manifest.version, *map(str, numbers)])
    if done.stdout.strip() != wanted:
        said = done.stdout.strip() or (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise Refused(
            f"{manifest.version} says {said[:200]!r} of itself when it is run, and should say "
            f"{wanted!r}; nothing was changed."
        )


def _code(manifest: Manifest, partial: Path) -> str:
    """The digest of the program as it lies there. Raises Refused if it is another one."""
    found = files.digest_of_folder(packages_of(partial) / making.PACKAGE)
    if found != manifest.code:
        raise Refused(
            f"the program that {manifest.version} unpacks to is not the one that was signed "
            f"({found[:12]}, should be {manifest.code[:12]}); nothing was changed."
        )
    return found


def staged_in(releases: Path) -> dict[str, Staged]:
    """Every whole release below a home's `releases/`, by its version, oldest first."""
    found = {}
    for folder in releases.iterdir() if releases.is_dir() else ():
        if (folder / STAGED).is_file() and not folder.name.startswith("."):
            found[folder.name] = read(folder)
    return dict(sorted(found.items(), key=lambda item: (item[1].at, item[0])))
