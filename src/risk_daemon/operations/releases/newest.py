"""Which release is meant where none is named: the newest that holds no account yet."""

from __future__ import annotations

from risk_daemon.depot import staging
from risk_daemon.errors import NotFound, OperatorError
from risk_daemon.operations import daemon, home
from risk_daemon.operations.home import Home


def release(at: Home) -> str:
    """Return the newest release that holds no account yet: of those rehearsed, else of those here.

    What a staging home of the same depot has unpacked was rehearsed.
    """
    # Imported here: the signing library is slow to load.
    from risk_daemon.depot.store import Depot

    held = {row["release"] for row in daemon.status(at)["accounts"]}
    depot = Depot(home.depot_path())
    others = [Home(path) for path in depot.homes().values() if path != at.path]
    rehearsed = {
        name for one in others if _is_staging(one) for name in staging.staged_in(one.releases)
    }
    found = [name for name in staging.staged_in(at.releases) if name not in held]
    found += [name for name in depot.versions() if name in rehearsed - held]
    if not found:
        raise NotFound(
            "no release is staged here that does not hold the accounts already: "
            "`risk-daemon-admin release stage VERSION`, or scripts/deploy_staging.sh."
        )
    return found[-1]


def _is_staging(one: Home) -> bool:
    try:
        return home.read(one).environment == "staging"
    except OperatorError:
        return False
