"""Two releases that truly differ: the previous commit's, and this checkout with a patch set.

The changed one decides one rule otherwise, writes record kinds that the other has no name for,
has another shape of snapshots and a column more in the state file: what a year of releases may
bring, in one. Both are made as any release is, from a commit in a checkout of its own.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from risk_daemon.depot import making
from risk_daemon.depot.manifest import LOCK
from risk_daemon.errors import NotFound, OperatorError

#: What the changed release is called; the other one has the version of its commit.
CHANGED: Final = "v1.1.0"
CACHE: Final = Path(".dev") / "releases"
_CODE: Final = "src/risk_daemon"
_PACKAGE: Final = f"{_CODE}/__init__.py"
_AT: Final = 1_795_000_000


class Change(NamedTuple):
    """One edit of a file of the package: the old text stands in it exactly once."""

    file: str
    old: str
    new: str


#: The rule: it trips at four fifths of the limit, and says at which prices it need not be asked.
RULE: Final = (
    Change(
        "rules/daily_combined_loss.py",
        "if figure <= self.buffer - self.limit:",
        "if 5 * figure <= 4 * (self.buffer - self.limit):",
    ),
    Change(
        "rules/daily_combined_loss.py",
        "first = min(self.limit - self.buffer, self.reduce_at or self.limit)",
        "first = min((self.limit - self.buffer) * 4 // 5, self.reduce_at or self.limit)",
    ),
)
#: A default of its own, which a preview of the upgrade must name.
DEFAULT: Final = (
    Change(
        "rules/daily_combined_loss.py",
        'reader.money("est_exit_fees", "0")',
        'reader.money("est_exit_fees", "0.50")',
    ),
    Change(
        "rules/daily_combined_loss.py",
        'defaults={"buffer": "0", "est_exit_fees": "0",',
        'defaults={"buffer": "0", "est_exit_fees": "0.50",',
    ),
)
#: Two kinds of record: one is news of a hand-over, the other a lock of a sort of its own.
KINDS: Final = (
    Change(
        "core/events.py",
        "class Probed(Fact",
        '''class HandedOver(Fact, frozen=True, kw_only=True):
    """An account was taken over, said by who has it now."""

    account: int
    holder: str


class CurfewLockPlaced(Fact, frozen=True, kw_only=True):
    """A lock of a sort that the release before does not know; a note here."""

    account: int
    until: int


class Probed(Fact''',
    ),
    Change(
        "wire/record.py",
        '    "probed": events.Probed,\n',
        '    "probed": events.Probed,\n'
        '    "handed-over": events.HandedOver,\n'
        '    "curfew-lock-placed": events.CurfewLockPlaced,\n',
    ),
    Change(
        "core/engine.py",
        "INERT: Final = (*OWN, DrainAsked, Probed)",
        "INERT: Final = (*OWN, DrainAsked, Probed, HandedOver, CurfewLockPlaced)",
    ),
    Change(
        "core/engine.py",
        "    ContractSeen,\n    DrainAsked,",
        "    ContractSeen,\n    CurfewLockPlaced,\n    DrainAsked,",
    ),
    Change(
        "core/engine.py",
        "    GoalRefused,\n    HashTaken,",
        "    GoalRefused,\n    HandedOver,\n    HashTaken,",
    ),
    Change(
        "worker/loop.py",
        "        self._drains.leased(lease.account)\n",
        "        self._drains.leased(lease.account)\n"
        "        if lease.holder == self.name and self.is_ready:\n"
        "            told = HandedOver(account=lease.account, holder=self.name)\n"
        "            self.journal.append([new_record(told)])\n",
    ),
    Change(
        "worker/loop.py",
        "    FeedChanged,\n    HashTaken,",
        "    FeedChanged,\n    HandedOver,\n    HashTaken,",
    ),
)
#: The state of an account: one figure has another name.
SNAPSHOT: Final = (
    Change("schemas.py", "SNAPSHOTS: Final = (3, 3)", "SNAPSHOTS: Final = (3, 4)"),
    Change("core/account.py", "    decided: int = 0\n", "    decisions: int = 0\n"),
    Change("core/world.py", "account.decided += 1", "account.decisions += 1"),
)
#: The state file: how large each snapshot is.
COLUMN: Final = (
    Change("schemas.py", "STATE_FILE: Final = (1, 1)", "STATE_FILE: Final = (1, 2)"),
    Change(
        "journal/schema.py",
        "= (_FIRST,)\n",
        "= (\n    _FIRST,\n"
        '    ("ALTER TABLE snapshot ADD COLUMN size INTEGER NOT NULL DEFAULT 0",),\n)\n',
    ),
    Change(
        "journal/snapshot.py",
        "seq, digest, body)\n    VALUES (?, ?, ?, ?, ?, ?)",
        "seq, digest, body, size)\n    VALUES (?, ?, ?, ?, ?, ?, ?)",
    ),
    Change("journal/snapshot.py", "one.digest, one.body)", "one.digest, one.body, len(one.body))"),
    Change(
        "journal/footprint.txt",
        "insert snapshot seq\n",
        "insert snapshot seq\ninsert snapshot size\n",
    ),
)
CHANGES: Final = (*RULE, *DEFAULT, *KINDS, *SNAPSHOT, *COLUMN)


def previous(checkout: Path, target: Path, version: str = "") -> Path:
    """Write the commit before the checkout's newest into a checkout of its own, or renamed.

    Renamed it is other code as well, by a line that does nothing: where a commit changed none,
    nothing would be handed over. Raises NotFound where there is no such commit.
    """
    files = dict(making.read_parent(checkout).files)
    if version:
        files = renamed(files, version)
        files[_PACKAGE] = files[_PACKAGE] + f"\n# {version}\n".encode()
    return _committed(checkout, target, files)


def changed(
    checkout: Path, target: Path, changes: tuple[Change, ...] = CHANGES, version: str = CHANGED
) -> Path:
    """Write the checkout as it lies here, changed and renamed, into a checkout of its own."""
    files = {
        path.relative_to(checkout).as_posix(): path.read_bytes()
        for path in sorted((checkout / _CODE).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    files |= {
        name: (checkout / name).read_bytes() for name in ("pyproject.toml", "README.md", LOCK)
    }
    for change in changes:
        name = f"{_CODE}/{change.file}"
        files[name] = edited(change, files[name].decode()).encode()
    return _committed(checkout, target, renamed(files, version))


def renamed(files: Mapping[str, bytes], version: str) -> dict[str, bytes]:
    """Give a checkout's files another version."""
    said = f'version = "{version[1:]}"'
    project = re.sub(
        r'^version = ".*"$',
        said,
        files["pyproject.toml"].decode(),
        count=1,
        flags=re.MULTILINE,
    )
    return {**files, "pyproject.toml": project.encode()}


