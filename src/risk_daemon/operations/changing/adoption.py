"""Putting the configuration into force: settings and policies become records of the journal.

Only what differs from the last journalled one is written. An unreadable file
never stops protection: what was adopted last stays in force and someone is
told; only a home that never adopted anything refuses to start.

A start adopts all of it; a reload only what may take effect now, and what is
due (`difference`): the rest waits in the home for the next trade day.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.core.events import AlarmRaised, Fact, PolicyAdopted, SettingsAdopted
from risk_daemon.core.session import next_reset
from risk_daemon.errors import OperatorError, Refused
from risk_daemon.operations import home as homes
from risk_daemon.operations import pending
from risk_daemon.operations.changing import difference
from risk_daemon.operations.configuration import flags, flags_kept, postponed
from risk_daemon.operations.configuration.flags import Flag
from risk_daemon.operations.configuration.flags_kept import Kept
from risk_daemon.operations.configuration.gateway import assert_gateway
from risk_daemon.operations.configuration.in_force import last_adopted
from risk_daemon.operations.configuration.loading import Configuration, load, with_digest
from risk_daemon.operations.configuration.postponed import Postponed
from risk_daemon.operations.home import About, Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.state_file import Standing
from risk_daemon.operations.words import iso
from risk_daemon.rollout import row as rows
from risk_daemon.settings import Settings, decode_settings
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import decode, new_record

_KINDS: Final = ("settings-adopted", "policy-adopted")
_PAGE: Final = 1_000


class Adopted(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force now, and what was written for it."""

    settings: Settings
    digest: str
    changed: tuple[str, ...]
    acts: int = 0
    alarm: str = ""
    waiting: tuple[Postponed, ...] = ()


async def adopt(home: Home, journal: JournalClient) -> Adopted:
    """Adopt the configuration of a home; raises OperatorError where nothing can be in force."""
    # Not to be softened by what was adopted before: a copied home would enforce twice.
    about = homes.open_home(home)
    standing = await _standing(journal)
    acts = await _adopt_pending(home, journal)
    try:
        configuration = read(home, about)
    except OperatorError as error:
        if standing.settings is None:
            raise
        await _end_overrides(home, journal, standing)
        return await _keep_last(journal, standing.settings, error, acts)
    before = flags_kept.read(home).flags
    policies, waiting = due_now(
        configuration, standing, postponed.read(home), _now(standing), living=before
    )
    rolled = await _rolled_out(journal)
    policies = [one for one in policies if one.account not in rolled]
    # Before the records: a tightened account whose other half is forgotten would be loosened.
    postponed.write(home, waiting)
    changes = _changes(configuration, policies, standing)
    try:
        for fact, once in changes:
            await _append(journal, fact, once)
        await _keep_flags(home, journal, configuration, before)
    except OperatorError as error:
        if standing.settings is None:
            raise
        return await _keep_last(journal, standing.settings, error, acts)
    return Adopted(
        settings=configuration.settings,
        digest=configuration.adopted.digest,
        changed=tuple(_name(fact) for fact, _ in changes),
        acts=acts,
        waiting=tuple(waiting.values()),
    )


async def reload(home: Home, journal: JournalClient, who: Who) -> Adopted:
    """Adopt what may take effect while the daemon runs; an invalid file changes nothing.

    Settings and new accounts wait for the next start: processes read them once.
    """
    about = homes.open_home(home)
    standing = await _standing(journal)
    if standing.settings is None:
        raise Refused("nothing was ever adopted here: run `risk-daemon-admin start`.")
    try:
        configuration = read(home, about)
    except OperatorError:
        await _end_overrides(home, journal, standing)
        raise
    await _refuse_while_rolled_out(journal)
    before = postponed.read(home)
    living = flags_kept.read(home).flags
    policies, found = due_now(
        configuration, standing, before, _now(standing), is_reload=True, living=living
    )
    waiting = {
        number: one if number in before and before[number] == one else _asked_by(one, who)
        for number, one in found.items()
    }
    postponed.write(home, waiting)
    changes = [
        change for change in _changes(configuration, policies, standing) if _account(change[0])
    ]
    for fact, once in changes:
        await _append(journal, fact, once)
    for one in waiting.values():
        if before.get(one.account) != one:
            await _append(journal, _told(one, who), "")
    await _keep_flags(home, journal, configuration, living)
    return Adopted(
        settings=decode_settings(standing.settings.text),
        digest=standing.settings.digest,
        changed=tuple(_name(fact) for fact, _ in changes),
        waiting=tuple(waiting.values()),
    )


