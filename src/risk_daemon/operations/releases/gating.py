"""The gates before anything moves: what a staged release and this home have to show for them.

Gathered anew whenever it is asked for, so that a file that was edited since is seen. Nothing here
decides: `rollout.gates` does.
"""

from __future__ import annotations

import contextlib
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from risk_daemon.clock import SECOND_NS
from risk_daemon.core.events import RolloutNoted
from risk_daemon.depot import files, making
from risk_daemon.depot.manifest import EVIDENCE, LOCK, MANIFEST, SIGNATURE, Manifest, decode
from risk_daemon.depot.manifest import tree_digest as digest_of_tree
from risk_daemon.depot.store import Depot, accept
from risk_daemon.errors import Malformed, OperatorError
from risk_daemon.journal.reader import Reader
from risk_daemon.journal.sqlite import UNREADABLE
from risk_daemon.operations import home
from risk_daemon.operations.backup import backup_list
from risk_daemon.operations.configuration.in_force import in_force
from risk_daemon.operations.home import Home
from risk_daemon.operations.releases import trusting
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.stored import entries
from risk_daemon.rollout import evidence, gates
from risk_daemon.rollout.evidence import Measured
from risk_daemon.rollout.gates import Backup, Case, Drill, Machine, Part, Said
from risk_daemon.rollout.row import ABORTED, ABORTING, ROLLED_BACK, ROLLING_BACK

#: What of `config/` says which deployment it is, and not what decides about accounts.
_OWN: Final = ("daemon.yaml", "rollout.yaml")
_ACCOUNTS: Final = "accounts/"
_BEGINS: Final = (ABORTING, ROLLING_BACK)
_ENDS: Final = (ABORTED, ROLLED_BACK)
#: Who goes back before anybody has moved has practised nothing.
_MOVED: Final = re.compile(r"account \d+ active")


def judge(at: Home, version: str, now: int, folder: Path | None = None) -> tuple[Said, ...]:
    """Return what each gate says of a release in this home at its own time (UTC ns).

    `folder` is where the release is unpacked, if that is in another home.
    """
    return judged(at, version, now, folder)[0]


def judged(
    at: Home, version: str, now: int, folder: Path | None = None
) -> tuple[tuple[Said, ...], Case | None]:
    """Return also what the gates went by; None where nothing could be looked at."""
    try:
        case = _case(at, version, now, folder or at.releases / version)
        return gates.judge(case), case
    except Exception as error:  # noqa: BLE001 - whatever it is: it is told, and no gate is green
        return gates.blind(version, f"it could not be looked at: {error}"), None


