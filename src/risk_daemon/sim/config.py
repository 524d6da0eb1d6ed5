"""The one file that tells the exchange, the traders and the referee what to do.

`parse` is pure; `read` adds the file. Unknown keys and wrong values are refused in one sentence
that names the file, the path in it, the value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from risk_daemon.sim.contracts import BY_ROOT
from risk_daemon.sim.limits import limits_of
from risk_daemon.sim.profile import PROFILES
from risk_daemon.sim.reader import ConfigRefused, Reader
from risk_daemon.sim.scenario import AccountConfig, LoginConfig, SimConfig

STYLES = ("oversizer", "loser", "bracketer", "calm", "holder", "dreamer", "careless")
CLOSE_MODES = ("auto_oco", "position_brackets")
API_KEY_LENGTH_MIN = 11

__all__ = ["ConfigRefused", "parse", "read"]


def parse(data: object) -> SimConfig:
    """A checked configuration from what the YAML file held."""
    if not isinstance(data, Mapping):
        raise ConfigRefused("the file holds no mapping; allowed are logins, limits and so on")
    top = Reader("", data)
    logins = tuple(_login(row) for row in top.rows("logins"))
    accounts = [account.id for login in logins for account in login.accounts]
    for doubled in {a for a in accounts if accounts.count(a) > 1}:
        raise ConfigRefused(f"logins: account id {doubled} is there twice; allowed is once")
    config = SimConfig(
        seed=top.whole("seed", 0, 7),
        offset_s=top.number("offset_s", 0.0),
        profile=top.one_of("profile", tuple(PROFILES), "demo"),
        traders=top.flag("traders", default=True),
        close_mode=top.one_of("close_mode", CLOSE_MODES, "auto_oco"),
        logins=logins,
        fees=_fees(top.section("fees")),
        limits=limits_of(
            top.section("limits"), {a.id: a.balance for login in logins for a in login.accounts}
        ),
        answer_within_ms=top.whole("answer_within_ms", 1, 1000),
        swings=_swings(top),
    )
    top.done()
    return config


def _swings(top: Reader) -> tuple[str, ...]:
    roots = top.get("swings", [])
    if not isinstance(roots, list) or not all(root in BY_ROOT for root in roots):
        raise top.refuse("swings", roots, f"a list of roots: {', '.join(BY_ROOT)}")
    return tuple(roots)


def _login(row: Reader) -> LoginConfig:
    key = row.text("api_key")
    if len(key) < API_KEY_LENGTH_MIN:
        raise row.refuse("api_key", key, f"a text of at least {API_KEY_LENGTH_MIN} characters")
    login = LoginConfig(row.text("user"), key, tuple(map(_account, row.rows("accounts"))))
    row.done()
    return login


def _account(row: Reader) -> AccountConfig:
    number = row.whole("id", 1)
    account = AccountConfig(
        number,
        row.text("name", f"SIM-{number}"),
        row.money("balance", "50000.00"),
        row.one_of("style", STYLES, "calm"),
    )
    row.done()
    return account


def _fees(section: Reader) -> dict[str, tuple[Decimal, Decimal]]:
    fees = {"default": (Decimal("0.37"), Decimal("0.25"))}
    for root in section.data:
        if root != "default" and root not in BY_ROOT:
            raise section.refuse(root, section.data[root], f"default, {', '.join(BY_ROOT)}")
        row = section.section(str(root))
        fees[str(root)] = (row.money("fee"), row.money("commission"))
        row.done()
    return fees


def read(path: Path) -> SimConfig:
    """The configuration in a file; refusals name the file."""
    try:
        data = YAML(typ="safe").load(path)
    except OSError as error:
        raise ConfigRefused(f"{path}: can't be read ({error.strerror})") from error
    except YAMLError as error:
        raise ConfigRefused(f"{path}: is not YAML ({' '.join(str(error).split())})") from error
    try:
        return parse(data)
    except ConfigRefused as refused:
        raise ConfigRefused(f"{path}: {refused}") from refused
