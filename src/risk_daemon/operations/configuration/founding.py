"""Making a home: the first configuration, validated before anything is written.

What `init` writes is meant to be read and edited: comments say what each line
is for. Five rules are enforced from the start (decisions 3.4); any other waits for
who wants it. A home made from a referee's file has the rules that the referee
judges: what else acted there would be taken for a false alarm.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from risk_daemon.errors import UsageError
from risk_daemon.operations import home as homes
from risk_daemon.operations.configuration.loading import Configuration, load
from risk_daemon.operations.home import Home
from risk_daemon.settings import Gateway, Login
from risk_daemon.sim import config as referee

LOGIN_FORM: Final = "NAME:USER:CREDENTIALS:ACCOUNT[,ACCOUNT...]"
DEFAULT_CONTRACTS: Final = 5
DEFAULT_LOSS: Final = "1000.00"
TRUSTED_HEAD: Final = """\
# Whose releases this home accepts: public keys of minisign, one per line. None: no release.
"""
#: The smallest account that is sold, and what it may draw down: too strict for a larger one's
#: start, never too loose for its floor.
DEFAULT_START: Final = "50000.00"
DEFAULT_DRAWDOWN: Final = "2000.00"


#: Rules by name, each with its mode and parameters.
type Rules = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class AccountPlan:
    """One account as `init` knows it; rules only where they differ from the policy."""

    number: int
    name: str
    rules: Rules = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that `init` was told."""

    environment: str
    gateway: Gateway
    logins: tuple[Login, ...]
    accounts: tuple[AccountPlan, ...]
    limits: tuple[int, str] = (DEFAULT_CONTRACTS, DEFAULT_LOSS)
    #: What the accounts began with, and how far they may fall from their best.
    drawdown: tuple[str, str] = (DEFAULT_START, DEFAULT_DRAWDOWN)
    #: The rules a referee judges the home by; None where there is no referee.
    judged: Rules | None = None
    console_port: int = 8080
    offset_s: float = 0.0
    keys: Mapping[str, str] = field(default_factory=dict)
    #: Public keys whose releases the home accepts, as one text.
    trusted: str = ""


def parse_login(text: str) -> Login:
    """Read one `--login`; the credentials may hold colons of their own (`file:PATH`)."""
    name, _, rest = text.partition(":")
    user, _, rest = rest.partition(":")
    credentials, _, accounts = rest.rpartition(":")
    numbers = [word.strip() for word in accounts.split(",")]
    if not (name and user and credentials) or not all(word.isdecimal() for word in numbers):
        raise UsageError(
            f"--login {text!r} is not {LOGIN_FORM}, for example alpha:me:env:1001,1002."
        )
    return Login(
        name=name,
        user=user,
        credentials=credentials,
        accounts=tuple(int(word) for word in numbers),
    )


def parse_gateway(url: str | None) -> Gateway:
    """Three addresses from one: the hubs of ProjectX live on the host `rtc.` instead of `api.`."""
    if url is None:
        return Gateway()
    base = url.rstrip("/")
    hubs = base.replace("://api.", "://rtc.", 1)
    return Gateway(
        api_url=base, user_hub_url=f"{hubs}/hubs/user", market_hub_url=f"{hubs}/hubs/market"
    )


def plan_from_logins(
    environment: str,
    gateway: str | None,
    logins: list[str],
    drawdown: tuple[str, str] = (DEFAULT_START, DEFAULT_DRAWDOWN),
) -> Plan:
    """Plan a home from the flags of `init`; `drawdown` is the start balance and how far to fall."""
    parsed = tuple(parse_login(text) for text in logins)
    accounts = tuple(AccountPlan(n, f"account {n}") for login in parsed for n in login.accounts)
    return Plan(environment, parse_gateway(gateway), parsed, accounts, drawdown=drawdown)


def plan_from_referee(path: Path, gateway: str) -> Plan:
    """Plan a demo home from the file that the simulated gateway runs on, limits and all."""
    try:
        given = referee.read(path)
    except referee.ConfigRefused as refused:
        raise UsageError(str(refused)) from None
    names = {login.user: _login_name(login.user, n) for n, login in enumerate(given.logins, 1)}
    logins = tuple(
        Login(
            name=names[login.user],
            user=login.user,
            credentials=f"file:credentials/{names[login.user]}.key",
            accounts=tuple(account.id for account in login.accounts),
        )
        for login in given.logins
    )
    rules = {number: _rules_of(limits.plain()) for number, limits in given.limits.items()}
    common = _common(list(rules.values()))
    accounts = tuple(
        AccountPlan(
            one.id,
            one.name,
            {name: rule for name, rule in rules[one.id].items() if common.get(name) != rule},
        )
        for login in given.logins
        for one in login.accounts
    )
    return Plan(
        "demo",
        parse_gateway(gateway),
        logins,
        accounts,
        judged=common,
        console_port=0,
        offset_s=given.offset_s,
        keys={f"{names[login.user]}.key": login.api_key for login in given.logins},
    )


def _rules_of(limits: Mapping[str, object]) -> Rules:
    """An account's limits as the referee's file says them, as rules that are enforced."""
    rules: dict[str, Mapping[str, object]] = {"kill-switch": {"mode": "enforce"}}
    for name, value in limits.items():
        # One number is a rule's limit; a table says the parameters by their own names.
        key = "limits" if name == "max_contracts_per_instrument" else "limit"
        is_table = isinstance(value, Mapping) and key == "limit"
        rules[name.replace("_", "-")] = {"mode": "enforce"} | (
            dict(value) if is_table and isinstance(value, Mapping) else {key: value}
        )
    return rules


