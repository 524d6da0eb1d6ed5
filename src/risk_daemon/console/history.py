"""What was drawn, kept for a day: a file of samples an hour, a line each, in `state/history/`.

What a line is, which files there are and which are over is decided purely; `Store` only reads and
writes. A line that was torn by a crash is passed over: the next one begins on a line of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from risk_daemon.console.figures import Sample

HOUR_MS: Final = 3_600_000
#: A whole day can always be shown, and the hour that is being written.
HOURS_KEPT: Final = 25
_SUFFIX: Final = ".jsonl"
_NAME: Final = "%Y-%m-%dT%H"

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Sample)


def name_of(at_ms: int) -> str:
    """Return the name of the file that a sample of this instant is in."""
    return f"{datetime.fromtimestamp(at_ms // 1_000, UTC):{_NAME}}{_SUFFIX}"


def names(begin_ms: int, end_ms: int) -> list[str]:
    """Return the names of the files that samples between two instants are in, oldest first."""
    first = begin_ms // HOUR_MS * HOUR_MS
    return [name_of(hour) for hour in range(first, end_ms + 1, HOUR_MS)]


def is_over(name: str, now_ms: int) -> bool:
    """Tell whether a file is older than anything that is shown; what is not ours never is."""
    try:
        begun = datetime.strptime(name.removesuffix(_SUFFIX), _NAME).replace(tzinfo=UTC)
    except ValueError:
        return False
    return name.endswith(_SUFFIX) and begun.timestamp() * 1_000 < now_ms - HOURS_KEPT * HOUR_MS


def line(sample: Sample) -> bytes:
    """Write a sample; the line break comes first, so that it stands alone behind a torn one."""
    return b"\n" + _encoder.encode(sample)


def samples(text: bytes) -> Iterator[Sample]:
    """Read what can be read."""
    for one in text.split(b"\n"):
        if one:
            with contextlib.suppress(msgspec.DecodeError, UnicodeDecodeError):
                yield _decoder.decode(one)


class Store:
    """The files. Raises OSError where the disk says no."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, sample: Sample) -> None:
        """Keep a sample, and let go of what is over."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / name_of(sample.at)
        is_new = not path.exists()
        with path.open("ab") as file:
            file.write(line(sample))
        if is_new:
            self._prune(sample.at)

    def _prune(self, now_ms: int) -> None:
        for path in list(self._folder.iterdir()):
            if is_over(path.name, now_ms):
                path.unlink(missing_ok=True)

    def read(self, begin_ms: int, end_ms: int) -> list[Sample]:
        """Return the samples of a stretch of time, oldest first."""
        found: list[Sample] = []
        for name in names(begin_ms, end_ms):
            with contextlib.suppress(FileNotFoundError):
                found += samples((self._folder / name).read_bytes())
        return _between(found, begin_ms, end_ms)


def _between(found: Iterable[Sample], begin_ms: int, end_ms: int) -> list[Sample]:
    kept = {one.at: one for one in found if begin_ms <= one.at <= end_ms}
    return [kept[at] for at in sorted(kept)]
