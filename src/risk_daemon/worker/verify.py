"""`verify-state`: the journal replayed from its first record, compared with what was, and is.

Three witnesses: the hashes in the stream, the decisions in the stream, and
(when the daemon runs) the state its holder has at this moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from risk_daemon.core.world import Parser, state_hash
from risk_daemon.errors import DaemonError
from risk_daemon.journal.reader import Reader
from risk_daemon.wire.client import ask
from risk_daemon.worker.replay import Replay, Replayed

ASK_WITHIN_S: Final = 2.0
CATCH_UP_TURNS: Final = 20
PAGE: Final = 2_000


async def verify(home: Path, catalog: Mapping[str, Parser], release: str) -> dict[str, Any]:
    """Replay as a release, ask a worker of it, compare; `ok` only if all of it agrees."""
    replay = Replay(catalog, release)
    path = home / "state" / "journal.db"
    _catch_up(replay, path)
    rows, is_live = await _against_worker(replay, path, home / "run", release)
    found = replay.finish()
    return {
        "ok": not found.differences and all(row["equal"] for row in rows),
        "records": found.records,
        "hashes": found.hashes,
        "decisions": found.decisions,
        "recorded": found.recorded,
        "digest": found.digest,
        "live": is_live,
        "differences": found.differences[:20],
        "elsewhere": found.elsewhere[:20],
        "decided_elsewhere": len(found.elsewhere),
        "unknown_kinds": replay.engine.world.unknown_kinds,
        "accounts": rows,
    }


def _catch_up(replay: Replay, path: Path) -> Replayed:
    reader = Reader(path)
    try:
        last = reader.last()
        from_seq = replay.found.last_seq + 1
        while last is not None and from_seq <= last.seq:
            page = reader.records(from_seq, last.seq, (), PAGE)
            for record in page.records:
                replay.take(record)
            from_seq = page.next_seq
    finally:
        reader.close()
    return replay.found


async def _against_worker(
    replay: Replay, path: Path, run_dir: Path, release: str
) -> tuple[list[dict[str, Any]], bool]:
    """Compare with a live worker at the same number of records of each account.

    With one of this release: the holder, if an account is held by one, else one that is warm.
    """
    accounts = replay.engine.world.accounts.values()
    holder = next((a.holder for a in accounts if a.holder and a.release == release), "")
    holder = holder or f"worker-1@{release}"
    equal: dict[int, bool] = {}
    for _ in range(CATCH_UP_TURNS):
        try:
            answer = await ask(run_dir, holder, "hash", {}, ASK_WITHIN_S)
        except DaemonError:
            return _rows(replay, None), False
        _catch_up(replay, path)
        equal |= _same(replay, answer.data)
        # A pulse between the two answers makes an equal state look different: look again.
        if len(equal) == len(replay.engine.world.accounts) and all(equal.values()):
            break
        await asyncio.sleep(0.05)
    return _rows(replay, equal), True


def _same(replay: Replay, data: Mapping[str, Any]) -> dict[int, bool]:
    """Return the accounts that can be compared now: folded as far as the holder had."""
    found: dict[int, bool] = {}
    for number, account in replay.engine.world.accounts.items():
        row = data["accounts"].get(str(number))
        if row is not None and row["count"] == account.records:
            found[number] = row["digest"] == state_hash(account)
    return found


def _rows(replay: Replay, equal: dict[int, bool] | None) -> list[dict[str, Any]]:
    bad = bool(replay.found.differences)
    return [
        {
            "account": number,
            "equal": not bad if equal is None else equal.get(number, False),
            "locks": len(account.locks),
            "intents": len(account.slots) + len(account.asked),
        }
        for number, account in sorted(replay.engine.world.accounts.items())
    ]
