"""The journal of a demo, replayed elsewhere: the same decisions and hashes, bit for bit."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pysqlite3 import dbapi2 as sqlite3

from risk_daemon.core.events import BreachFound, LockPlaced, TradeSeen
from risk_daemon.journal.reader import Reader
from risk_daemon.wire.record import NewRecord, Record, chain, decode, encode
from tests.stage.conftest import Played

ALL = 1 << 62


def replayed(home: Path, *, hash_seed: int = 0, zone: str = "UTC") -> tuple[int, dict[str, Any]]:
    """Replay a home's journal in a fresh process: its exit code, and what it found."""
    done = subprocess.run(
        [sys.executable, "-m", "risk_daemon.programs.worker", "--home", str(home), "--verify"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "TZ": zone},
    )
    assert done.stdout, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, found


def copy_of(demo: Played, tmp_path: Path) -> Path:
    """A home that holds a copy of the demo's journal and nothing else."""
    (tmp_path / "state").mkdir()
    shutil.copy(demo.journal, tmp_path / "state" / "journal.db")
    return tmp_path


def change(home: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    connection = sqlite3.connect(str(home / "state" / "journal.db"))
    with connection:
        for statement, values in statements:
            connection.execute(statement, values)
    connection.close()


def records(home: Path) -> list[Record]:
    reader = Reader(home / "state" / "journal.db")
    try:
        return reader.records(1, ALL, (), ALL).records
    finally:
        reader.close()


def one_trade_dearer(home: Path) -> Record:
    """The first trade of the stream, at another price."""
    first = next(record for record in records(home) if record.kind == "trade-seen")
    trade = decode(first).fact
    assert isinstance(trade, TradeSeen)
    dearer = encode(msgspec.structs.replace(trade, price=trade.price + 1))
    return msgspec.structs.replace(first, payload=dearer)


def put(record: Record) -> tuple[str, tuple[object, ...]]:
    return (
        "UPDATE record SET payload = ?, crc = ? WHERE seq = ?",
        (record.payload, record.crc, record.seq),
    )


def sealed_again(home: Path, altered: Record) -> list[Record]:
    """Every record from the altered one on, with a chain that holds: a forger's work."""
    found: list[Record] = []
    crc = 0
    for record in records(home):
        if record.seq < altered.seq:
            crc = record.crc
            continue
        now = altered if record.seq == altered.seq else record
        new = NewRecord(now.kind, now.account, now.payload, version=now.version)
        crc = chain(crc, now.seq, now.at, new)
        found.append(msgspec.structs.replace(now, crc=crc))
    return found


def test_a_replay_gives_every_recorded_decision_and_every_hash(
    demo: Played, tmp_path: Path
) -> None:
    code, found = replayed(copy_of(demo, tmp_path))

    assert (code, found["differences"]) == (0, [])
    assert found["recorded"] > 0
    assert found["hashes"] >= 10


def test_without_intents_and_snapshots_and_elsewhere_it_decides_the_same_bit_for_bit(
    demo: Played, tmp_path: Path
) -> None:
    whole, bare = tmp_path / "whole", tmp_path / "bare"
    whole.mkdir()
    bare.mkdir()
    copy_of(demo, whole)
    copy_of(demo, bare)
    change(bare, ("DELETE FROM record WHERE kind = ?", ("intended",)), ("DELETE FROM snapshot", ()))

    _, there = replayed(whole, hash_seed=0, zone="UTC")
    code, here = replayed(bare, hash_seed=4_711, zone="Asia/Kathmandu")

    assert (code, here["differences"]) == (0, [])
    assert here["recorded"] < there["recorded"]
    assert here["hashes"] == there["hashes"]
    assert (here["decisions"], here["digest"]) == (there["decisions"], there["digest"])


def test_one_altered_record_breaks_the_chain(demo: Played, tmp_path: Path) -> None:
    home = copy_of(demo, tmp_path)
    altered = one_trade_dearer(home)
    change(home, put(altered))

    code, found = replayed(home)

    assert code == 1
    assert f"seq {altered.seq}: the chain is broken: a record was altered" in found["differences"]


def test_one_altered_record_under_a_chain_sealed_again_gives_another_state(
    demo: Played, tmp_path: Path
) -> None:
    home = copy_of(demo, tmp_path)
    altered = one_trade_dearer(home)
    change(home, *map(put, sealed_again(home, altered)))

    code, found = replayed(home)

    assert code == 1
    assert any(f"state of account {altered.account} is" in text for text in found["differences"])


@pytest.mark.parametrize("kind", ["lock-placed", "breach-found"])
def test_a_decision_nobody_took_is_noticed(kind: str, demo: Played, tmp_path: Path) -> None:
    home = copy_of(demo, tmp_path)
    one = next(record for record in records(home) if record.kind == kind)
    fact = decode(one).fact
    assert isinstance(fact, LockPlaced | BreachFound)
    forged = encode(msgspec.structs.replace(fact, rule="invented"))
    change(home, *map(put, sealed_again(home, msgspec.structs.replace(one, payload=forged))))

    code, found = replayed(home)

    assert code == 1
    assert any("was recorded and is not decided now" in text for text in found["differences"])
