"""`release`: made from a checkout, brought into the depot, unpacked into a home."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import psutil

from risk_daemon.depot import files, making, signing, staging
from risk_daemon.depot.manifest import digest_of, misfits, ranges_of
from risk_daemon.depot.staging import Staged
from risk_daemon.depot.store import Depot, Release, accept
from risk_daemon.errors import NotFound, OperatorError, Refused, UsageError
from risk_daemon.operations import home as homes
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import FAILED, Outcome
from risk_daemon.operations.private import open_to_others
from risk_daemon.operations.releases import following, trusting
from risk_daemon.operations.releases import gaps as gap_of
from risk_daemon.operations.releases.fitting import home_ranges, misfits_of
from risk_daemon.operations.releases.needs import Needs
from risk_daemon.operations.releases.needs import of_home as needs_of
from risk_daemon.operations.state_file import FILE
from risk_daemon.operations.words import count, iso

TAR: Final = ".tar"
#: Releases that stay although nobody needs them now: there must be something to go back to.
KEPT: Final = 3
NICENESS: Final = 10

type Say = Callable[[str], None]


def keygen(out: Path) -> Outcome:
    """Make a key: the secret half in `out`, readable by us only, the public one beside it."""
    public = out.with_name(f"{out.name}.pub")
    for path in (out, public):
        if path.exists():
            raise Refused(f"{path} exists already; nothing was written. Choose another --out.")
    pair = signing.fresh_pair()
    with files.told("writing the key"):
        out.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(pair.secret)
        public.write_bytes(pair.public)
    lines = (
        f"secret key {pair.trusted.name} in {out}: keep it where releases are made, nowhere else",
        f"public key in {public}: {pair.trusted.text}",
    )
    return Outcome(
        lines,
        data={"key": pair.trusted.name, "secret": str(out), "public": pair.trusted.text},
        next_command=f"risk-daemon-admin init --trust {public} ...",
    )


def make(checkout: Path, out: Path | None, key: Path, say: Say, *, dry_run: bool) -> Outcome:
    """Make a release of what is committed, sign it, and write it to `out`."""
    secret = _secret(key)
    cache = checkout / ".dev" / "releases"
    made = making.make(checkout, cache, say)
    manifest, digest = made.manifest, digest_of(made.text)
    signature = signing.sign(made.text, secret, making.signed_comment(manifest, digest))
    target = out if out is not None else cache / "out" / manifest.version
    data = {
        "version": manifest.version,
        "digest": digest,
        "commit": manifest.commit,
        "out": str(target),
        "wheels": len(manifest.wheels),
        "bytes": manifest.size,
    }
    lines = (
        f"{manifest.version} of commit {manifest.commit[:12]}: {target}",
        f"{count(len(manifest.wheels), 'wheel')}, {manifest.size / 1e6:.0f} MB",
        f"digest {digest}",
    )
    if dry_run:
        return Outcome(lines, data=data, notes=("nothing was written",))
    if out is None:
        files.remove(target)
    elif target.exists():
        raise Refused(f"{target} exists already; nothing was written. Choose another --out.")
    target.parent.mkdir(parents=True, exist_ok=True)
    write = making.write_file if target.suffix == TAR else making.write_folder
    write(made, signature, target)
    return Outcome(lines, data=data, next_command=f"risk-daemon-admin release add {target}")


def _secret(path: Path) -> bytes:
    """Read a secret key that nobody else can read."""
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        raise NotFound(
            f"there is no key {path}: make one with "
            f"`risk-daemon-admin release keygen --out {path}`."
        ) from None
    except OSError as error:
        raise UsageError(f"the key {path} can't be read: {error.strerror or error}.") from None
    if mode := open_to_others(path):
        raise Refused(
            f"the key {path} may be used by others (mode {mode}); nothing was signed. "
            f"`chmod 600 {path}`, and make a new key if others have read it."
        )
    return secret


# --- the depot --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Act:
    """Who changes something, when, and who hears about it meanwhile; or only looks at it."""

    at_ns: int
    by: str
    say: Say
    dry_run: bool = False


def add(at: Home, depot: Depot, source: Path, act: Act) -> Outcome:
    """Bring a release into the depot, verified by the home's keys, or change nothing."""
    homes.read(at)
    if act.dry_run:
        manifest, is_new = depot.check(source, trusting.of_home(at))
        did = "would be added to" if is_new else "is already in"
        return Outcome(
            (f"{manifest.version} {did} the depot {depot.path}",),
            data={"version": manifest.version, "added": False},
            notes=("nothing was done",),
        )
    release, is_new = depot.add(source, trusting.of_home(at), act.at_ns, act.by, act.say)
    with depot.changing():
        depot.remember(at.path)
    did = "added to" if is_new else "is already in"
    return Outcome(
        (f"{release.version} {did} the depot {depot.path}", f"digest {release.digest}"),
        data={"version": release.version, "digest": release.digest, "added": is_new},
        next_command=f"risk-daemon-admin release stage {release.version}",
    )


