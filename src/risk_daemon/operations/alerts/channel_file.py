"""Reads `config/alerts.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from risk_daemon.errors import UsageError
from risk_daemon.operations.alerts import alert_settings, channels
from risk_daemon.operations.alerts.alert_settings import AlertSettings
from risk_daemon.operations.alerts.channels import Channel
from risk_daemon.operations.home import Home


def read(at: Home) -> tuple[Channel, ...]:
    """Return the channels of a home, none without the file. Raises UsageError, which says why."""
    found = channels.read(_raw(at))
    if isinstance(found, str):
        raise _wrong(at, found)
    return found


def settings(at: Home) -> AlertSettings:
    """Return what else the file says, the defaults without it. Raises UsageError as `read` does."""
    found = alert_settings.read(_raw(at))
    if isinstance(found, str):
        raise _wrong(at, found)
    return found


def _raw(at: Home) -> Mapping[str, Any]:
    file = at.config / channels.FILE
    try:
        raw = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        said = " ".join(str(error).split())
        raise UsageError(f"{file} can't be read: {said}; no channel was changed.") from None
    if raw is None:  # nothing but comments
        return {}
    if not isinstance(raw, dict):
        raise UsageError(f"{file} is no table with the key channels; no channel was changed.")
    return raw


def _wrong(at: Home, why: str) -> UsageError:
    return UsageError(f"{at.config / channels.FILE}: {why}; no channel was changed.")
