"""`config history | apply | rollback`: the configuration's commits, and going to one of them.

Every change goes the same way: what was edited by hand is committed as the person's, the commit's
files are judged as a whole by this release, then written as one new commit. An `apply` takes
effect as any other change: tighter at once, looser at the next trade day. A `rollback` is in force
at once, also where it is looser; it unlocks nothing, and flattens nobody by itself.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.errors import NotFound, OperatorError, Refused, UsageError
from risk_daemon.operations import daemon, home, state_file
from risk_daemon.operations.changing import adoption, mass_trip, policy
from risk_daemon.operations.changing.restored_config import COMMITS_MAX, KEPT, check_out, says
from risk_daemon.operations.configuration.loading import Configuration, load
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import Outcome

SHORTEST: Final = 4
WITHIN_S: Final = 10.0
HISTORY: Final = "risk-daemon-admin config history"


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """One commit of a configuration. `at` is ISO 8601, UTC; `tags` are names that it has."""

    id: str
    at: str
    by: str
    message: str
    tags: tuple[str, ...] = ()


def history(at: Home, limit: int) -> Outcome:
    """Show the newest commits, and which of them says what is in force."""
    home.read(at)
    found = list(commits(at.config, limit))
    in_force = _in_force(at, found)
    lines = tuple(_line(one, is_in_force=one.id == in_force) for one in found)
    rows = [msgspec.to_builtins(one) | {"in_force": one.id == in_force} for one in found]
    following = "risk-daemon-admin config diff"
    if len(found) > 1:
        following = f"risk-daemon-admin config rollback --to-commit {found[1].id[:8]} --dry-run"
    return Outcome(lines, data={"commits": rows}, next_command=following)


def commits(config: Path, limit: int = COMMITS_MAX) -> Iterator[Commit]:
    """Yield the commits of a configuration, newest first. Raises NotFound where there are none."""
    # Imported here: dulwich is slow to load.
    from dulwich.errors import NotGitRepository
    from dulwich.refs import Ref
    from dulwich.repo import Repo

    try:
        repo = Repo(str(config))
    except NotGitRepository:
        raise NotFound(
            f"{config} has no history yet; `risk-daemon-admin start` begins it."
        ) from None
    with repo:
        tags: dict[str, list[str]] = {}
        for name, target in sorted(repo.refs.as_dict(Ref(b"refs/tags")).items()):
            peeled = repo.get_peeled(Ref(b"refs/tags/" + name)) or target
            tags.setdefault(peeled.decode(), []).append(name.decode())
        for entry in repo.get_walker(max_entries=limit):
            one = entry.commit
            number = one.id.decode()
            instant = dt.datetime.fromtimestamp(one.commit_time, dt.UTC)
            yield Commit(
                id=number,
                at=instant.isoformat(timespec="seconds").replace("+00:00", "Z"),
                by=one.author.decode(errors="replace").partition(" <")[0],
                message=one.message.decode(errors="replace").strip().splitlines()[0],
                tags=tuple(tags.get(number, ())),
            )


def resolve(config: Path, named: str) -> Commit:
    """Find the one commit with this tag, or with an id that begins so.

    Raises UsageError for what can't name one, NotFound, or Refused for more than one.
    """
    known = list(commits(config))
    for one in known:
        if named in one.tags:
            return one
    if len(named) < SHORTEST or set(named) - set("0123456789abcdef"):
        raise UsageError(
            f"{named!r} names no commit: a tag, or at least {SHORTEST} of the letters and digits "
            f"that its id begins with. Nothing was changed; `{HISTORY}` lists them."
        )
    found = [one for one in known if one.id.startswith(named)]
    if not found:
        raise NotFound(
            f"no commit of {config} has the tag {named!r} or an id that begins so; nothing was "
            f"changed. `{HISTORY}` lists them."
        )
    if len(found) > 1:
        raise Refused(
            f"{named!r} begins {len(found)} commits ({', '.join(one.id[:12] for one in found)}); "
            "nothing was changed. Give more of it."
        )
    return found[0]


def apply(at: Home, named: str, who: Who, *, dry_run: bool, accepts: int = 0) -> Outcome:
    """Write a commit's files as a new change: tighter at once, looser at the next trade day.

    Raises Refused where it would trip more accounts at once than a person `accepts`.
    """
    return _go_to(at, named, who, dry_run=dry_run, is_rollback=False, accepts=accepts)


def rollback(
    at: Home,
    named: str,
    who: Who,
    *,
    dry_run: bool,
    ends: Callable[[], object] = lambda: None,
) -> Outcome:
    """Put a commit's policy into force at once, looser or not.

    `ends` brings back what is being rolled out, if that is a configuration: its way back would
    come after ours, and win.
    """
    home.open_home(at)
    resolve(at.config, named)
    if not dry_run:
        ends()
    return _go_to(at, named, who, dry_run=dry_run, is_rollback=True)


def of_commit(at: Home, named: str) -> Configuration:
    """Return what a commit says, valid and belonging here. Raises Refused where it is not."""
    about = home.open_home(at)
    wanted = resolve(at.config, named)
    with tempfile.TemporaryDirectory(prefix=".config-", dir=at.path) as scratch:
        folder = Path(scratch) / wanted.id
        check_out(at.config, wanted.id, folder)
        return _judged(at, folder, about)


def _judged(at: Home, folder: Path, about: home.About) -> Configuration:
    """Read a commit from the folder that has its name."""
    try:
        return adoption.judged(load(folder), at, about)
    except OperatorError as error:
        raise Refused(
            f"commit {folder.name[:12]} can't be in force here: {error.sentence} "
            "Nothing was changed."
        ) from None


def in_force(at: Home) -> str:
    """Return the newest commit that says what was adopted last; empty where none does."""
    return _in_force(at, list(commits(at.config)))


def write_files(at: Home, named: str, who: Who, verb: str) -> None:
    """Have the files say what a commit says, as a new commit; nothing is adopted by it."""
    # Imported here: dulwich is slow to load.
    from risk_daemon.operations.configuration import history as kept

    wanted = resolve(at.config, named)
    policy.commit_edits(at, who)
    with tempfile.TemporaryDirectory(prefix=".config-", dir=at.path) as scratch:
        folder = Path(scratch) / wanted.id
        check_out(at.config, wanted.id, folder)
        _write(folder, at.config)
    kept.commit(at.config, who.by, f"{verb} {wanted.id[:12]}: {who.reason}")


def _go_to(
    at: Home, named: str, who: Who, *, dry_run: bool, is_rollback: bool, accepts: int = 0
) -> Outcome:
    about = home.open_home(at)
    wanted = resolve(at.config, named)
    with tempfile.TemporaryDirectory(prefix=".config-", dir=at.path) as scratch:
        folder = Path(scratch) / wanted.id
        check_out(at.config, wanted.id, folder)
        configuration = _judged(at, folder, about)
        if not is_rollback:  # a way back waits for nothing
            mass_trip.hold(at, configuration, accepts)
        lines, rows = policy.compare(at, configuration, at_once=is_rollback)
        data: dict[str, Any] = {"commit": wanted.id, "changes": rows}
        if dry_run:
            would = f"would go to commit {wanted.id[:12]} ({wanted.message})"
            return Outcome((would, *lines), data=data, notes=("nothing was done",))
        policy.commit_edits(at, who)
        _write(folder, at.config)
    # Imported here: dulwich is slow to load.
    from risk_daemon.operations.configuration import history as kept

    verb = "Rolled back to" if is_rollback else "Applied"
    written = kept.commit(at.config, who.by, f"{verb} {wanted.id[:12]}: {who.reason}")
    done = f"the files are those of commit {wanted.id[:12]} ({wanted.message})"
    told = _put_into_force(at, who, is_rollback=is_rollback)
    return Outcome(
        (f"{done}{'' if written else ', as they were'}", *lines, *told.lines),
        data={**data, "written": written, **told.data},
        notes=told.notes,
        next_command="risk-daemon-admin status",
    )


def _put_into_force(at: Home, who: Who, *, is_rollback: bool) -> Outcome:
    if not is_rollback:
        return policy.reload_if_running(at, who)
    try:
        daemon.status(at)
    except OperatorError as error:
        note = f"{error.sentence} `start` puts it into force"
        return Outcome((), notes=(note,))
    asked = {"by": who.by, "reason": who.reason}
    answer = daemon.ask(at, daemon.SUPERVISOR, "put-back", asked, WITHIN_S)
    changed = [str(name).removeprefix("policy of ") for name in answer.get("changed", ())]
    lines = tuple(f"{name}: in force now" for name in changed)
    return Outcome(
        lines or ("nothing differs from what is in force",),
        data=answer,
        notes=("no lock has ended by it, and no account was flattened by it",),
    )


def _write(folder: Path, config: Path) -> None:
    """Replace every file that decides; one that the commit has not is gone."""
    for path in sorted(config.iterdir()):
        if path.name in KEPT:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    for path in sorted(folder.iterdir()):
        if path.name not in KEPT:
            shutil.move(path, config / path.name)


def _in_force(at: Home, found: list[Commit]) -> str:
    """Return the newest of these commits that says what was adopted last; empty for none."""
    try:
        standing = state_file.standing(at)
    except OperatorError:
        return ""
    if standing.settings is None:
        return ""
    for one in found:
        with tempfile.TemporaryDirectory(prefix=".config-", dir=at.path) as scratch:
            folder = Path(scratch) / one.id
            check_out(at.config, one.id, folder)
            if says(folder, standing):
                return one.id
    return ""


def _line(one: Commit, *, is_in_force: bool) -> str:
    tags = f" [{', '.join(one.tags)}]" if one.tags else ""
    mark = " (in force)" if is_in_force else ""
    return f"{one.id[:12]} {one.at} {one.by}: {one.message}{tags}{mark}"
