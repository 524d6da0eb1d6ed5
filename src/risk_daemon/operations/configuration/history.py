"""The configuration's history: a git work tree, kept by dulwich, so that no git is needed.

A configuration's commit is part of what a release is, and `rollback_config`
goes back to one; so whatever a person edited by hand is committed before it is
adopted.
"""

from __future__ import annotations

from pathlib import Path

from dulwich import porcelain
from dulwich.repo import Repo


def ensure(config: Path, by: str, message: str) -> str:
    """Make the folder a work tree if it is none, commit what differs, return the commit."""
    if not (config / ".git").is_dir():
        porcelain.init(str(config)).close()
    return commit(config, by, message) or head(config)


def commit(config: Path, by: str, message: str) -> str | None:
    """Commit every difference as a person's; None where there is none."""
    with Repo(str(config)) as repo:
        # Paths relative to the folder: dulwich takes them from the working directory otherwise.
        names = [
            str(path.relative_to(config))
            for path in sorted(config.rglob("*"))
            if path.is_file() and ".git" not in path.relative_to(config).parts
        ]
        gone = [name.decode() for name in repo.open_index() if name.decode() not in names]
        worktree = repo.get_worktree()
        worktree.stage([*names, *gone])
        status = porcelain.status(repo)
        if not any(status.staged.values()):
            return None
        who = f"{by} <{by}@localhost>".encode()
        return worktree.commit(
            message=message.encode(), committer=who, author=who, sign=False
        ).decode()


def head(config: Path) -> str:
    """The commit the work tree stands on."""
    with Repo(str(config)) as repo:
        return repo.head().decode()
