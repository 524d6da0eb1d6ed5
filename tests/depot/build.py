"""Builders of releases: small ones put together by hand, and checkouts to make real ones of."""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
import sysconfig
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from dulwich import porcelain
from dulwich.repo import Repo

from risk_daemon.depot import making, signing
from risk_daemon.depot.manifest import (
    LOCK,
    Manifest,
    Part,
    Range,
    Schemas,
    decode,
    encode,
    tree_digest,
)
from risk_daemon.stage import two_releases

ROOT = Path(__file__).resolve().parents[2]
COMMIT = "c" * 40
MADE_AT = 1_795_000_000
KEY = signing.fresh_pair()
STRANGER = signing.fresh_pair()


@dataclass(frozen=True)
class Recipe:
    """A small release; only what matters to a test is given."""

    version: str = "v1.0.0"
    state_file: Range = (1, 1)
    #: What its program says of the state file, if that is not what the manifest says.
    program_state_file: Range | None = None
    python: str = field(default_factory=making.python_tag)
    #: Files that are in the wheel, and not in the digest of the code that is signed.
    unsigned: dict[str, bytes] = field(default_factory=dict)
    key: signing.Pair = KEY
    #: What the program says; the version's own by default.
    says: str = ""
    #: What was measured of it, by the names of the files.
    evidence: dict[str, bytes] = field(default_factory=dict)
    #: Wheels of others: name to bytes of their only file.
    others: dict[str, bytes] = field(default_factory=lambda: {"other": b"HERE = True\n"})


def wheel(path: Path, name: str, version: str, files: dict[str, bytes]) -> None:
    """Write a wheel by hand, the same bytes every time."""
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{one},,\n" for one in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as opened:
        for one, content in {**files, f"{info}/RECORD": record.encode()}.items():
            opened.writestr(zipfile.ZipInfo(one), content)


def schemas_text(state_file: Range) -> str:
    """The one file of the program that whoever stages it looks at."""
    return f"RECORDS = (1, 1)\nSNAPSHOTS = (3, 3)\nSTATE_FILE = {state_file}\n"


def release(folder: Path, recipe: Recipe = Recipe()) -> Path:
    """Write a small release that is whole and signed."""
    (folder / "wheels").mkdir(parents=True)
    program = {
        "__init__.py": f"# {recipe.says}\n".encode(),
        "schemas.py": schemas_text(recipe.program_state_file or recipe.state_file).encode(),
    }
    own = f"wheels/risk_daemon-{recipe.version[1:]}-py3-none-any.whl"
    inside = {**program, **recipe.unsigned}
    package = {f"risk_daemon/{name}": content for name, content in inside.items()}
    wheel(folder / own, "risk_daemon", recipe.version[1:], package)
    for name, content in recipe.others.items():
        path = folder / "wheels" / f"{name}-1.0-py3-none-any.whl"
        wheel(path, name, "1.0", {f"{name}.py": content})
    (folder / LOCK).write_text("# nothing\n")
    for name, content in recipe.evidence.items():
        (folder / "evidence").mkdir(exist_ok=True)
        (folder / "evidence" / name).write_bytes(content)
    names = sorted(
        [
            LOCK,
            *(f"wheels/{one.name}" for one in (folder / "wheels").iterdir()),
            *(f"evidence/{name}" for name in recipe.evidence),
        ]
    )
    manifest = Manifest(
        version=recipe.version,
        commit=COMMIT,
        made_at=MADE_AT,
        python=recipe.python,
        platform=making.platform_tag(),
        wheel=own,
        code=tree_digest({name: _digest(content) for name, content in program.items()}),
        schemas=Schemas((1, 1), (3, 3), recipe.state_file),
        parts=tuple(
            Part(one, _digest((folder / one).read_bytes()), (folder / one).stat().st_size)
            for one in names
        ),
    )
    sign(folder, encode(manifest), recipe.key)
    return folder


