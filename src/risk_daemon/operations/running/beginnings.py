"""`init`: a home from what was typed, and what a start would then do to open positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from risk_daemon.clock import Clock
from risk_daemon.operations import home
from risk_daemon.operations.alerts import by_hand as alerts
from risk_daemon.operations.configuration import founding
from risk_daemon.operations.configuration.founding import Plan
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.releases import trusting
from risk_daemon.operations.running import preview
from risk_daemon.operations.words import count, iso


def init(
    at: Home, plan: Plan, now_ns: int, by: str, trust: Sequence[str], *, dry_run: bool
) -> Outcome:
    """Make the home, or show what would be written. `trust`: public keys, or files of them."""
    plan = replace(plan, trusted=trusting.read(trust))
    if dry_run:
        founding.validate(plan)
        shown = [f"# config/{name}\n{text}" for name, text in founding.files(plan).items()]
        return Outcome(
            tuple(shown), data={"files": founding.files(plan)}, notes=("nothing was done",)
        )
    configuration = founding.found(at, plan, iso(now_ns), by)
    accounts = configuration.settings.accounts()
    lines = (
        f"made the {plan.environment} home {at.path}",
        f"{count(len(accounts), 'account')} over {count(len(plan.logins), 'login')}; "
        f"rules and limits: {at.config / 'policy.yaml'}",
        *(preview.positions(at, configuration) or ("no position is open",)),
    )
    below, channels = alerts.introduced(at, by, Clock())
    data = {
        "home": str(at.path),
        "environment": plan.environment,
        "accounts": list(accounts),
        "channels": channels,
    }
    start = f"risk-daemon-admin start --home {at.path}"
    return Outcome(lines, data=data, next_command=start, below=below)


def moved(at: Home) -> Outcome:
    """Take over a home that was made on another machine."""
    about = home.read(at)
    here = home.host_fingerprint()
    home.write(at, home.About(about.environment, about.created, here, about.credentials))
    line = f"the home {at.path} belongs to this machine now (it was {about.host}'s)"
    return Outcome((line,), data={"host": here}, next_command="risk-daemon-admin start")
