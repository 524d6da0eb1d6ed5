"""What a policy would find at once, on a copy of an account; nothing of it reaches the stream."""

from __future__ import annotations

import msgspec

from risk_daemon.core.account import Account
from risk_daemon.core.decision import Breach, Several
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import PolicyAdopted
from risk_daemon.core.world import Rule, decode_account, encode_account

ENFORCE = "enforce"


def tripped(engine: Engine, policy: PolicyAdopted) -> list[str]:
    """Return what each rule would find that acts by this policy and not by the one in force.

    Rules that are as they were are not asked: what they find is no consequence of the change.
    """
    account = engine.world.accounts[policy.account]
    copy = decode_account(encode_account(msgspec.structs.replace(account, shadow=None)))
    same = account.policy.rules if account.policy is not None else ()
    return [
        f"{setting.rule}: {text}"
        for setting in policy.rules
        if setting.mode == ENFORCE and setting not in same
        for text in _found(engine, copy, engine.catalog[setting.rule](setting.params))
    ]


def _found(engine: Engine, copy: Account, rule: Rule) -> list[str]:
    match rule.check(engine.world, copy):
        case Breach() as breach:
            return [breach.text]
        case Several(breaches=breaches):
            return [breaches[0].text]
        case _:
            return []
