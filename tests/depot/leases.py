"""Leases in a state file that stays behind, granted by a real journal."""

from risk_daemon.operations import daemon
from risk_daemon.operations.home import Home
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.control import Grant, LeasesGranted
from tests.operations.conftest import process


def lease(home: Home, release: str, *accounts: int) -> None:
    """Have a worker of a release hold accounts."""

    async def act(journal: JournalClient) -> LeasesGranted:
        return await journal.grant([Grant(one, 0, "worker-1", release) for one in accounts])

    with process("journal", home, "journal.ready"):
        assert daemon.with_journal(home, act).refused == ""
