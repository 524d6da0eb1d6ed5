"""What happens when: a scenario's timeline, read from YAML or taken from the control port.

`parse` is pure; `read` adds the file. A step has `at` (seconds since the scenario began) and one
wish of the control port under its name:

    begins: whole                       # or: ready
    timeline:
      - {at: 0.0, order: {account: 9200000101, contract: MNQ, side: buy, size: 7}}
      - {at: 0.2, fault: {kind: hub_reset, login: east}}

All of it is checked before anything happens. A refusal names the step, the value and what is
allowed, and the nearest right name where there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from risk_daemon.sim import contracts
from risk_daemon.sim.faults import FaultRefused, FaultWish, check
from risk_daemon.sim.profile import CALM, ProfileRefused, changed
from risk_daemon.sim.scenario import SimConfig
from risk_daemon.sim.wishes import (
    Wish,
    WishRefused,
    decimal_of,
    fault_of,
    flag_of,
    number_of,
    ticket_of,
)
from risk_daemon.sim.words import not_among

BEGINS = ("whole", "ready")
_ORDER = (
    "contract",
    "side",
    "size",
    "type",
    "price",
    "tag",
    "stop_loss_ticks",
    "take_profit_ticks",
)
# What may happen, and the members of each wish; those of a fault are checked kind by kind.
FIELDS: Mapping[str, tuple[str, ...]] = {
    "announce": ("account", "act", "by", "grace_ms"),
    "balance": ("account", "delta"),
    "fault": (),
    "hold": ("account", "closes"),
    "market": ("moving",),
    "order": ("account", *_ORDER),
    "profile": ("name", "answer_ms", "fill_ms", "piece_ms", "gap_ms", "duplicates", "pieces"),
    "quote": ("contract", "bid", "ask", "last"),
    "release": ("account",),
    "traders": ("on", "end_in_s"),
    "window": ("login", "seconds", "why"),
}
_NEEDS_AN_ACCOUNT = frozenset({"balance", "hold", "order"})


class ScenarioRefused(ValueError):
    """The scenario can't be played; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One wish and when it is due, in seconds since the scenario began."""

    at_s: float
    verb: str
    wish: Wish


@dataclass(frozen=True, slots=True)
class Scenario:
    """The steps in order; it begins at once, or when every login is connected and subscribed."""

    steps: tuple[Step, ...]
    begins: str = "whole"


@dataclass(frozen=True, slots=True)
class Cast:
    """Who may be named in a scenario."""

    accounts: frozenset[int]
    logins: frozenset[str]

    @classmethod
    def of(cls, config: SimConfig) -> Cast:
        """The accounts and logins of a configuration."""
        accounts = (account.id for login in config.logins for account in login.accounts)
        return cls(frozenset(accounts), frozenset(login.user for login in config.logins))


def parse(data: object, cast: Cast) -> Scenario:
    """A checked scenario from what the file (or the wish) held."""
    if not isinstance(data, Mapping):
        raise ScenarioRefused("a scenario is a mapping with the key timeline")
    for key in data:
        if key not in ("begins", "timeline"):
            raise ScenarioRefused(not_among("a key", key, ("begins", "timeline")))
    begins, rows = data.get("begins", "whole"), data.get("timeline")
    if begins not in BEGINS:
        raise ScenarioRefused(not_among("begins", begins, BEGINS))
    if not isinstance(rows, Sequence) or isinstance(rows, str) or not rows:
        raise ScenarioRefused(f"timeline is {rows!r}; allowed is a list with at least one step")
    steps = [_step(f"timeline[{n}]", row, cast) for n, row in enumerate(rows)]
    return Scenario(tuple(sorted(steps, key=lambda step: step.at_s)), str(begins))


def _step(where: str, row: object, cast: Cast) -> Step:
    if not isinstance(row, Mapping):
        raise ScenarioRefused(f"{where} is {row!r}; allowed is a mapping with at and a wish")
    at_s = _plain(row.get("at"))
    if not isinstance(at_s, int | float) or isinstance(at_s, bool) or at_s < 0:
        raise ScenarioRefused(f"{where}.at is {at_s!r}; allowed is a number of seconds from 0")
    verbs = [key for key in row if key != "at"]
    if len(verbs) != 1:
        said = ", ".join(map(str, verbs)) or "nothing"
        raise ScenarioRefused(
            f"{where} has {said} beside at; allowed is one of {', '.join(FIELDS)}"
        )
    verb = str(verbs[0])
    if verb not in FIELDS:
        raise ScenarioRefused(f"{where}: {not_among('a step', verb, FIELDS)}")
    body = row[verbs[0]]
    if not isinstance(body, Mapping):
        raise ScenarioRefused(f"{where}.{verb} is {body!r}; allowed is a mapping")
    wish = {str(key): _plain(value) for key, value in body.items()}
    try:
        _check(verb, wish, cast)
    except (WishRefused, FaultRefused, ProfileRefused) as refused:
        raise ScenarioRefused(f"{where}.{verb}: {refused}") from refused
    return Step(float(at_s), verb, wish)


def _plain(value: object) -> object:
    """A number as YAML would have it: the control port reads fractions as exact decimals."""
    if isinstance(value, Decimal):
        return float(value)
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _check(verb: str, wish: Wish, cast: Cast) -> None:
    if verb != "fault":
        for key in wish:
            if key not in FIELDS[verb]:
                raise WishRefused(not_among("a member", key, FIELDS[verb]))
    _check_names(verb, wish, cast)
    _CHECKS.get(verb, _nothing)(wish)


def _check_names(verb: str, wish: Wish, cast: Cast) -> None:
    account, login = wish.get("account"), wish.get("login")
    if (verb in _NEEDS_AN_ACCOUNT or account is not None) and account not in cast.accounts:
        raise WishRefused(not_among("account", account, map(str, cast.accounts)))
    if login is not None and login not in cast.logins:
        raise WishRefused(not_among("login", login, cast.logins))
    contract = wish.get("contract")
    if contract is not None and contracts.find(str(contract)) is None:
        raise WishRefused(not_among("contract", contract, contracts.BY_ROOT))


def _nothing(_wish: Wish) -> None:
    return


def _check_fault(wish: Wish) -> None:
    account = wish.get("account")
    fault: FaultWish = fault_of(wish, None, account if isinstance(account, int) else None)
    check(fault)


def _check_quote(wish: Wish) -> None:
    if wish.get("contract") is None:
        raise WishRefused(not_among("contract", None, contracts.BY_ROOT))
    for side in ("bid", "ask"):
        decimal_of(wish, side)


_CHECKS: Mapping[str, Callable[[Wish], object]] = {
    "balance": lambda wish: decimal_of(wish, "delta"),
    "fault": _check_fault,
    "hold": lambda wish: number_of(wish, "closes", 1),
    "market": lambda wish: flag_of(wish, "moving"),
    "order": ticket_of,
    "profile": lambda wish: changed(CALM, wish),
    "quote": _check_quote,
    "traders": lambda wish: flag_of(wish, "on"),
    "window": lambda wish: number_of(wish, "seconds", 5),
}


def read(path: Path, config: SimConfig) -> Scenario:
    """The scenario in a file; refusals name the file."""
    try:
        data = YAML(typ="safe").load(path)
    except OSError as error:
        raise ScenarioRefused(f"{path}: can't be read ({error.strerror})") from error
    except YAMLError as error:
        raise ScenarioRefused(f"{path}: is not YAML ({' '.join(str(error).split())})") from error
    try:
        return parse(data, Cast.of(config))
    except ScenarioRefused as refused:
        raise ScenarioRefused(f"{path}: {refused}") from refused
