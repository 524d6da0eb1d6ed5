"""A second release of this program: an environment of its own, its code a changed copy."""

from __future__ import annotations

import shutil
import sys
import sysconfig
import venv
from pathlib import Path

import risk_daemon

SOURCE = Path(risk_daemon.__file__).parent


def install(home: Path, release: str, *changes: tuple[str, str, str]) -> None:
    """Make `release` of the home from this code; each change is (file, old text, new text)."""
    folder = home / "releases" / release
    venv.create(folder, with_pip=False, symlinks=sys.platform != "win32")
    code = folder / "code" / "risk_daemon"
    shutil.copytree(SOURCE, code, ignore=shutil.ignore_patterns("__pycache__"))
    for name, old, new in changes:
        text = (code / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{name} has {old!r} {text.count(old)} times"
        (code / name).write_text(text.replace(old, new), encoding="utf-8")
    sites = [folder / "Lib" / "site-packages", *folder.glob("lib/python*/site-packages")]
    site = next(one for one in sites if one.is_dir())
    (site / "0.pth").write_text(f"{code.parent}\n{sysconfig.get_path('purelib')}\n")
