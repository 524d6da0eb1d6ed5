"""What `config/alerts.yaml` says beside its channels. Pure.

thresholds: {memory_mb: 600}
escalation: {after_minutes: 10, to: [admins, management]}
heartbeat: {address: file:credentials/heartbeat.url, every_s: 60}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from risk_daemon.operations.alerts import alerting
from risk_daemon.operations.alerts.alerting import Limits
from risk_daemon.operations.alerts.channels import AUDIENCES, SECRET


class Escalation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What nobody acknowledged for so long goes to the next audience, each so much later."""

    after_minutes: float
    to: tuple[str, ...]


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to call while all is guarded: a service outside that tells people when no call comes."""

    address: str
    every_s: float = 60.0


class AlertSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; without an escalation or a heartbeat there is none."""

    thresholds: Limits = Limits()
    escalation: Escalation | None = None
    heartbeat: Heartbeat | None = None


def read(raw: Mapping[str, Any]) -> AlertSettings | str:
    """Make settings of what the file says; a sentence for the first thing that is wrong."""
    mine = {name: raw[name] for name in AlertSettings.__struct_fields__ if raw.get(name)}
    try:
        found = msgspec.convert(mine, AlertSettings)
    except msgspec.ValidationError as error:
        return str(error)
    if why := alerting.objection(found.thresholds):
        return f"thresholds: {why}"
    if found.escalation is not None and (why := _escalation(found.escalation)):
        return f"escalation: {why}"
    if found.heartbeat is not None and (why := _heartbeat(found.heartbeat)):
        return f"heartbeat: {why}"
    return found


def _escalation(one: Escalation) -> str:
    if not one.after_minutes > 0:
        return f"after_minutes must be more than 0, was {one.after_minutes:g}"
    strangers = [who for who in one.to if who not in AUDIENCES]
    if strangers or not one.to:
        named = strangers[0] if strangers else "nobody"
        return f"audience {named!r}: allowed are {', '.join(AUDIENCES)}"
    return ""


def _heartbeat(one: Heartbeat) -> str:
    if not SECRET.fullmatch(one.address):
        return "address says in which file of the home the URL is: file:PATH"
    if not one.every_s >= 1:
        return f"every_s must be at least 1, was {one.every_s:g}"
    return ""