async def _rolled_out(journal: JournalClient) -> frozenset[int]:
    """Return the accounts whose policy is a rollout's to change, until it is over.

    The files say what all of them had before, and some have what comes after.
    """
    stored = await journal.read_rollout()
    if not stored.revision:
        return frozenset()
    row = rows.decode(stored.body)
    if not row.plan.is_configuration or row.stage == rows.DONE or rows.is_over(row):
        return frozenset()
    return frozenset(row.accounts)


async def _refuse_while_rolled_out(journal: JournalClient) -> None:
    if await _rolled_out(journal):
        raise OperatorError(
            "a configuration is being rolled out, account by account; nothing was changed. End it "
            "with `risk-daemon-admin rollout abort`, or wait until it is complete.",
            6,
        )


def _asked_by(one: Postponed, who: Who) -> Postponed:
    return msgspec.structs.replace(one, by=who.by)


async def put_back(home: Home, journal: JournalClient, who: Who) -> Adopted:
    """Put the policy of the files into force at once, looser or not; nothing of it waits.

    Settings wait for the next start: processes read them once. Nothing unlocks.
    """
    about = homes.open_home(home)
    standing = await _standing(journal)
    if standing.settings is None:
        raise Refused("nothing was ever adopted here: run `risk-daemon-admin start`.")
    await _refuse_while_rolled_out(journal)
    configuration = read(home, about)
    known = [policy for policy in configuration.policies if policy.account in standing.policies]
    changes = [change for change in _changes(configuration, known, standing) if _account(change[0])]
    for fact, once in changes:
        await _append(journal, fact, once)
    # After the records: what is half put back is put back again.
    postponed.write(home, {})
    await _keep_flags(home, journal, configuration, flags_kept.read(home).flags)
    names = tuple(_name(fact) for fact, _ in changes)
    text = f"the configuration was rolled back by {who.by}: {who.reason}; {len(names)} changed"
    alarm = AlarmRaised(account=0, level="warn", what="change of policy", text=text, source="adopt")
    await _append(journal, alarm, "")
    return Adopted(
        settings=decode_settings(standing.settings.text),
        digest=standing.settings.digest,
        changed=names,
    )


async def approve(home: Home, journal: JournalClient, who: Who, account: int) -> Adopted:
    """Put into force now what waits of an account (0: of all), as a second person wants it so.

    Raises Refused where the person asked for it alone, or where the files say
    something else by now. Nothing unlocks.
    """
    about = homes.open_home(home)
    standing = await _standing(journal)
    if standing.settings is None:
        raise Refused("nothing was ever adopted here: run `risk-daemon-admin start`.")
    configuration = read(home, about)
    waiting = postponed.read(home)
    wanted = {n: one for n, one in waiting.items() if account in (0, n)}
    policies = [second_hand(configuration, one, who) for one in wanted.values()]
    changes = _changes(configuration, policies, standing)
    changes = [change for change in changes if _account(change[0])]
    for fact, once in changes:
        await _append(journal, fact, once)
    rest = {number: one for number, one in waiting.items() if number not in wanted}
    # After the records: an approval that is lost half-way is given again.
    postponed.write(home, rest)
    for one in wanted.values():
        await _append(journal, _approved(one, who), "")
    return Adopted(
        settings=decode_settings(standing.settings.text),
        digest=standing.settings.digest,
        changed=tuple(_name(fact) for fact, _ in changes),
        waiting=tuple(rest.values()),
    )


