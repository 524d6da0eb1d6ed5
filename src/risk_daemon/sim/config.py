"""The one file that tells the exchange, the traders and the referee what to do.

`parse` is pure; `read` adds the file. Unknown keys and wrong values are refused in one sentence
that names the file, the path in it, the value and what is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from risk_daemon.sim.contracts import BY_ROOT
from risk_daemon.sim.profile import PROFILES
from risk_daemon.sim.scenario import AccountConfig, Limits, LoginConfig, SimConfig

STYLES = ("oversizer", "loser", "bracketer", "calm")
CLOSE_MODES = ("auto_oco", "position_brackets")
API_KEY_LENGTH_MIN = 11


class ConfigRefused(ValueError):
    """The file can't be used; the message says where and why."""


@dataclass(slots=True)
class _Reader:
    """Takes values out of one mapping and remembers where it is, for the sentence of refusal."""

    path: str
    data: Mapping[object, object]
    taken: set[object] = field(default_factory=set)

    def refuse(self, key: object, value: object, allowed: str) -> ConfigRefused:
        where = f"{self.path}.{key}" if self.path else str(key)
        return ConfigRefused(f"{where} is {value!r}; allowed is {allowed}")

    def get(self, key: str, default: object = None) -> object:
        self.taken.add(key)
        return self.data.get(key, default)

    def text(self, key: str, default: object = None) -> str:
        value = self.get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.refuse(key, value, "a non-empty text")
        return value

    def one_of(self, key: str, allowed: tuple[str, ...], default: str) -> str:
        value = self.get(key, default)
        if value not in allowed:
            raise self.refuse(key, value, " or ".join(allowed))
        return str(value)

    def whole(self, key: str, low: int, default: object = None) -> int:
        value = self.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < low:
            raise self.refuse(key, value, f"a whole number of at least {low}")
        return value

    def number(self, key: str, default: float) -> float:
        value = self.get(key, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise self.refuse(key, value, "a number of seconds")
        return float(value)

    def flag(self, key: str, *, default: bool) -> bool:
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.refuse(key, value, "true or false")
        return value

    def money(self, key: str, default: object = None, *, low: str = "0") -> Decimal:
        value = self.get(key, default)
        try:
            amount = Decimal(str(value))
        except InvalidOperation:
            amount = Decimal("NaN")
        if not amount.is_finite() or amount < Decimal(low) or isinstance(value, bool):
            raise self.refuse(key, value, f"an amount in quotes of at least {low}")
        return amount

    def section(self, key: str) -> _Reader:
        value = self.get(key, {})
        if not isinstance(value, Mapping):
            raise self.refuse(key, value, "a mapping")
        return _Reader(f"{self.path}.{key}" if self.path else key, value)

    def rows(self, key: str) -> list[_Reader]:
        value = self.get(key)
        if not isinstance(value, list) or not value:
            raise self.refuse(key, value, "a list with at least one entry")
        where = f"{self.path}.{key}" if self.path else key
        for index, entry in enumerate(value):
            if not isinstance(entry, Mapping):
                raise self.refuse(f"{key}[{index}]", entry, "a mapping")
        return [_Reader(f"{where}[{index}]", entry) for index, entry in enumerate(value)]

    def done(self) -> None:
        for key in self.data:
            if key not in self.taken:
                raise self.refuse(key, self.data[key], f"only {', '.join(map(str, self.taken))}")


def parse(data: object) -> SimConfig:
    """A checked configuration from what the YAML file held."""
    if not isinstance(data, Mapping):
        raise ConfigRefused("the file holds no mapping; allowed are logins, limits and so on")
    top = _Reader("", data)
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
        limits=_limits(top.section("limits"), accounts),
        answer_within_ms=top.whole("answer_within_ms", 1, 1000),
    )
    top.done()
    return config


def _login(row: _Reader) -> LoginConfig:
    key = row.text("api_key")
    if len(key) < API_KEY_LENGTH_MIN:
        raise row.refuse("api_key", key, f"a text of at least {API_KEY_LENGTH_MIN} characters")
    login = LoginConfig(row.text("user"), key, tuple(map(_account, row.rows("accounts"))))
    row.done()
    return login


def _account(row: _Reader) -> AccountConfig:
    number = row.whole("id", 1)
    account = AccountConfig(
        number,
        row.text("name", f"SIM-{number}"),
        row.money("balance", "50000.00"),
        row.one_of("style", STYLES, "calm"),
    )
    row.done()
    return account


def _fees(section: _Reader) -> dict[str, tuple[Decimal, Decimal]]:
    fees = {"default": (Decimal("0.37"), Decimal("0.25"))}
    for root in section.data:
        if root != "default" and root not in BY_ROOT:
            raise section.refuse(root, section.data[root], f"default, {', '.join(BY_ROOT)}")
        row = section.section(str(root))
        fees[str(root)] = (row.money("fee"), row.money("commission"))
        row.done()
    return fees


def _limits(section: _Reader, accounts: list[int]) -> dict[int, Limits]:
    default = section.section("default")
    general = _account_limits(default, Limits(5, Decimal(500)))
    own = section.section("accounts")
    for account in own.data:
        if account not in accounts:
            raise own.refuse(account, own.data[account], "the id of an account under logins")
    section.done()
    limits = dict.fromkeys(accounts, general)
    for account, value in own.data.items():
        if not isinstance(value, Mapping) or not isinstance(account, int):
            raise own.refuse(account, value, "a mapping")
        limits[account] = _account_limits(_Reader(f"{own.path}.{account}", value), general)
    return limits


def _account_limits(row: _Reader, general: Limits) -> Limits:
    limits = Limits(
        row.whole("max_contracts", 0, general.max_contracts),
        row.money("daily_realized_loss", general.daily_realized_loss, low="0.01"),
        _per_instrument(row, general.max_contracts_per_instrument),
    )
    row.done()
    return limits


def _per_instrument(row: _Reader, general: Mapping[str, int]) -> Mapping[str, int]:
    """Limits by root; an account's own mapping replaces the default's, an empty one ends it."""
    key = "max_contracts_per_instrument"
    section = row.section(key)
    if key not in row.data:
        return general
    for root, value in section.data.items():
        if root not in BY_ROOT:
            raise section.refuse(root, value, f"one of the roots {', '.join(BY_ROOT)}")
    return {str(root): section.whole(str(root), 0) for root in section.data}


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
