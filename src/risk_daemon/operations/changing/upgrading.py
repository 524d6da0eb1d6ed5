"""What another release would make of this home's configuration, told by that release itself.

Its own command reads the files and says every value in force, defaults included; so does this
one; what differs is what the upgrade, or the way back, would change.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from risk_daemon.depot import making, staging
from risk_daemon.errors import OperatorError, Refused, TimedOut
from risk_daemon.operations.changing import policy
from risk_daemon.operations.home import Home
from risk_daemon.operations.outcome import DONE, Outcome

WITHIN_S: Final = 20.0
#: What names a row of a list, in the order of preference.
_NAMES: Final = ("account", "rule", "name")
#: What only holds others says nothing to a person.
_CONTAINERS: Final = ("accounts", "rules", "params")


def preview(at: Home, version: str) -> Outcome:
    """Say each value of the configuration that a staged release reads otherwise.

    Raises Refused for a release that can't read the files at all.
    """
    folder = at.releases / version
    if not (folder / staging.STAGED).is_file():
        staging.read(folder)  # which says why not
    verdict = asked(at, version, "config", "validate")
    if not verdict.get("ok"):
        said = str((verdict.get("error") or {}).get("message") or "it does not say why")
        raise Refused(f"{version} can't read this configuration; nothing was changed: {said}")
    shown = (policy.show(at, effective=False).data, policy.show(at, effective=True).data)
    mine = _joined(*(msgspec.json.decode(msgspec.json.encode(one)) for one in shown))
    files, in_force = _shown(at, version), _shown(at, version, "--effective")
    theirs = _joined(files.get("data", {}), in_force.get("data", {}))
    found = changes(mine, theirs)
    return Outcome(
        tuple(found) or (f"{version} reads the configuration as this release does",),
        DONE,
        {"release": version, "changes": found},
        notes=("nothing was changed",),
        next_command=f"risk-daemon-admin promote --to-version {version} --all --dry-run",
    )


def _shown(at: Home, version: str, *flags: str) -> dict[str, Any]:
    return asked(at, version, "config", "show", *flags)


def _joined(files: Mapping[str, Any], in_force: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as a start would read them, policies as they are in force, defaults included."""
    return {"settings": files.get("settings"), "accounts": in_force.get("accounts")}


def changes(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Compare what two releases say is in force, value by value. Pure."""
    before, after = dict(_flat("", mine)), dict(_flat("", theirs))
    found = []
    for path in sorted(before.keys() | after.keys()):
        if path not in after:
            found.append(f"{path}: {before[path]} is not read any more")
        elif path not in before:
            found.append(f"{path}: new, {after[path]}")
        elif before[path] != after[path]:
            found.append(f"{path}: {before[path]} becomes {after[path]}")
    return found


def _flat(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield each single value with its path; rows of a list are named by what they are of."""
    match value:
        case dict():
            for key, inner in value.items():
                yield from _flat(path if key in _CONTAINERS else f"{path} {key}".strip(), inner)
        case list() if value and all(isinstance(row, dict) for row in value):
            for place, row in enumerate(value):
                name = next((row[key] for key in _NAMES if key in row), place)
                yield from _flat(f"{path} {name}".strip(), row)
        case _:
            yield path, json.dumps(value)


def asked(at: Home, version: str, *words: str, within_s: float = WITHIN_S) -> dict[str, Any]:
    """Run a command of a release on this home; return what it answers as JSON."""
    python = str(staging.python_of(at.releases / version))
    command = [python, "-m", "risk_daemon.programs.admin", *words, "--json"]
    try:
        done = subprocess.run(
            [*command, "--home", str(at.path)],
            env=making.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TimedOut(
            f"{version} did not answer within {within_s:g} s; nothing was changed."
        ) from None
    try:
        found = json.loads(done.stdout)
    except ValueError:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1][:200]
        raise OperatorError(
            f"{version} can't answer `{' '.join(words)}` ({said}); nothing was "
            f"changed. `risk-daemon-admin release verify {version}` says whether it is whole."
        ) from None
    assert isinstance(found, dict)
    return found
