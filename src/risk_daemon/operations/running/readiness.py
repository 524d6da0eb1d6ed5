"""Whether this machine may start a home now: asked before anything is started.

What no daemon could work with refuses every start. What is only bad (its
console without a port, a clock that is minutes off) refuses the first one,
when somebody is there to mend it; a later start protects the accounts all the
same and says so (decisions 3.6, for the machine instead of the files).
"""

from __future__ import annotations

from collections.abc import Iterator

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.errors import Refused
from risk_daemon.operations.home import Home
from risk_daemon.operations.running import machine
from risk_daemon.operations.running.finding import FAIL, Finding
from risk_daemon.operations.state_file import FILE
from risk_daemon.settings import Settings


def notes(at: Home, settings: Settings, *, is_running: bool) -> list[str]:
    """What a person should hear before a start; raises Refused where it can't be."""
    for finding in (*machine.here(), machine.disk(at.state)):
        if finding.state == FAIL:
            raise Refused(_sentence(finding))
    is_first = not (at.state / FILE).is_file()
    told = []
    for finding in _bad_only(settings, is_running=is_running):
        if finding.state == FAIL and is_first:
            raise Refused(_sentence(finding))
        told += [_sentence(finding)] if finding.state == FAIL else []
    return told


def _bad_only(settings: Settings, *, is_running: bool) -> Iterator[Finding]:
    """What a daemon can work with, though badly."""
    if not is_running:
        yield machine.port(settings.console_port, is_ours=False)
    yield machine.clock(settings, Clock(int(settings.clock_offset_s * SECOND_NS)))


def _sentence(finding: Finding) -> str:
    way = f"; to mend it: {finding.next_command}" if finding.next_command else ""
    return f"{finding.name}: {finding.text}{way}."
