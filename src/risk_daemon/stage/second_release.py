"""A second release of this program: an environment of its own, its code a changed copy or a wheel.

Quicker than staging: the packages of others are those of this environment. What a release has
that was really staged is shown by tests/depot and by `./dev demo upgrade`.
"""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

import risk_daemon
from risk_daemon.depot import making
from risk_daemon.depot.files import digest_of_folder
from risk_daemon.depot.staging import STAGED, Staged
from risk_daemon.errors import OperatorError

SOURCE = Path(risk_daemon.__file__).parent


def install(home: Path, release: str, *changes: tuple[str, str, str]) -> None:
    """Make `release` of the home from this code, changed as by `copy`, which see."""
    folder = home / "releases" / release
    copy(folder / "code", *changes)
    _finish(folder, {})


def copy(tree: Path, *changes: tuple[str, str, str]) -> None:
    """Copy this code into a tree; each change is (file, old text, new text).

    OperatorError if an old text does not stand exactly once in its file.
    """
    code = tree / "risk_daemon"
    shutil.copytree(SOURCE, code, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in changes:
        text = (code / name).read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise OperatorError(f"{name} has {old!r} {text.count(old)} times, not once")
        (code / name).write_text(text.replace(old, new), encoding="utf-8")


def build(checkout: Path, scratch: Path) -> Path:
    """Make the wheel of a checkout's commit, as `release build` does."""
    return making.own_wheel(making.read_commit(checkout), scratch)


def unpack(home: Path, wheel: Path) -> str:
    """Make a release of the home from its own wheel; return what it is called."""
    release = making.version_of(wheel.name)
    folder = home / "releases" / release
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(folder / "code")
    schemas = making.schemas_of((folder / "code" / making.PACKAGE / "schemas.py").read_text())
    _finish(folder, {"schemas": msgspec.to_builtins(schemas)})
    return release


def python_of(home: Path, release: str) -> Path:
    """The interpreter of a release made here."""
    scripts = "Scripts/python.exe" if sys.platform == "win32" else "bin/python"
    return home / "releases" / release / scripts


def _finish(folder: Path, told: Mapping[str, Any]) -> None:
    """Give the code an interpreter and a manifest: then it is whole."""
    venv.create(folder, with_pip=False, symlinks=sys.platform != "win32")
    code = folder / "code"
    sites = [folder / "Lib" / "site-packages", *folder.glob("lib/python*/site-packages")]
    site = next(one for one in sites if one.is_dir())
    (site / "0.pth").write_text(f"{code}\n{sysconfig.get_path('purelib')}\n")
    signed: dict[str, Any] = {"code": digest_of_folder(code / making.PACKAGE), **told}
    (folder / "manifest.json").write_text(json.dumps(signed), encoding="utf-8")
    staged = Staged(
        version=folder.name,
        release="",
        code=signed["code"],
        installed="",
        configuration="",
        python=sys.version.split()[0],
        at=0,
        by="a stage",
    )
    (folder / STAGED).write_bytes(msgspec.json.encode(staged))
