"""`config validate | show | diff | reload`: what the files say, and what is in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from risk_daemon.core.events import PolicyAdopted, RuleSetting
from risk_daemon.errors import NotFound, NotReachable
from risk_daemon.operations import daemon, home, state_file
from risk_daemon.operations.accounts.looking import find_account
from risk_daemon.operations.changing import adoption, difference, mass_trip
from risk_daemon.operations.configuration import postponed
from risk_daemon.operations.configuration.loading import Configuration
from risk_daemon.operations.configuration.postponed import Postponed, waiting_lines
from risk_daemon.operations.configuration.problems import shown
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import Outcome
from risk_daemon.operations.state_file import Standing
from risk_daemon.operations.words import both_times, count, iso
from risk_daemon.rules import CATALOG
from risk_daemon.settings import Settings, decode_settings

RELOAD_WITHIN_S: Final = 5.0
AT_START: Final = "takes effect at the next `stop` and `start`"


def checked(at: Home) -> Configuration:
    """The configuration of a home, valid and belonging there; raises with all that is wrong."""
    return adoption.read(at, home.open_home(at))


def validate(at: Home) -> Outcome:
    """Judge the files as a whole; adopts nothing."""
    configuration = checked(at)
    return Outcome(
        tuple(
            f"{_title(policy)}: valid, {count(len(policy.rules), 'rule')}"
            for policy in configuration.policies
        ),
        data={"accounts": [policy.account for policy in configuration.policies]},
        next_command="risk-daemon-admin config diff",
    )


def _title(policy: PolicyAdopted) -> str:
    number = str(policy.account)
    return number if policy.name == number else f"{number} {policy.name}"


# --- show ----------------------------------------------------------------------


def show(at: Home, *, effective: bool) -> Outcome:
    """What the files say; `effective`: what is in force, with every default."""
    if not effective:
        configuration = checked(at)
        return _shown(configuration.settings, configuration.policies, effective=False, notes=())
    home.read(at)
    standing = _standing(at)
    if standing is None or standing.settings is None:
        configuration = checked(at)
        note = "nothing is in force yet: this is what `start` would adopt"
        return _shown(configuration.settings, configuration.policies, effective=True, notes=(note,))
    settings = decode_settings(standing.settings.text)
    policies = tuple(standing.policies[n] for n in settings.accounts() if n in standing.policies)
    return _shown(settings, policies, effective=True, notes=_waiting_lines(at))


def _standing(at: Home) -> Standing | None:
    try:
        return state_file.standing(at)
    except NotFound:
        return None


def _shown(
    settings: Settings,
    policies: tuple[PolicyAdopted, ...],
    *,
    effective: bool,
    notes: tuple[str, ...],
) -> Outcome:
    above = [
        f"environment: {settings.environment}",
        f"console: 127.0.0.1:{settings.console_port}",
        *(f"gateway {name}: {url}" for name, url in settings.gateway.addresses().items()),
        *(
            f"login {one.name}: user {one.user}, credentials {one.credentials}, "
            f"accounts {', '.join(map(str, one.accounts))}"
            for one in settings.logins
        ),
    ]
    if effective:
        workers = settings.workers
        above += [
            f"workers: a beat every {workers.heartbeat_ms} ms, dead after {workers.missed}",
            f"journal: {settings.transport or 'the transport of the platform'}, "
            f"a hash every {settings.hash_every} records, "
            f"a snapshot every {settings.snapshot_every}",
            f"clock offset: {settings.clock_offset_s:g} s",
            f"backup: every {settings.backup_every_h} h"
            if settings.backup_every_h
            else "backup: by hand",
        ]
    rows = [(policy, one) for policy in policies for one in policy.rules]
    return Outcome(
        tuple(_rule_line(policy, one, effective=effective) for policy, one in rows),
        data={
            "settings": msgspec.to_builtins(settings),
            "accounts": [_policy_row(policy, effective=effective) for policy in policies],
        },
        notes=notes,
        next_command="risk-daemon-admin config set-rule --help",
        above=tuple(above),
    )


def _rule_line(policy: PolicyAdopted, setting: RuleSetting, *, effective: bool) -> str:
    params = [f"{key}={shown(value)}" for key, value in setting.params.items()]
    if effective:
        params += [f"{key}={_plain(value)} (default)" for key, value in _defaults(setting)]
    told = f": {', '.join(params)}" if params else ""
    return f"{_title(policy)} {setting.rule}: {setting.mode}{told}"


def _plain(value: object) -> str:
    return "none" if value is None else shown(value)


def _defaults(setting: RuleSetting) -> Iterator[tuple[str, object]]:
    kind = CATALOG.get(setting.rule)
    for key, value in kind.defaults.items() if kind else ():
        if key not in setting.params:
            yield key, value


def _policy_row(policy: PolicyAdopted, *, effective: bool) -> dict[str, Any]:
    row: dict[str, Any] = msgspec.to_builtins(policy)
    if effective:
        for rule, setting in zip(row["rules"], policy.rules, strict=True):
            rule["defaults"] = dict(_defaults(setting))
    return row


# --- diff ----------------------------------------------------------------------


def diff(at: Home) -> Outcome:
    """The files against what is in force: tighter, looser or other, and when each takes effect."""
    configuration = checked(at)
    standing = _standing(at)
    if standing is None or standing.settings is None:
        line = "nothing is in force yet: `start` adopts the files as they are"
        return Outcome((line,), data={"changes": []}, next_command="risk-daemon-admin start")
    lines, rows = _differences(configuration, standing, postponed.read(at))
    return Outcome(
        tuple(lines) or ("the files say what is in force",),
        data={"changes": rows},
        next_command="risk-daemon-admin config reload" if lines else "risk-daemon-admin status",
    )


def has_adopted(at: Home) -> bool:
    """Whether anything was ever in force here."""
    standing = _standing(at)
    return standing is not None and standing.settings is not None


def compare(
    at: Home, configuration: Configuration, *, at_once: bool
) -> tuple[list[str], list[dict[str, Any]]]:
    """Say what another configuration changes of what is in force, in words and as rows."""
    standing = _standing(at)
    if standing is None or standing.settings is None:
        return [], []
    return _differences(configuration, standing, {}, at_once=at_once)


def _differences(
    configuration: Configuration,
    standing: Standing,
    waiting: Mapping[int, Postponed],
    *,
    at_once: bool = False,
) -> tuple[list[str], list[dict[str, Any]]]:
    lines: list[str] = []
    rows: list[dict[str, Any]] = []

    def add(account: int, words: str, way: str, when: str) -> None:
        title = f"{account} " if account else ""
        lines.append(f"{title}{words}: {when}")
        rows.append({"account": account, "words": words, "way": way, "when": when})

    assert standing.settings is not None
    before = decode_settings(standing.settings.text)
    for name in Settings.__struct_fields__:
        if getattr(before, name) != getattr(configuration.settings, name):
            add(0, f"settings: {name} changes", difference.OTHER, AT_START)
    for account in sorted(set(before.accounts()) - set(configuration.settings.accounts())):
        add(account, "is no longer listed", difference.LOOSER, AT_START)
    for policy in configuration.policies:
        in_force = standing.policies.get(policy.account)
        if in_force is None:
            add(policy.account, "is new", difference.OTHER, AT_START)
            continue
        own = configuration.own.get(policy.account, frozenset())
        _, later = difference.split(in_force, policy, own)
        for change in difference.changes(in_force, policy, own):
            when = _when(waiting.get(policy.account), policy) if change in later else "at reload"
            when = "at once" if at_once else when
            add(policy.account, change.words(), change.way, when)
    return lines, rows


def _when(entry: Postponed | None, policy: PolicyAdopted) -> str:
    if entry is not None and entry.digest == policy.digest:
        return f"waits until {both_times(iso(entry.due))}"
    return "at the next trade day after reload"


# --- reload --------------------------------------------------------------------


def reload(at: Home, who: Who, *, dry_run: bool, accepts: int = 0) -> Outcome:
    """Adopt while the daemon runs what may take effect now; the rest waits, and is named.

    Raises Refused where it would trip more accounts at once than a person `accepts`.
    """
    mass_trip.hold(at, checked(at), accepts)
    if dry_run:
        found = diff(at)
        return Outcome(found.lines, data=found.data, notes=("nothing was done",))
    daemon.status(at)
    commit_edits(at, who)
    return ask_reload(at, who)


def ask_reload(at: Home, who: Who) -> Outcome:
    """Have the running daemon read its policy again."""
    asked = {"by": who.by, "reason": who.reason}
    answer = daemon.ask(at, daemon.SUPERVISOR, "reload", asked, RELOAD_WITHIN_S)
    changed = [str(name) for name in answer.get("changed", ())]
    lines = [f"{name.removeprefix('policy of ')}: in force now" for name in changed]
    lines += _waiting_lines(at)
    return Outcome(
        tuple(lines) or ("nothing differs from what is in force",),
        data=answer,
        next_command="risk-daemon-admin config diff" if lines else "risk-daemon-admin status",
    )


def _waiting_lines(at: Home) -> tuple[str, ...]:
    return tuple(line for one in postponed.read(at).values() for line in waiting_lines(one))


def commit_edits(at: Home, who: Who) -> None:
    """Commit what was edited by hand as the person's, before anything else touches the files."""
    # Imported here: dulwich is slow to load.
    from risk_daemon.operations.configuration import history

    history.ensure(at.config, who.by, f"Edited by hand: {who.reason}")