def edited(change: Change, text: str) -> str:
    """Apply one change. Raises OperatorError if the old text does not stand exactly once."""
    if text.count(change.old) != 1:
        raise OperatorError(
            f"{change.file} has {change.old!r} {text.count(change.old)} times, not once: "
            "bring the patch set of stage/two_releases.py up to date."
        )
    return text.replace(change.old, change.new)


def _committed(checkout: Path, target: Path, files: Mapping[str, bytes]) -> Path:
    """Write files and commit them at a fixed time, by nobody; wheels fetched once are shared."""
    # Imported here: dulwich is slow to load.
    from dulwich import porcelain
    from dulwich.repo import Repo

    for name, content in files.items():
        path = target / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    kept = checkout / CACHE
    kept.mkdir(parents=True, exist_ok=True)
    if sys.platform != "win32":
        (target / ".dev").mkdir()
        (target / CACHE).symlink_to(kept)
    porcelain.init(str(target)).close()
    who = b"a stage <stage@localhost>"
    with Repo(str(target)) as repo:
        tree = repo.get_worktree()
        tree.stage(sorted(files))
        tree.commit(
            message=b"A release",
            committer=who,
            author=who,
            commit_timestamp=_AT,
            commit_timezone=0,
            author_timestamp=_AT,
            author_timezone=0,
            sign=False,
        )
    return target


def checkout_of(file: Path) -> Path:
    """The checkout a file of the package lies in. Raises NotFound for an installed one."""
    root = file.resolve().parents[2]
    if not (root / "pyproject.toml").is_file() or not (root / ".git").exists():
        raise NotFound(
            f"two releases are made from a checkout with its history, and {root} is none: "
            "run it in a clone."
        )
    return root


def forget(folder: Path) -> None:
    """Remove a checkout that was made here."""
    shutil.rmtree(folder, ignore_errors=True)
