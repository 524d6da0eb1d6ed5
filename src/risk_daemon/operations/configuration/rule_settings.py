"""The rules of one account: the policy's, with the account's own laid over them, validated.

What a parameter may be is the rule's own business (`rules.CATALOG`); here is
only what all rules share: the mode, unknown names, and what the first releases
refuse with its reason (decisions 8.7).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from risk_daemon.core.events import RuleSetting
from risk_daemon.operations.configuration.problems import Problem
from risk_daemon.operations.configuration.yaml_file import YamlFile
from risk_daemon.rules import CATALOG, ParameterError

MODES: Final = ("enforce", "shadow", "alert")
NOT_YET: Final = "not in the first releases"

type Rules = Mapping[str, Mapping[str, Any]]


class Layers:
    """Which file a rule's key came from: the account's, else the policy's."""

    def __init__(self, policy: YamlFile, account: YamlFile | None) -> None:
        self._policy = policy
        self._account = account
        self._own = _rules_of(account)
        self._common = _rules_of(policy)

    def names(self) -> list[str]:
        """Every rule either file names, in a fixed order."""
        return sorted({*self._common, *self._own})

    def merged(self, rule: str) -> dict[str, Any]:
        """The keys of a rule; the account's win."""
        return {**self._common.get(rule, {}), **self._own.get(rule, {})}

    def problem(self, rule: str, path: list[str | int], allowed: str) -> Problem:
        """Say what is wrong, where it was written."""
        return self._file(rule, path).problem(["rules", rule, *path], allowed)

    def unknown(self, rule: str, path: list[str | int], what: str, known: list[str]) -> Problem:
        """Say that there is no such rule or parameter."""
        return self._file(rule, path).unknown(["rules", rule, *path], what, known)

    def _file(self, rule: str, path: list[str | int]) -> YamlFile:
        own = self._own.get(rule)
        inside = own is not None and (not path or path[0] in own or rule not in self._common)
        return self._account if inside and self._account is not None else self._policy


def _rules_of(file: YamlFile | None) -> dict[str, dict[str, Any]]:
    """The well-formed rules of a file; the models complain about the others."""
    rules = file.values.get("rules") if file is not None else None
    if not isinstance(rules, dict):
        return {}
    return {name: keys for name, keys in rules.items() if isinstance(keys, dict)}


def settings_of(layers: Layers) -> tuple[tuple[RuleSetting, ...], list[Problem]]:
    """Every rule of an account, and every error in them."""
    settings: list[RuleSetting] = []
    problems: list[Problem] = []
    for name in layers.names():
        keys = layers.merged(name)
        found = list(_objections(layers, name, keys))
        problems += found
        if not found:
            params = {key: value for key, value in keys.items() if key != "mode"}
            settings.append(RuleSetting(rule=name, mode=keys["mode"], params=params))
    return tuple(settings), problems


def _objections(layers: Layers, name: str, keys: Mapping[str, Any]) -> Iterator[Problem]:
    kind = CATALOG.get(name)
    if kind is None:
        yield layers.unknown(name, [], "a rule", sorted(CATALOG))
        return
    if keys.get("mode") not in MODES:
        yield layers.problem(name, ["mode"], "enforce, shadow or alert")
    params = {key: value for key, value in keys.items() if key != "mode"}
    refused = list(_not_yet(params, []))
    for path, what in refused:
        yield layers.problem(name, path, f"anything but {what}, which is {NOT_YET}")
        params.pop(str(path[0]), None)
    known = list(kind.parameters)
    for key in sorted(set(params) - set(known)):
        del params[key]
        yield layers.unknown(name, [key], "a key", ["mode", *known])
    skipped = {str(path[0]) for path, _ in refused}
    yield from _parameter_errors(layers, name, params, skipped)


def _parameter_errors(
    layers: Layers, name: str, params: dict[str, Any], skipped: set[str]
) -> Iterator[Problem]:
    """Ask the rule again without each key it refuses: all its objections, not the first."""
    while True:
        try:
            CATALOG[name].parse(dict(params))
        except ParameterError as error:
            path = _parts(error.path)
            if path[0] in skipped:
                return
            skipped.add(str(path[0]))
            yield layers.problem(name, path, error.allowed)
            if path[0] not in params:
                return
            del params[str(path[0])]
        else:
            return


def _parts(path: str) -> list[str | int]:
    """Split `staged[0].at` into what a file is walked by."""
    words = path.replace("[", ".").replace("]", "").split(".")
    return [int(word) if word.isdigit() else word for word in words if word] or [path]


def _not_yet(node: object, path: list[str | int]) -> Iterator[tuple[list[str | int], str]]:
    """Find what validation refuses for now, however deep."""
    if isinstance(node, dict):
        for key, value in node.items():
            if (key, value) == ("scope", "group"):
                yield [*path, key], "`scope: group`"
            elif "protect" in (key, value):
                yield [*path, key], "`protect`"
            else:
                yield from _not_yet(value, [*path, key])
    elif isinstance(node, list):
        for index, value in enumerate(node):
            if value == "protect":
                yield [*path, index], "`protect`"
            else:
                yield from _not_yet(value, [*path, index])