def second_hand(configuration: Configuration, one: Postponed, who: Who) -> PolicyAdopted:
    """The policy that a second person may put into force now; raises Refused. Pure."""
    if who.by == one.by or not one.by:
        asked = f"{one.by} has asked for it" if one.by else "it is not known who asked for it"
        raise Refused(
            f"the change of account {one.account} needs a second person: {asked}. "
            f"It applies by itself at {iso(one.due)}; nothing was changed."
        )
    found = [policy for policy in configuration.policies if policy.account == one.account]
    if not found or found[0].digest != one.digest:
        raise Refused(
            f"the files say something else of account {one.account} than what waits; nothing was "
            "changed. Run `risk-daemon-admin config reload`, then look at `config diff`."
        )
    return found[0]


def _approved(one: Postponed, who: Who) -> AlarmRaised:
    text = f"in force now: {'; '.join(one.words)} (asked for by {one.by}, approved by {who.by}: "
    return AlarmRaised(
        account=one.account,
        level="info",
        what="change of policy",
        text=f"{text}{who.reason})",
        source="adopt",
    )


def _told(one: Postponed, who: Who) -> AlarmRaised:
    text = f"waits until {iso(one.due)}: {'; '.join(one.words)} ({who.by}: {who.reason})"
    return AlarmRaised(
        account=one.account, level="info", what="change of policy", text=text, source="adopt"
    )


def _now(standing: Standing) -> int:
    """The home's own time, by the settings in force."""
    settings = decode_settings(standing.settings.text) if standing.settings else None
    return Clock(int((settings.clock_offset_s if settings else 0) * SECOND_NS)).now_ns()


def due_now(
    configuration: Configuration,
    standing: Standing,
    waiting: Mapping[int, Postponed],
    now: int,
    *,
    is_reload: bool = False,
    living: Sequence[Flag] = (),
) -> tuple[list[PolicyAdopted], dict[int, Postponed]]:
    """The policies that may be in force now, and what goes on waiting. Pure.

    A start takes everything but what a reload has made wait; a reload takes what
    is tighter, and the ends of the flags that were `living`. An account that is new to the
    journal is taken by a start only.
    """
    policies: list[PolicyAdopted] = []
    later: dict[int, Postponed] = {}
    for policy in configuration.policies:
        before = standing.policies.get(policy.account)
        entry = waiting.get(policy.account)
        if entry is not None and entry.digest != policy.digest:
            entry = None
        if before is None:
            policies += [] if is_reload else [policy]
        elif (not is_reload) if entry is None else entry.due <= now:
            policies.append(policy)
        else:
            own = configuration.own.get(policy.account, frozenset())
            agreed = flags.ended(before, policy, living, configuration.at)
            part, rest = difference.split(agreed, policy, own)
            policies.append(with_digest(part) if rest else policy)
            if rest:
                later[policy.account] = entry or Postponed(
                    account=policy.account,
                    digest=policy.digest,
                    since=now,
                    due=next_reset(before.calendar, before.day_roll, now),
                    words=tuple(change.words() for change in rest),
                )
    return policies, later


async def _keep_flags(
    home: Home, journal: JournalClient, configuration: Configuration, before: Sequence[Flag]
) -> None:
    """Tell of flags that end or have ended, then keep those that live, and when to look again."""
    policies = {policy.account: policy for policy in configuration.policies}
    at = configuration.at
    for over in flags.ended_overrides(before, at):
        await _append(journal, _over(over), f"{over.name}:{over.ends}")
    for once, text in flags.news(configuration.flags, before, policies, at):
        alarm = AlarmRaised(account=0, level="info", what="flag", text=text, source="adopt")
        await _append(journal, alarm, once)
    living = flags.living(configuration.flags, policies, at)
    flags_kept.write(home, Kept(flags=living, due=flags.due(living, policies, at)))


