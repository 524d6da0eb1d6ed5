"""`restore --config`: the files of the configuration that was in force last.

What is in force is in the journal; how it was written is in the configuration's
history. So the newest commit that says exactly what was adopted is written back.
Files are only a proposal: this may be done while the daemon runs.
"""

from __future__ import annotations

import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from risk_daemon.clock import Timekeeper
from risk_daemon.errors import NotFound, OperatorError, Refused
from risk_daemon.journal.swap import ASIDE
from risk_daemon.operations import home, state_file
from risk_daemon.operations.backup import backups
from risk_daemon.operations.changing import contacts
from risk_daemon.operations.configuration.loading import Configuration, load
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.state_file import Standing

COMMITS_MAX: Final = 1_000
#: What no way back touches: the history itself, and whom to call.
KEPT: Final = frozenset({".git", contacts.FILE})


def write_back(at: Home, who: Who, clock: Timekeeper, *, dry_run: bool) -> Outcome:
    """Write back the newest commit that says what was adopted last."""
    home.read(at)
    standing = state_file.standing(at)
    if standing.settings is None:
        raise NotFound("nothing was ever adopted here: there is no configuration to write back.")
    if says(at.config, standing):
        line = "the files say what is in force: nothing was written"
        return Outcome((line,), next_command="risk-daemon-admin config validate")
    # Imported here: dulwich is slow to load.
    from risk_daemon.operations.configuration import history

    with tempfile.TemporaryDirectory(prefix=".config-", dir=at.path) as scratch:
        commit, folder = _found(at, Path(scratch), standing)
        if dry_run:
            line = f"would write back commit {commit[:12]}"
            return Outcome((line,), data={"commit": commit}, notes=("nothing was done",))
        aside = at.path / ASIDE / backups.stamp(clock.now_ns()) / "config"
        _replace(at.config, folder, aside)
    written = history.ensure(at.config, who.by, f"Restored {commit[:12]}: {who.reason}")
    return Outcome(
        (f"wrote back commit {commit[:12]}, which says what is in force",),
        data={"commit": commit, "written": written, "set_aside": str(aside)},
        notes=(f"the files that stood there are kept in {aside}",),
        next_command="risk-daemon-admin config validate",
    )


def _found(at: Home, scratch: Path, standing: Standing) -> tuple[str, Path]:
    """Check commits out, newest first, until one says what was adopted."""
    # Imported here: dulwich is slow to load.
    from dulwich.errors import FileFormatException, NotGitRepository

    unreadable = (OSError, KeyError, ValueError, zlib.error, FileFormatException, NotGitRepository)
    try:
        for commit, folder in _commits(at.config, scratch):
            if says(folder, standing):
                return commit, folder
            shutil.rmtree(folder)
    except unreadable as error:
        raise OperatorError(
            f"the history of {at.config} can't be read: {type(error).__name__} {error}. "
            "Nothing was changed; a backup has the configuration too: `backup list`."
        ) from None
    raise Refused(
        f"no commit of {at.config} says what was adopted last; nothing was changed. What is in "
        "force stays so: `risk-daemon-admin config show`."
    )


def _commits(config: Path, scratch: Path) -> Iterator[tuple[str, Path]]:
    # Imported here: dulwich is slow to load.
    from dulwich.repo import Repo

    with closing(Repo(str(config))) as repo:
        for entry in repo.get_walker(max_entries=COMMITS_MAX):
            number = entry.commit.id.decode()
            check_out(config, number, scratch / number)
            yield number, scratch / number


def check_out(config: Path, commit: str, folder: Path) -> None:
    """Write the files of a commit, named by its whole id, into a folder."""
    # Imported here: dulwich is slow to load.
    from dulwich.object_store import iter_tree_contents
    from dulwich.objects import Blob, Commit
    from dulwich.repo import Repo

    with closing(Repo(str(config))) as repo:
        found = repo[commit.encode()]
        assert isinstance(found, Commit)
        for item in iter_tree_contents(repo.object_store, found.tree):
            blob = repo.object_store[item.sha]
            assert isinstance(blob, Blob)
            target = folder / item.path.decode()
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(blob.data)


def says(config: Path, standing: Standing) -> bool:
    """Whether these files are valid and say exactly what was adopted last."""
    try:
        found: Configuration = load(config)
    except OperatorError:
        return False
    assert standing.settings is not None
    digests = {policy.account: policy.digest for policy in found.policies}
    adopted = {number: one.digest for number, one in standing.policies.items() if number in digests}
    return found.adopted.digest == standing.settings.digest and digests == adopted


def _replace(config: Path, fresh: Path, aside: Path) -> None:
    """Move every file that decides aside, and the fresh ones in."""
    aside.mkdir(mode=0o700, parents=True)
    for path in sorted(config.iterdir()):
        if path.name not in KEPT:
            path.replace(aside / path.name)
    for path in sorted(fresh.iterdir()):
        if path.name not in KEPT:
            path.replace(config / path.name)
