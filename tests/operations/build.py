"""Builders of homes and configurations: they show only what matters to a test."""

from pathlib import Path

from risk_daemon.operations.configuration import founding
from risk_daemon.operations.configuration.founding import AccountPlan, Plan
from risk_daemon.operations.home import Home
from risk_daemon.settings import Login

GATEWAY = "http://127.0.0.1:9"
CREATED = "2026-01-01T00:00:00+00:00"

DAEMON = """\
environment: demo
gateway:
  api_url: "http://127.0.0.1:9"
  user_hub_url: "http://127.0.0.1:9/hubs/user"
  market_hub_url: "http://127.0.0.1:9/hubs/market"
logins:
  - {name: alpha, user: someone, credentials: "file:credentials/alpha.key", accounts: [1, 2]}
"""
POLICY = """\
rules:
  max-contracts: {mode: enforce, limit: 5}
  daily-realized-loss: {mode: alert, limit: "500"}
"""


def config(folder: Path, **files: str) -> Path:
    """Write a configuration; each file may be given anew (`accounts_7` is accounts/7.yaml)."""
    texts = {"daemon": DAEMON, "policy": POLICY, **files}
    for name, text in texts.items():
        path = folder / f"{name.replace('accounts_', 'accounts/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def plan(gateway: str = GATEWAY) -> Plan:
    """A demo with one login and two accounts."""
    login = Login(
        name="alpha",
        user="someone",
        credentials="file:credentials/alpha.key",
        accounts=(1, 2),
    )
    return Plan(
        "demo",
        founding.parse_gateway(gateway),
        (login,),
        (AccountPlan(1, "ONE"), AccountPlan(2, "TWO")),
        console_port=0,
        keys={"alpha.key": "a-key-of-a-demo"},
    )


def home(path: Path, gateway: str = GATEWAY) -> Home:
    """A home on disk, as `init` makes it."""
    made = Home(path)
    founding.found(made, plan(gateway), CREATED, "tester")
    return made


def contents(path: Path) -> dict[str, bytes]:
    """Every file below a folder, to see that nothing has changed."""
    return {
        str(one.relative_to(path)): one.read_bytes()
        for one in sorted(path.rglob("*"))
        if one.is_file()
    }