def _case(at: Home, version: str, now: int, folder: Path) -> Case:
    text = _read(folder / MANIFEST)
    manifest, unsigned = _signed(at, version, text, folder)
    # A rehearsal may have moved the home's time; evidence and backups are of the world's.
    ahead = int(in_force(at).clock_offset_s * SECOND_NS)
    stagings = [] if manifest is None else list(_stagings(at, version, text))
    both = alike(at, stagings[-1]) if stagings else (policy_digest(at), "")
    return Case(
        now=now - ahead,
        version=version,
        commit="" if manifest is None else manifest.commit,
        unsigned=unsigned,
        tests=_part(folder, manifest, evidence.TESTS, evidence.Suite),
        benchmarks=_part(folder, manifest, evidence.BENCHMARKS, evidence.Benchmarks),
        audit=_part(folder, manifest, evidence.AUDIT, evidence.Audit),
        sbom=_raw(folder, manifest, evidence.SBOM).digest,
        notes=_raw(folder, manifest, evidence.NOTES),
        here=Machine(
            system=making.system_name(),
            python=python_of(folder),
            lock="" if manifest is None else manifest.part(LOCK).sha256,
            configuration=both[0],
        ),
        rehearsed=both[1],
        drill=_drill([at, *stagings], now - ahead),
        backup=_backup(at),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _signed(at: Home, version: str, text: bytes, folder: Path) -> tuple[Manifest | None, str]:
    """Read a manifest, and say why its signature is not accepted; empty if it is."""
    try:
        manifest = decode(text)
    except Malformed as error:
        return None, f"the manifest of {version} can't be believed: {error}"
    if manifest.version != version:
        return None, f"the manifest of {version} is of {manifest.version}"
    try:
        accept(text, _read(folder / SIGNATURE), trusting.of_home(at), version)
    except OperatorError as error:
        return manifest, error.sentence
    return manifest, ""


# --- evidence ---


def _raw(folder: Path, manifest: Manifest | None, name: str) -> Part[bytes]:
    """Read one piece of evidence as it lies there, and compare it with what was signed."""
    path = f"{EVIDENCE}{name}"
    signed = {} if manifest is None else {one.path: one.sha256 for one in manifest.evidence}
    if path not in signed:
        return Part(None)
    content = _read(folder / path)
    found = files.digest_of_bytes(content)
    if found != signed[path]:
        why = f"{folder / path} is not what was signed: it was edited, or is damaged"
        return Part(None, found, why)
    return Part(content, found)


def _part[T: Measured](
    folder: Path, manifest: Manifest | None, name: str, kind: type[T]
) -> Part[T]:
    raw = _raw(folder, manifest, name)
    if raw.content is None:
        return Part(None, raw.digest, raw.spoilt)
    try:
        return Part(evidence.decode(raw.content, kind), raw.digest)
    except Malformed as error:
        return Part(None, raw.digest, f"{folder / EVIDENCE / name}: {error}")


# --- the home ---


def policy_digest(at: Home, *, is_common: bool = False) -> str:
    """One digest of what decides about accounts: of `config/` without what names the deployment.

    `is_common`: of what holds for every account, without the accounts' own files.
    """
    found = {
        path.relative_to(at.config).as_posix(): files.digest_of_file(path)
        for path in sorted(at.config.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(at.config).parts
    }
    return digest_of_tree(
        {
            name: one
            for name, one in found.items()
            if name not in _OWN and not (is_common and name.startswith(_ACCOUNTS))
        }
    )


def alike(at: Home, staging: Home) -> tuple[str, str]:
    """Return the digests of both policies by which production and staging are to be alike.

    A staging home with a user of its own guards other accounts, so their files say other names:
    there what is common is compared.
    """
    is_common = not set(in_force(at).accounts()) & set(in_force(staging).accounts())
    return policy_digest(at, is_common=is_common), policy_digest(staging, is_common=is_common)


def python_of(folder: Path) -> str:
    """The Python a staged release is tied to; ours where it does not say."""
    for line in _read(folder / "pyvenv.cfg").decode("utf-8", "replace").splitlines():
        name, _, value = line.partition("=")
        if name.strip() in ("version", "version_info"):
            return value.strip()
    return platform.python_version()


def _stagings(at: Home, version: str, text: bytes) -> Iterator[Home]:
    """Every staging home of this depot that has the same release unpacked."""
    for path in Depot(home.depot_path()).homes().values():
        other = Home(path)
        with contextlib.suppress(OperatorError, OSError):
            same = path != at.path and _read(other.releases / version / MANIFEST) == text
            if same and home.read(other).environment == "staging":
                yield other


def _backup(at: Home) -> Backup | None:
    newest = next(iter(backup_list.known(at)), None)
    if newest is None:
        return None
    if newest.manifest is None:
        return Backup(made_at=0, tried=True, why=newest.why)
    tried = newest.verified
    why = "" if tried is None else tried.why
    return Backup(made_at=newest.manifest.made_at, tried=tried is not None, why=why)


def _drill(places: list[Home], now: int) -> Drill | None:
    """The last way back that came to its end, here or in staging."""
    found: list[Drill] = []
    for place in places:
        # A file that can't be read shows no way back, and hides no other one.
        with contextlib.suppress(OperatorError, OSError, ValueError, *UNREADABLE):
            found += _ways_back(place, now)
    return max(found, key=lambda one: one.at, default=None)


def _ways_back(at: Home, now: int) -> Iterator[Drill]:
    file = at.state / FILE
    if not file.is_file():
        return
    ahead = int(in_force(at).clock_offset_s * SECOND_NS)
    with contextlib.closing(Reader(file)) as reader:
        since = reader.seq_since(now + ahead - gates.DRILL_DAYS * gates.DAY_NS)
    began: dict[str, int] = {}
    moved: set[str] = set()
    for entry in entries(file, ("rollout-noted",), since):
        fact = entry.fact
        if not isinstance(fact, RolloutNoted):
            continue
        if _MOVED.fullmatch(fact.what):
            moved.add(fact.rollout)
        elif fact.what in _BEGINS and fact.rollout in moved:
            began[fact.rollout] = entry.at
        elif fact.what in _ENDS and fact.rollout in began:
            yield Drill(entry.at - ahead, entry.at - began.pop(fact.rollout))
