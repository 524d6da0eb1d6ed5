"""A program loads without looking for garbage: there is none, and the looking is a third of it.

begins()     before the imports
is_done()    before the work: from here on Python collects as it always does
"""

from __future__ import annotations

import gc
from typing import Final

#: Objects made before Python looks for garbage: more than any program makes while it loads.
#: A number, and not off: where the end is forgotten, memory is still given back.
_WHILE_LOADING: Final = 200_000
_USUAL: Final = gc.get_threshold()


def begins() -> None:
    """Put off what finds nothing while modules are loaded."""
    gc.set_threshold(_WHILE_LOADING, *_USUAL[1:])


def is_done() -> None:
    """Collect as usual again, and never look at what was loaded: it stays."""
    gc.freeze()
    gc.set_threshold(*_USUAL)
