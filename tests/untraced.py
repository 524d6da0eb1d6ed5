"""Children as people run them: traced line by line they would be two to three times slower.

Where people's own deadlines are judged, what is judged must be the program and
not the tool that watches it (docs/adr/0019). And of a test with many rows one
row's processes tell which lines they reach; the other rows are for what they say.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

NAMES = ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")


def leave_children_untraced() -> dict[str, str]:
    """Let processes started from here on run without coverage; return what was taken away."""
    return {name: os.environ.pop(name) for name in NAMES if name in os.environ}


@contextmanager
def untraced_children() -> Iterator[None]:
    """Let processes started meanwhile run without coverage."""
    taken = leave_children_untraced()
    try:
        yield
    finally:
        os.environ.update(taken)