async def _end_overrides(home: Home, journal: JournalClient, standing: Standing) -> None:
    """Have rules act again whose override is over, though the files can't be read.

    What was switched off for half an hour must not stay so because of somebody's typing error.
    """
    kept, now = flags_kept.read(home), _now(standing)
    over = flags.ended_overrides(kept.flags, now)
    for number in sorted({number for one in over for number in one.accounts}):
        policy = standing.policies[number]
        again = with_digest(flags.back_on(policy, over))
        if again.digest != policy.digest:
            once = f"policy:{number}:{again.digest}:{standing.policy_seqs[number]}"
            await _append(journal, again, once)
    for one in over:
        await _append(journal, _over(one), f"{one.name}:{one.ends}")
    rest = tuple(one for one in kept.flags if one not in over)
    if over:
        flags_kept.write(home, Kept(flags=rest, due=flags.due(rest, standing.policies, now)))


def _over(one: Flag) -> AlarmRaised:
    text = f"the override of {one.rule} by {one.owner} is over: the rule acts again"
    return AlarmRaised(
        account=one.accounts[0], level="info", what="override", text=text, source="adopt"
    )


def read(home: Home, about: About) -> Configuration:
    """The configuration of a home, if it is valid and belongs there."""
    return judged(load(home.config), home, about)


def judged(configuration: Configuration, home: Home, about: About) -> Configuration:
    """The same configuration, if it belongs to the home; raises OperatorError."""
    homes.check_environment(home, about, configuration.settings.environment)
    assert_gateway(configuration.settings.environment, configuration.settings.gateway)
    return configuration


async def _standing(journal: JournalClient) -> Standing:
    """The last journalled settings and policies."""
    found, seq = Standing(), 1
    while True:
        records = await journal.tail(seq, kinds=_KINDS, limit=_PAGE)
        for record in records:
            found.take(decode(record))
        if len(records) < _PAGE:
            return found
        seq = records[-1].seq + 1


def _changes(
    configuration: Configuration, policies: Sequence[PolicyAdopted], standing: Standing
) -> list[tuple[Fact, str]]:
    """The records to write, each with the name under which it is stored once.

    The name holds the seq of what it replaces: going back to an earlier policy
    is a change like any other, and retrying one is not.
    """
    changes: list[tuple[Fact, str]] = []
    settings = configuration.adopted
    if standing.settings is None or standing.settings.digest != settings.digest:
        changes.append((settings, f"settings:{settings.digest}:{standing.settings_seq}"))
    for policy in policies:
        last = standing.policies.get(policy.account)
        if last is None or last.digest != policy.digest:
            before = standing.policy_seqs.get(policy.account, 0)
            changes.append((policy, f"policy:{policy.account}:{policy.digest}:{before}"))
    return changes


def _name(fact: Fact) -> str:
    return "settings" if isinstance(fact, SettingsAdopted) else f"policy of {_account(fact)}"


def _account(fact: Fact) -> Any:
    return getattr(fact, "account", 0)


async def _append(journal: JournalClient, fact: Fact, once: str) -> None:
    appended = await journal.append([new_record(fact, once)])
    if appended.refused:
        raise OperatorError(f"the journal refused the {_name(fact)}: {appended.refused}")


async def _adopt_pending(home: Home, journal: JournalClient) -> int:
    acts = pending.kept(home)
    for act in acts:
        await _append(journal, act, f"act:{act.act_id}")
    for message in pending.messages(home):
        await _append(journal, message.alarm, f"message:{message.id}")
    pending.forget(home)
    return len(acts)


async def _keep_last(
    journal: JournalClient, settings: SettingsAdopted, error: OperatorError, acts: int
) -> Adopted:
    """Go on with what was adopted last, and tell someone."""
    text = f"the configuration is not adopted, the last one stays in force: {error.sentence}"
    alarm = AlarmRaised(account=0, level="urgent", what="configuration", text=text, source="adopt")
    await _append(journal, alarm, "")
    return Adopted(
        settings=decode_settings(settings.text),
        digest=settings.digest,
        changed=(),
        acts=acts,
        alarm=text,
    )


def for_start(home: Home) -> tuple[Settings, str]:
    """The settings a start would run by; where they are not the files', also why."""
    about = homes.open_home(home)
    try:
        return read(home, about).settings, ""
    except OperatorError as error:
        last = last_adopted(home)
        if last is None:
            raise
        return last, f"the last settings stay in force: {error.sentence}"
