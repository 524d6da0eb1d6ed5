"""A second release of this program: an environment of its own, its code a changed copy."""

from __future__ import annotations

import json
import shutil
import sys
import sysconfig
import venv
from pathlib import Path

import risk_daemon
from risk_daemon.depot.files import digest_of_folder
from risk_daemon.errors import OperatorError

SOURCE = Path(risk_daemon.__file__).parent


def install(home: Path, release: str, *changes: tuple[str, str, str]) -> None:
    """Make `release` of the home from this code; each change is (file, old text, new text).

    OperatorError if an old text does not stand exactly once in its file.
    """
    folder = home / "releases" / release
    venv.create(folder, with_pip=False, symlinks=sys.platform != "win32")
    code = folder / "code" / "risk_daemon"
    shutil.copytree(SOURCE, code, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in changes:
        text = (code / name).read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise OperatorError(f"{name} has {old!r} {text.count(old)} times, not once")
        (code / name).write_text(text.replace(old, new), encoding="utf-8")
    sites = [folder / "Lib" / "site-packages", *folder.glob("lib/python*/site-packages")]
    site = next(one for one in sites if one.is_dir())
    (site / "0.pth").write_text(f"{code.parent}\n{sysconfig.get_path('purelib')}\n")
    signed = {"code": digest_of_folder(code)}
    (folder / "manifest.json").write_text(json.dumps(signed), encoding="utf-8")
    (folder / "staged.json").write_text("{}", encoding="utf-8")