def sign(folder: Path, manifest: bytes, key: signing.Pair) -> None:
    """Write a manifest and a good signature of it."""
    (folder / "manifest.json").write_bytes(manifest)
    signature = signing.sign(manifest, key.secret, "made by a test")
    (folder / "manifest.json.minisig").write_bytes(signature)


def sign_anew(folder: Path) -> None:
    """Have the manifest say what its parts are now, and sign that."""
    manifest = decode((folder / "manifest.json").read_bytes())
    parts = tuple(
        Part(one.path, _digest(content), len(content))
        for one in manifest.parts
        for content in [(folder / one.path).read_bytes()]
    )
    sign(folder, encode(msgspec.structs.replace(manifest, parts=parts)), KEY)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- checkouts --------------------------------------------------------------------------


def checkout(folder: Path, version: str = "1.0.0", says: str = "") -> Path:
    """Write a small program with this project's own pyproject, and one package in its lock."""
    package = folder / "src" / "risk_daemon"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(f'"""A small one. {says}"""\n')
    shutil.copy(ROOT / "src" / "risk_daemon" / "schemas.py", package)
    project = (ROOT / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(
        re.sub(r'^version = ".*"$', f'version = "{version}"', project, flags=re.MULTILINE)
    )
    (folder / "README.md").write_text("A small one.\n")
    (folder / LOCK).write_text(lock_of("tzdata"))
    # What was fetched once is not fetched again: the lock's digest names it. The folder as a
    # whole is the link, for an environment is not made where a link is.
    kept = ROOT / ".dev" / "releases"
    kept.mkdir(parents=True, exist_ok=True)
    (folder / ".dev").mkdir()
    if sys.platform != "win32":
        (folder / ".dev" / "releases").symlink_to(kept)
    porcelain.init(str(folder)).close()
    commit(folder, "src/risk_daemon/__init__.py", "src/risk_daemon/schemas.py")
    return folder


def commit(folder: Path, *names: str) -> str:
    """Commit files at a fixed time, by nobody."""
    who = b"a test <test@localhost>"
    with Repo(str(folder)) as repo:
        tree = repo.get_worktree()
        tree.stage([*names, "pyproject.toml", "README.md", LOCK])
        return tree.commit(
            message=b"A commit",
            committer=who,
            author=who,
            commit_timestamp=MADE_AT,
            commit_timezone=0,
            author_timestamp=MADE_AT,
            author_timezone=0,
            sign=False,
        ).decode()


def commit_all(folder: Path) -> None:
    """Commit whatever has changed in a checkout."""
    porcelain.add(str(folder))
    with Repo(str(folder)) as repo:
        names = [name.decode() for name in porcelain.status(repo).staged["delete"]]
    assert names == []
    commit(folder)


def lock_of(name: str) -> str:
    """One package of the project's own lock, with its hashes."""
    lock = (ROOT / LOCK).read_text()
    found = re.search(rf"^{name}==.*?(?=^\S|\Z)", lock, re.MULTILINE | re.DOTALL)
    assert found
    return found.group()


def program(folder: Path, version: str) -> Path:
    """Write this program as a checkout of its own that takes others' packages from here.

    A release of it is made, signed and unpacked like any other, in a tenth of the time.
    """
    checkout = two_releases.changed(ROOT, folder, ())
    (checkout / "src" / "risk_daemon" / "here.pth").write_text(sysconfig.get_path("purelib") + "\n")
    module = checkout / "src" / "risk_daemon" / "__init__.py"
    module.write_text(f"{module.read_text()}\n# Other code than the one before: {version}.\n")
    project = checkout / "pyproject.toml"
    text = re.sub(
        r'^version = ".*"$', f'version = "{version}"', project.read_text(), flags=re.MULTILINE
    )
    project.write_text(
        text
        + "\n[tool.hatch.build.targets.wheel.force-include]\n"
        + '"src/risk_daemon/here.pth" = "here.pth"\n'
    )
    (checkout / LOCK).write_text(lock_of("tzdata"))
    commit(checkout, "src/risk_daemon/here.pth", "src/risk_daemon/__init__.py")
    return checkout
