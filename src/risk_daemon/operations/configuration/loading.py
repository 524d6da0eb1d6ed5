"""The configuration of a home, read and judged as a whole: all errors at once, or none.

    config/daemon.yaml           settings: read once by a process
    config/policy.yaml           rules and limits of every account
    config/accounts/<id>.yaml    one account's name and differences
    config/flags.yaml            rules in another mode for a while; need not be there

What comes out are the records the journal keeps, so that replay and a start
without readable files see the same policy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.core.events import PolicyAdopted, SettingsAdopted
from risk_daemon.operations.configuration import flags_file
from risk_daemon.operations.configuration import gateway as gateways
from risk_daemon.operations.configuration.flags import Flag, laid, own_keys
from risk_daemon.operations.configuration.models import AccountFile, DaemonFile, PolicyFile
from risk_daemon.operations.configuration.problems import InvalidConfiguration, Problem, nearest
from risk_daemon.operations.configuration.rule_settings import Layers, settings_of
from risk_daemon.operations.configuration.sections import section
from risk_daemon.operations.configuration.yaml_file import YamlFile
from risk_daemon.settings import Gateway, Login, Settings, Workers, encode_settings
from risk_daemon.wire import record

DAEMON: Final = "config/daemon.yaml"
POLICY: Final = "config/policy.yaml"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A valid configuration, as the records that adopt it."""

    settings: Settings
    adopted: SettingsAdopted
    policies: tuple[PolicyAdopted, ...]
    #: The rules' keys that each account's own file gives.
    own: Mapping[int, frozenset[tuple[str, str]]]
    #: Laid over the policies already, where they speak at `at` (ns UTC).
    flags: tuple[Flag, ...] = ()
    at: int = 0

    def policy(self, account: int) -> PolicyAdopted:
        """The policy of one account; KeyError where it is not guarded."""
        for policy in self.policies:
            if policy.account == account:
                return policy
        raise KeyError(account)


@dataclass(frozen=True, slots=True)
class _AccountEntry:
    file: YamlFile
    model: AccountFile


def load(config: Path, at: int = 0) -> Configuration:
    """Read a configuration folder; raises InvalidConfiguration with every error in it.

    Flags are laid over as they speak at an instant (ns UTC); 0 is the home's own now.
    """
    problems: list[Problem] = []
    daemon_file, daemon = section(config / "daemon.yaml", DAEMON, DaemonFile, problems)
    policy_file, policy = section(config / "policy.yaml", POLICY, PolicyFile, problems)
    accounts = _accounts(config / "accounts", problems)
    if daemon_file is not None and daemon is not None:
        problems += _relations(daemon_file, daemon, accounts)
    if daemon is None or policy_file is None or policy is None:
        if policy_file is not None:
            problems += settings_of(Layers(policy_file, None))[1]
        raise InvalidConfiguration(problems)
    policies = tuple(_policies(daemon, policy_file, policy, accounts, problems))
    flags = flags_file.read(config, policies, problems)
    if problems:
        raise InvalidConfiguration(problems)
    settings = _settings(daemon)
    own = {number: _own_keys(entry) for number, entry in accounts.items()}
    at = at or Clock(int(settings.clock_offset_s * SECOND_NS)).now_ns()
    if flags:
        policies = tuple(with_digest(laid(policy, flags, at)) for policy in policies)
        asked = {one.account: own_keys(one.account, flags, len(policies)) for one in policies}
        own |= {number: own.get(number, frozenset()) | keys for number, keys in asked.items()}
    return Configuration(settings, adopted_settings(settings), policies, own, flags, at)


def _own_keys(entry: _AccountEntry) -> frozenset[tuple[str, str]]:
    rules = entry.model.rules.items()
    return frozenset((rule, key) for rule, keys in rules for key in keys)


def adopted_settings(settings: Settings) -> SettingsAdopted:
    """Wrap settings for the journal."""
    text = encode_settings(settings)
    return SettingsAdopted(text=text, digest=_digest(text.encode()))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


# --- files -------------------------------------------------------------------


def _accounts(folder: Path, problems: list[Problem]) -> dict[int, _AccountEntry]:
    """Read every account's file; its name is the account's number."""
    entries: dict[int, _AccountEntry] = {}
    for path in sorted(folder.glob("*")):
        if path.name.startswith("."):
            continue
        name = f"config/accounts/{path.name}"
        if path.suffix != ".yaml" or not path.stem.isdecimal():
            allowed = "files named <account number>.yaml"
            problems.append(Problem(name, 0, "", path.name, allowed))
            continue
        file, model = section(path, name, AccountFile, problems)
        if file is not None and model is not None:
            entries[int(path.stem)] = _AccountEntry(file, model)
    return entries


