"""What commands go by: what was adopted last, and only where nothing ever was, the files.

The files are read with libraries that take longer to load than most commands
take to run, so they are loaded only then: an emergency waits for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from risk_daemon.core.events import PolicyAdopted
from risk_daemon.errors import OperatorError
from risk_daemon.operations import state_file
from risk_daemon.operations.home import Home
from risk_daemon.settings import Settings, decode_settings


def last_adopted(home: Home) -> Settings | None:
    """The settings adopted last, from the state file; a damaged one must not stop an emergency."""
    try:
        adopted = state_file.standing(home).settings
    except OperatorError:
        return None
    return decode_settings(adopted.text) if adopted is not None else None


def in_force(home: Home) -> Settings:
    """The settings a command goes by: those last adopted, else those of the files."""
    last = last_adopted(home)
    if last is not None:
        return last
    from risk_daemon.operations.configuration.loading import load

    return load(home.config).settings


def policies_in_force(home: Home) -> Iterable[PolicyAdopted]:
    """The policies adopted last; as the files say where nothing was adopted yet."""
    try:
        return state_file.standing(home).policies.values()
    except OperatorError:
        from risk_daemon.operations.configuration.loading import load

        return load(home.config).policies
