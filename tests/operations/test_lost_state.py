"""Each file of a home's state damaged, cut or lost: it is served whole, or refused and rebuilt.

No lock that stood may be lost or shortened, whatever single file is hit, and where nobody knows
what stood the accounts may only reduce.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from risk_daemon.clock import Clock
from risk_daemon.errors import OperatorError
from risk_daemon.journal.file import JournalFile
from risk_daemon.journal.lock_file import SLOTS
from risk_daemon.operations.backup import database, restoring
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.state_file import FILE
from tests.operations import lived

WHO = Who("tester", "a trial")
LOG = f"{FILE}-wal"
#: A step that is no divisor of a page, so that every part of pages is hit.
STEP = 797

type Harm = Callable[[Path], None]


@pytest.fixture(scope="module", params=["stopped", "killed"])
def alive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp("lived")
    home = lived.made(folder / "home", killed=request.param == "killed")
    # Four copies of a page of zeros say no more than one: the shared index is made anew anyhow.
    (home.state / f"{FILE}-shm").unlink(missing_ok=True)
    return home


def serve(home: Home) -> None:
    """Open the state as the journal does."""
    JournalFile(home.state / FILE, Clock().now_ns()).close()


def judged(home: Home) -> str:
    """Start, or be refused in a sentence and rebuild and start; tells which, and for what."""
    said = ""
    try:
        serve(home)
    except OperatorError as error:
        said = error.sentence
        restoring.rebuild(home, WHO, Clock(), dry_run=False)
        serve(home)
    assert lived.kept(home) == lived.standing(home)
    assert database.verify(home, Clock()).data["broken_at"] == 0
    return said


def flipped(bit: int, at: int) -> Harm:
    def harm(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[at] ^= 1 << bit
        path.write_bytes(content)

    return harm


def cut(size: int) -> Harm:
    def harm(path: Path) -> None:
        path.write_bytes(path.read_bytes()[:size])

    return harm


def lose(path: Path) -> None:
    path.unlink()


def harms(path: Path) -> Iterator[tuple[str, Harm]]:
    size = path.stat().st_size
    for number, at in enumerate(range(0, size, STEP if size > 4_096 else 83)):
        yield f"bit {number % 8} of byte {at}", flipped(number % 8, at)
    for part in range(8):
        yield f"cut to {part}/8", cut(size * part // 8)
    yield "lost", lose


@pytest.mark.parametrize("name", [FILE, *SLOTS])
def test_no_damage_of_one_file_loses_or_shortens_a_lock(
    alive: Home, tmp_path: Path, name: str
) -> None:
    wrong = []
    refused = 0
    for number, (what, harm) in enumerate(harms(alive.state / name)):
        home = lived.copied(alive, tmp_path / str(number))
        harm(home.state / name)
        refused += bool(judged(home))
        wrong += [(what, lock.account, lock.lock) for lock in lived.lacks(home)]

    assert wrong == []
    assert refused or name in SLOTS  # a sound state file mends its lock file by itself


def test_a_lost_state_file_without_a_lock_file_leaves_every_account_reduce_only(
    alive: Home, tmp_path: Path
) -> None:
    home = lived.copied(alive, tmp_path / "home")
    for path in home.state.iterdir():
        path.unlink()

    outcome = restoring.rebuild(home, WHO, Clock(), dry_run=False)

    assert [(one.account, one.mode) for one in lived.standing(home)] == [
        (1, "reduce-only"),
        (2, "reduce-only"),
    ]
    assert all(one.until and one.rule == "kill-switch" for one in lived.standing(home))
    assert "what was locked is not known" in outcome.lines[2]
    serve(home)


def test_a_state_file_that_can_be_read_to_its_end_needs_no_lock_file(
    alive: Home, tmp_path: Path
) -> None:
    home = lived.copied(alive, tmp_path / "home")
    for name in SLOTS:
        (home.state / name).unlink()
    serve(home)
    content = (home.state / FILE).read_bytes()
    index = content.rindex(b"lock-ended")
    (home.state / FILE).write_bytes(content[:index] + b"lick" + content[index + 4 :])
    for name in SLOTS:
        (home.state / name).unlink()

    judged(home)

    assert lived.lacks(home) == []


def test_a_sound_state_is_not_rebuilt(alive: Home, tmp_path: Path) -> None:
    home = lived.copied(alive, tmp_path / "home")
    serve(home)
    before = (home.state / FILE).read_bytes()

    outcome = restoring.rebuild(home, WHO, Clock(), dry_run=False)

    assert outcome.lines == ("the state file is sound: nothing was rebuilt",)
    assert (home.state / FILE).read_bytes() == before


def test_what_was_damaged_is_kept_as_it_was_found(alive: Home, tmp_path: Path) -> None:
    home = lived.copied(alive, tmp_path / "home")
    name = LOG if (home.state / LOG).exists() else FILE
    flipped(3, 40 if name == LOG else 5)(home.state / name)
    before = {path.name: path.read_bytes() for path in home.state.iterdir()}

    outcome = restoring.rebuild(home, WHO, Clock(), dry_run=False)

    aside = Path(outcome.data["set_aside"]) / "state"
    kept = {path.name: path.read_bytes() for path in aside.iterdir()}
    kept.pop(f"{FILE}-shm", None)  # SQLite's own index of the log, which any reader makes anew
    assert kept == {name: before[name] for name in before if name in (FILE, LOG, *SLOTS)}


def test_a_dry_run_changes_nothing(alive: Home, tmp_path: Path) -> None:
    home = lived.copied(alive, tmp_path / "home")
    (home.state / FILE).unlink()
    before = sorted(path.name for path in home.state.iterdir())

    outcome = restoring.rebuild(home, WHO, Clock(), dry_run=True)

    assert outcome.lines == (f"would be rebuilt: {home.state / FILE} is gone",)
    assert sorted(path.name for path in home.state.iterdir()) == before
    assert not (home.path / "restoring").exists()
