"""A release's name in the git history of a checkout, kept by dulwich: no git is needed."""

from __future__ import annotations

from pathlib import Path


def commit_of(checkout: Path, name: str) -> str:
    """Return the commit that a tag names; empty where there is no such tag."""
    # Imported here: dulwich is slow to load.
    from dulwich.refs import local_tag_name
    from dulwich.repo import Repo

    with Repo(str(checkout)) as repo:
        ref = local_tag_name(name.encode())
        return repo.get_peeled(ref).decode() if ref in repo.refs else ""


def write(checkout: Path, name: str, commit: str, by: str, message: str, at_s: int) -> None:
    """Write a tag with a message; `at_s` is in seconds since 1970."""
    from dulwich import porcelain

    porcelain.tag_create(
        str(checkout),
        name.encode(),
        author=f"{by} <{by}@localhost>".encode(),
        message=message.encode(),
        annotated=True,
        objectish=commit,
        tag_time=at_s,
        tag_timezone=0,
        sign=False,
    )
