"""What is off for a moment, for whoever asks how an account stands: `status`, `why`.

From the home's own note of what was laid over the policy: no configuration is read for it.
"""

from __future__ import annotations

from risk_daemon.errors import OperatorError
from risk_daemon.operations.configuration import flags_kept, postponed
from risk_daemon.operations.configuration.flags import Flag
from risk_daemon.operations.home import Home
from risk_daemon.operations.words import both_times, iso


def line(one: Flag, *, is_off: bool) -> str:
    """Say that a rule is off, or is to be, by whom and until when."""
    until = f"until {both_times(iso(one.ends))}"
    if is_off:
        return f"{one.rule} is OFF {until} ({one.owner}: {one.reason}); it comes back by itself"
    return f"{one.rule} is to be off {until} ({one.owner}: {one.reason}); it acts until agreed to"


def lines(at: Home, account: int = 0, now: int = 0) -> tuple[str, ...]:
    """Say what is off on an account (0: on each, with its number) at an instant (ns UTC)."""
    try:
        kept, waiting = flags_kept.read(at).flags, postponed.read(at)
    except OperatorError as error:
        return (error.sentence,)
    found = [one for one in kept if one.ends > now and account in (0, *one.accounts)]
    said = []
    for one in found:
        number = one.accounts[0]
        waits = number in waiting and f"{one.rule} mode " in " ".join(waiting[number].words)
        said.append(f"{'' if account else f'{number}: '}{line(one, is_off=not waits)}")
    return tuple(said)