def reload_if_running(at: Home, who: Who) -> Outcome:
    """Reload where a daemon runs; where none does, the next start adopts it."""
    try:
        daemon.status(at)
    except NotReachable:
        note = "the daemon is not running: `start` adopts it"
        return Outcome((), notes=(note,), next_command="risk-daemon-admin start")
    return ask_reload(at, who)


# --- approve -------------------------------------------------------------------


def approve(at: Home, account: str, who: Who, *, dry_run: bool) -> Outcome:
    """Put into force now what waits for the next trade day, as a second person wants it so."""
    home.open_home(at)
    number = 0 if account == "all" else find_account(at, account)[0]
    waiting = [one for one in postponed.read(at).values() if number in (0, one.account)]
    if not waiting:
        line = "nothing waits for the next trade day" + (f" of {account}" if number else "")
        return Outcome((line,), data={"changed": [], "waiting": []})
    configuration = checked(at)
    for one in waiting:
        adoption.second_hand(configuration, one, who)
    if dry_run:
        lines = tuple(
            f"{one.account}: would be in force now: {words}"
            for one in waiting
            for words in one.words
        )
        return Outcome(lines, data={"changed": []}, notes=("nothing was done",))
    asked = {"by": who.by, "reason": who.reason, "account": number}
    answer = daemon.ask(at, daemon.SUPERVISOR, "approve", asked, RELOAD_WITHIN_S)
    lines = tuple(
        f"{one.account}: in force now: {words} (asked for by {one.by}, approved by {who.by})"
        for one in waiting
        for words in one.words
    )
    notes = ("no lock has ended by it",)
    return Outcome(lines, data=answer, notes=notes, next_command="risk-daemon-admin status")