def listed(at: Home, depot: Depot) -> Outcome:
    """Every release of the depot, and what this home has of it."""
    needs, staged = needs_of(at), staging.staged_in(at.releases)
    rows = [_row(depot.get(version), needs, staged.get(version)) for version in depot.versions()]
    lines = tuple(
        f"{row['version']}  {row['digest'][:12]}  commit {row['commit'][:12]}  "
        f"{row['bytes'] / 1e6:.0f} MB  {'staged' if row['staged'] else 'not staged here'}"
        f"{_held(row['accounts'])}"
        for row in rows
    )
    return Outcome(
        lines or (f"no release is in the depot {depot.path}",),
        data={"depot": str(depot.path), "releases": rows},
        next_command="" if lines else "risk-daemon-admin release add --help",
    )


def _held(accounts: list[int]) -> str:
    return f"  holds {count(len(accounts), 'account')}" if accounts else ""


def _row(release: Release, needs: Needs, staged: Staged | None) -> dict[str, Any]:
    manifest = release.manifest
    return {
        "version": release.version,
        "digest": release.digest,
        "commit": manifest.commit,
        "code": manifest.part(manifest.wheel).sha256,
        "bytes": manifest.size,
        "python": manifest.python,
        "platform": manifest.platform,
        "schemas": {name: list(both) for name, both in ranges_of(manifest.schemas).items()},
        "added_at": iso(release.added_at),
        "added_by": release.added_by,
        "staged": staged is not None,
        "configuration": staged.configuration if staged else "",
        "accounts": list(needs.held.get(release.version, [])),
    }


def shown(at: Home, depot: Depot, version: str) -> Outcome:
    """One release: the triple it is, who signed it, its parts, who holds accounts in it."""
    release = depot.get(version)
    trusted = trusting.of_home(at)
    accept(release.text, release.signature, trusted, version)
    signer = signing.verify(release.text, release.signature, trusted)
    needs = needs_of(at)
    row = _row(release, needs, staging.staged_in(at.releases).get(version))
    ranges = ", ".join(
        f"{name} {oldest} to {newest}"
        for name, (oldest, newest) in ranges_of(release.manifest.schemas).items()
    )
    accounts = ", ".join(map(str, row["accounts"])) or "nobody"
    gaps = _gaps(at, version)
    above = (
        f"{version}: digest {release.digest}",
        f"  code           {release.manifest.wheel} {row['code']}",
        f"  configuration  {row['configuration'] or 'chosen when it is staged'}",
        f"  schemas        {ranges}",
        f"  commit         {row['commit']}",
        f"  for            {row['python']} on {row['platform']}",
        f"  signed by      {signer.name}",
        f"  added          {row['added_at']} by {row['added_by']}",
        f"  staged         {'yes' if row['staged'] else 'no'}",
        f"  accounts       {accounts}",
        f"  gap            {gap_of.in_words(gaps)}",
    )
    parts = release.manifest.parts
    lines = tuple(f"  {one.sha256}  {one.path}" for one in parts)
    told = {one.path: one.sha256 for one in parts}
    data = row | {"signer": signer.name, "parts": told, "gap_ms": msgspec.to_builtins(gaps)}
    return Outcome(lines, data=data, above=above)


def _gaps(at: Home, version: str) -> gap_of.Gaps:
    """What the home's own journal says of its hand-overs; nothing where it has not run yet."""
    try:
        return gap_of.of_release(at.state / FILE, version)
    except NotFound:
        return gap_of.summed([], 0)


def verified(at: Home, depot: Depot, version: str) -> Outcome:
    """Compare signature, parts and what is staged with each other, and all with the home's file."""
    release = depot.get(version)
    wrong = []
    try:
        accept(release.text, release.signature, trusting.of_home(at), version)
    except Refused as refused:
        wrong.append(refused.sentence)
    wrong += [f"{one.path} {one.why}" for one in depot.damages(release)]
    folder = at.releases / version
    is_staged = folder.exists()
    if is_staged:
        try:
            staged = staging.read(folder)
            foreign = "" if staged.release == release.digest else f"{folder} is of another release"
            said = foreign or staging.difference(folder, staged)
        except OperatorError as error:
            said = error.sentence
        wrong += [said] if said else []
    wrong += misfits_of(at, release.manifest.schemas, folder)
    data = {"version": version, "digest": release.digest, "staged": is_staged, "wrong": wrong}
    if wrong:
        lines = tuple(f"{version}: {one}" for one in wrong)
        return Outcome(lines, FAILED, data, next_command="risk-daemon-admin release add --help")
    here = "signature, parts and unpacked files" if is_staged else "signature and parts"
    return Outcome((f"{version}: {here} are as signed",), data=data)


# --- into the home ------------------------------------------------------------------


