"""The shapes this release reads and writes: oldest and newest of each, read by others as text.

A release is made of code, a configuration and these ranges. Whoever makes one
takes the three lines below from the source, without running it: literals only.
"""

from __future__ import annotations

from typing import Final

#: Formats of a record's payload; the newest is the one that is written.
RECORDS: Final = (1, 1)
#: Encodings of an account's folded state in a snapshot.
SNAPSHOTS: Final = (3, 3)
#: Schemas of the state file; an older one than the newest is brought to it at the start.
STATE_FILE: Final = (1, 1)
#: Shapes of the files in `config/`; a file that does not say its own is of the first.
CONFIGURATION: Final = (1, 1)