# --- what the files say together ----------------------------------------------


def _relations(
    file: YamlFile, daemon: DaemonFile, accounts: dict[int, _AccountEntry]
) -> Iterator[Problem]:
    """Errors that no single value shows."""
    yield from _gateway_problems(file, daemon)
    if daemon.environment == "production" and daemon.clock.offset_s != 0:
        yield file.problem(["clock", "offset_s"], "0 in production")
    yield from _login_problems(file, daemon)
    yield from _account_problems(daemon, accounts)


def _gateway_problems(file: YamlFile, daemon: DaemonFile) -> Iterator[Problem]:
    addresses = Gateway(**daemon.gateway.model_dump()).addresses()
    means = gateways.MEANS[daemon.environment]
    for name, url in addresses.items():
        wrong = gateways.objection(daemon.environment, url)
        if wrong is not None:
            path = f"gateway.{name}"
            allowed = f"in {daemon.environment}, {means} (this {wrong})"
            yield Problem(file.name, file.line(["gateway", name]), path, url, allowed)


def _login_problems(file: YamlFile, daemon: DaemonFile) -> Iterator[Problem]:
    names: dict[str, int] = {}
    owners: dict[int, str] = {}
    in_environment = 0
    for index, login in enumerate(daemon.logins):
        if login.name in names:
            yield file.problem(["logins", index, "name"], "a name no other login has")
        names.setdefault(login.name, index)
        in_environment += login.credentials == "env"
        if login.credentials == "env" and in_environment > 1:
            allowed = "file:PATH, as the environment can hold one login's key"
            yield file.problem(["logins", index, "credentials"], allowed)
        for place, account in enumerate(login.accounts):
            if account in owners:
                allowed = f"an account no login has yet ({owners[account]} has it)"
                yield file.problem(["logins", index, "accounts", place], allowed)
            owners.setdefault(account, login.name)


def _account_problems(daemon: DaemonFile, accounts: dict[int, _AccountEntry]) -> Iterator[Problem]:
    owners = {account: login.name for login in daemon.logins for account in login.accounts}
    names = sorted({login.name for login in daemon.logins})
    for account, entry in accounts.items():
        owner = owners.get(account)
        if entry.model.login not in names:
            near = nearest(entry.model.login, names)
            yield entry.file.problem(["login"], f"a login of {DAEMON}: {', '.join(names)}", near)
        elif owner != entry.model.login:
            allowed = (
                f"{owner} ({DAEMON} lists the account there)"
                if owner
                else (f"a login whose `accounts` in {DAEMON} list {account}")
            )
            yield entry.file.problem(["login"], allowed)


# --- what comes out -----------------------------------------------------------


def _policies(
    daemon: DaemonFile,
    policy_file: YamlFile,
    policy: PolicyFile,
    accounts: dict[int, _AccountEntry],
    problems: list[Problem],
) -> Iterator[PolicyAdopted]:
    """One policy per account, in the order of the file."""
    for login in daemon.logins:
        for account in login.accounts:
            entry = accounts.get(account)
            rules, found = settings_of(Layers(policy_file, entry.file if entry else None))
            problems += found
            yield with_digest(
                PolicyAdopted(
                    account=account,
                    login=login.name,
                    name=entry.model.name if entry else str(account),
                    calendar=(entry and entry.model.calendar) or policy.calendar,
                    day_roll=(entry and entry.model.day_roll) or policy.day_roll,
                    rules=rules,
                    digest="",
                )
            )


def with_digest(policy: PolicyAdopted) -> PolicyAdopted:
    """Name a policy by its content, so that an unchanged one is known as such."""
    fields: dict[str, Any] = msgspec.structs.asdict(policy)
    fields["digest"] = _digest(record.encode(msgspec.structs.replace(policy, digest="")))
    return PolicyAdopted(**fields)


def _settings(daemon: DaemonFile) -> Settings:
    return Settings(
        environment=daemon.environment,
        console_port=daemon.console.port,
        gateway=Gateway(**daemon.gateway.model_dump()),
        logins=tuple(
            Login(
                name=login.name,
                user=login.user,
                credentials=login.credentials,
                accounts=tuple(login.accounts),
            )
            for login in daemon.logins
        ),
        workers=Workers(heartbeat_ms=daemon.workers.heartbeat_ms, missed=daemon.workers.missed),
        transport=daemon.journal.transport,
        clock_offset_s=float(daemon.clock.offset_s),
        hash_every=daemon.hash_every,
        snapshot_every=daemon.snapshot_every,
        backup_every_h=daemon.backup_every_h,
    )