def stage(at: Home, depot: Depot, version: str, act: Act) -> Outcome:
    """Unpack a release into the home, ready to be switched to; nothing is switched."""
    homes.read(at)
    with contextlib.nullcontext() if act.dry_run else depot.changing():
        release = depot.get(version)
        accept(release.text, release.signature, trusting.of_home(at), version)
        _refuse_misfit(at, release)
        if damages := depot.damages(release):
            one = damages[0]
            raise Refused(
                f"{version} is damaged in the depot ({one.path} {one.why}); nothing was changed. "
                f"`risk-daemon-admin release add` it again."
            )
        folder = at.releases / version
        if (folder / staging.STAGED).is_file():
            return _staged_before(folder, release)
        if act.dry_run:
            line = f"{version} would be staged in {folder}"
            return Outcome((line,), data={"version": version}, notes=("nothing was done",))
        depot.remember(at.path)
        _be_patient()
        at.releases.mkdir(exist_ok=True, mode=0o700)
        about = staging.Circumstances(_configuration(at), act.at_ns, act.by)
        staged = staging.stage(depot, release, folder, about, act.say)
        launcher = following.write_commands(at)
    act.say(f"{launcher} follows the release that holds the most accounts")
    return Outcome(
        (f"{version} is staged in {folder}", f"digest {staged.release}"),
        data={"version": version, "digest": staged.release, "folder": str(folder), "new": True},
        next_command=f"risk-daemon-admin release verify {version}",
    )


def _staged_before(folder: Path, release: Release) -> Outcome:
    """Say that it is there; refuse one that is not what it was."""
    staged = staging.read(folder)
    foreign = staged.release != release.digest
    said = f"{folder} is of another release" if foreign else staging.difference(folder, staged)
    if said:
        raise Refused(
            f"{said}; nothing was changed. When nothing runs from it, remove {folder} and stage "
            f"{release.version} again."
        )
    data = {"version": release.version, "digest": staged.release, "folder": str(folder)}
    line = f"{release.version} is staged in {folder} already"
    return Outcome((line,), data=data | {"new": False})


def _refuse_misfit(at: Home, release: Release) -> None:
    """A release must be able to live with the home's state file as it is."""
    if said := misfits(release.manifest.schemas, home_ranges(at)):
        raise Refused(
            f"{release.version} does not fit the home {at.path}: {'; '.join(said)}; nothing was "
            "changed. Stage a release that can live with it."
        )


def _configuration(at: Home) -> str:
    """The commit of the configuration that a release joins in this home; empty without history."""
    # Imported here: dulwich is slow to load.
    from dulwich.errors import NotGitRepository

    from risk_daemon.operations.configuration import history

    try:
        return history.head(at.config)
    except (NotGitRepository, KeyError):
        return ""


def _be_patient() -> None:
    """Let whatever guards accounts on this machine go first."""
    mine = psutil.Process()
    if sys.platform == "win32":
        mine.nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        mine.nice(max(mine.nice(), NICENESS))


# --- letting go -----------------------------------------------------------------------


def prune(at: Home, depot: Depot, version: str | None, *, dry_run: bool) -> Outcome:
    """Let old releases go, here and in the depot; the last three, and what is needed, stay."""
    homes.read(at)
    with contextlib.nullcontext() if dry_run else depot.changing():
        mine = needs_of(at)
        others = [needs_of(Home(home)) for home in depot.homes().values() if home != at.path]
        known, here = depot.versions(), list(staging.staged_in(at.releases))
        if version is not None:
            if version not in (*known, *here):
                depot.get(version)
            _refuse_needed(version, known, [mine, *others])
            unstaged, gone = [one for one in here if one == version], [version]
        else:
            unstaged = [one for one in here[:-KEPT] if not mine.why(one)]
            gone = [one for one in known[:-KEPT] if not _why([mine, *others], one)]
        left = mine.staged - set(unstaged)
        elsewhere = {one for needs in others for one in needs.staged}
        gone = [one for one in gone if one in known and one not in left | elsewhere]
        if dry_run:
            freed = 0
        else:
            for one in unstaged:
                _remove_staged(at.releases / one)
            freed = depot.let_go(gone)
    lines = [
        f"{one}: {'would be ' if dry_run else ''}removed from {at.releases}" for one in unstaged
    ]
    lines += [f"{one}: {'would be ' if dry_run else ''}removed from the depot" for one in gone]
    data = {"staged": unstaged, "depot": gone, "freed_bytes": freed}
    return Outcome(
        tuple(lines) or ("nothing to remove",),
        data=data,
        notes=("nothing was done",) if dry_run else (),
    )


def _why(needs: list[Needs], version: str) -> str:
    return next((said for one in needs if (said := one.why(version))), "")


def _refuse_needed(version: str, known: list[str], needs: list[Needs]) -> None:
    said = _why(needs, version)
    if not said and version in known[-KEPT:]:
        said = f"it is one of the last {KEPT}"
    if said:
        raise Refused(f"{version} is not removed: {said}; nothing was changed.")


def _remove_staged(folder: Path) -> None:
    """Remove it; away from its name first, so that half of it never looks whole."""
    gone = folder.with_name(f".{folder.name}.gone")
    files.remove(gone)
    files.rename(folder, gone)
    files.remove(gone)
