"""Children as people run them: traced line by line they would be two to three times slower.

Where people's own deadlines are judged, what is judged must be the program and
not the tool that watches it (docs/adr/0019). And of a test with many rows one
row's processes tell which lines they reach; the other rows are for what they say.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

#: So many runs of one command tell which lines it reaches; a traced one takes more than twice
#: its time.
TRACED_RUNS = 3
_runs: Counter[tuple[str, ...]] = Counter()

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


def is_traced(words: Sequence[str]) -> bool:
    """Tell whether one more run of a command is among its first, which are traced."""
    verb = tuple(word for word in words[:2] if not word.startswith("-"))
    _runs[verb] += 1
    return _runs[verb] <= TRACED_RUNS


def untraced(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what makes a process traced."""
    return {name: value for name, value in environment.items() if name not in NAMES}
