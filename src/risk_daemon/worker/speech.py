"""What a worker says of what it decided, and how: pure.

It speaks for the accounts it holds, by the last lease in the stream, and for no other. What two
workers may say is stored once, by its name. A close under a lock does not wait for a journal that
is away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from risk_daemon.core.events import BreachFound, Fact, Intended, LockPlaced

#: Alarms, as a rollout knows them: a worker's state is not its holder's; or, started anew, is.
STATE_DIFFERS: Final = "state differs"
STATE_REGAINED: Final = "state regained"
#: Two releases saw other facts (positions, orders, money), or only decided otherwise.
FACTS_DIFFER: Final = "facts differ"
RELEASES_DIFFER: Final = "releases differ"


def spoken(outputs: Iterable[Fact], holds: Callable[[int], bool]) -> list[Fact]:
    """Return, in order, what of the outputs is to be said: those of accounts that are held."""
    return [output for output in outputs if holds(getattr(output, "account", 0))]


def insists(intended: Intended) -> bool:
    """Tell whether a goal goes to the link directly where the journal does not answer."""
    return intended.goal.act in ("close", "cancel") and intended.goal.locked


def once_of(output: Fact) -> str:
    """Name what may be said by two workers but stored once."""
    if isinstance(output, LockPlaced):
        return f"{output.account}:{output.lock}:{output.began_at}"
    if isinstance(output, BreachFound):
        return output.incident + (f":{output.mode}" if output.mode != "enforce" else "")
    return ""
