"""Reads `config/alerts.yaml`."""

from __future__ import annotations

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from risk_daemon.errors import UsageError
from risk_daemon.operations import channels
from risk_daemon.operations.channels import Channel
from risk_daemon.operations.home import Home


def read(at: Home) -> tuple[Channel, ...]:
    """Return the channels of a home, none without the file. Raises UsageError, which says why."""
    file = at.config / channels.FILE
    try:
        raw = YAML(typ="safe").load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError, YAMLError) as error:
        said = " ".join(str(error).split())
        raise UsageError(f"{file} can't be read: {said}; no channel was changed.") from None
    if not isinstance(raw, dict):
        raise UsageError(f"{file} is no table with the key channels; no channel was changed.")
    found = channels.read(raw)
    if isinstance(found, str):
        raise UsageError(f"{file}: {found}; no channel was changed.")
    return found