def _common(rules: list[Rules]) -> Rules:
    """Per rule that every account has, what most of them say."""
    found: dict[str, Mapping[str, object]] = {}
    for name in sorted({name for one in rules for name in one}):
        said = [one.get(name) for one in rules]
        usual = max(said, key=said.count)
        if usual is not None and None not in said:
            found[name] = usual
    return found


def _login_name(user: str, number: int) -> str:
    """A login's short name from a user name."""
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in user.lower()).strip("-")
    return name[:32] or f"login-{number}"


# --- files -------------------------------------------------------------------


def files(plan: Plan) -> dict[str, str]:
    """Every file of the configuration, by its path below `config/`."""
    owners = {number: login.name for login in plan.logins for number in login.accounts}
    return {
        "daemon.yaml": _daemon_yaml(plan),
        "policy.yaml": _policy_yaml(plan),
        **{
            f"accounts/{account.number}.yaml": _account_yaml(account, owners[account.number])
            for account in plan.accounts
        },
    }


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _daemon_yaml(plan: Plan) -> str:
    gateway = plan.gateway.addresses().items()
    lines = [
        "# Settings of this deployment; read when the daemon starts.",
        f"environment: {plan.environment}",
        "",
        "console:",
        f"  port: {plan.console_port}    # 127.0.0.1 only; 0 takes any free one",
        "",
        "gateway:",
        *(f"  {name}: {_quoted(url)}" for name, url in gateway),
        "",
        "# One entry per user of the broker. `credentials` says where the API key is:",
        "# env (PROJECT_X_API_KEY, PROJECT_X_USERNAME) or file:PATH (mode 0600, below the home).",
        "logins:",
    ]
    for login in plan.logins:
        lines += [
            f"  - name: {login.name}",
            f"    user: {_quoted(login.user)}",
            f"    credentials: {_quoted(login.credentials)}",
            f"    accounts: [{', '.join(map(str, login.accounts))}]",
        ]
    if plan.offset_s:
        lines += ["", "clock:", f"  offset_s: {plan.offset_s}    # a demo's own time"]
    return "\n".join(lines) + "\n"


def _policy_yaml(plan: Plan) -> str:
    lines = [
        "# Rules and limits of every account; accounts/<number>.yaml may differ.",
        "# mode: enforce (act), shadow (decide and record), alert (tell someone).",
        "# Money is text in quotes, a positive magnitude.",
        "calendar: cme_equity",
        "day_roll: cme_trade_date",
        "",
        "rules:",
        *(_profile(plan) if plan.judged is None else _judged(plan.judged)),
    ]
    return "\n".join(lines)


def _rule(name: str, mode: str, *keys: str) -> list[str]:
    return [f"  {name}:", f"    mode: {mode}", *(f"    {key}" for key in keys), ""]


def _judged(rules: Rules) -> list[str]:
    lines: list[str] = []
    for name, rule in rules.items():
        lines += [
            f"  {name}:",
            *(f"    {key}: {_inline(value)}" for key, value in rule.items()),
            "",
        ]
    return lines


def _profile(plan: Plan) -> list[str]:
    start, drawdown = plan.drawdown
    return [
        *_rule("max-contracts", "enforce", f"limit: {plan.limits[0]}"),
        *_rule(
            "daily-combined-loss",
            "enforce",
            f"limit: {_quoted(plan.limits[1])}    # the day's loss, realized and open together",
        ),
        *_rule(
            "trailing-max-drawdown",
            "enforce",
            f"start: {_quoted(start)}    # the balance the account BEGAN with: look at it",
            f"drawdown: {_quoted(drawdown)}",
            'buffer: "100.00"    # act so far above the floor',
        ),
        *_rule(
            "end-of-day-flatten",
            "enforce",
            'flatten: "15:08"    # Chicago; ten minutes before an early close',
        ),
        *_rule("kill-switch", "enforce"),
    ]


def _account_yaml(account: AccountPlan, login: str) -> str:
    lines = [f"name: {_quoted(account.name)}", f"login: {login}"]
    if account.rules:
        lines += ["rules:", *(f"  {name}: {_inline(rule)}" for name, rule in account.rules.items())]
    return "\n".join(lines) + "\n"


def _inline(value: object) -> str:
    """Write a value on one line: money and times in quotes, so that YAML keeps them as text."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_inline(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, str) and not value.replace("-", "").isalpha():
        return _quoted(value)
    return str(value)


def validate(plan: Plan) -> Configuration:
    """Judge what would be written, in a scratch place: nothing is half made."""
    with tempfile.TemporaryDirectory(prefix="risk-daemon-init-") as scratch:
        write_files(Path(scratch), files(plan))
        return load(Path(scratch))


def write_files(folder: Path, texts: Mapping[str, str]) -> None:
    """Write files below a folder."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(text, encoding="utf-8")


def found(home: Home, plan: Plan, created: str, by: str) -> Configuration:
    """Make the home: folders, configuration and its first commit, keys readable by us only."""
    configuration = validate(plan)
    source = "environment" if any(one.credentials == "env" for one in plan.logins) else "files"
    homes.create(home, plan.environment, created, source)
    write_files(home.config, files(plan))
    for name, key in plan.keys.items():
        _write_key(home.path / "credentials" / name, key)
    home.trusted_keys.write_text(TRUSTED_HEAD + plan.trusted, encoding="utf-8")
    # Imported here: dulwich is slow to load and only this and `start` need it.
    from risk_daemon.operations.configuration import history

    history.ensure(home.config, by, "First configuration, written by init")
    return configuration


def _write_key(path: Path, key: str) -> None:
    path.parent.mkdir(exist_ok=True, mode=0o700)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(key + "\n", encoding="utf-8")
