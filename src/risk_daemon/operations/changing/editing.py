"""Changing the configuration by command: edited in place, judged as a whole, committed, reloaded.

Comments and order of the files stay. What a person edited by hand is committed
first, as theirs. Where the whole would not be valid nothing is written.
"""

from __future__ import annotations

import io
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from risk_daemon.errors import NotFound, Refused, UsageError
from risk_daemon.operations import home as homes
from risk_daemon.operations.accounts.looking import find_account
from risk_daemon.operations.changing import mass_trip, policy
from risk_daemon.operations.configuration.loading import Configuration, load
from risk_daemon.operations.configuration.problems import ABSENT, InvalidConfiguration, nearest
from risk_daemon.operations.home import Home
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import Outcome
from risk_daemon.rules import CATALOG

EVERY: Final = "all"
_WIDE: Final = 4_096

type Edit = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Wish:
    """One change of one file: `text` is its commit's first line."""

    file: str
    edit: Edit
    text: str


def tried(at: Home, wish: Wish) -> Configuration:
    """The configuration as it would be after an edit; raises with all that is wrong."""
    return judge(at, {wish.file: edited(at.config / wish.file, wish.edit)})


def carry_out(at: Home, wish: Wish, who: Who, *, dry_run: bool, accepts: int = 0) -> Outcome:
    """Edit a file, if the whole is valid then: commit it, and reload where a daemon runs.

    Raises Refused where it would trip more accounts at once than a person `accepts`.
    """
    mass_trip.hold(at, tried(at, wish), accepts)
    done = carry_out_all(at, [wish], who, dry_run=dry_run)
    if dry_run:
        return done
    reloaded = policy.reload_if_running(at, who)
    return Outcome(
        (*done.lines, *reloaded.lines),
        data={**done.data, **reloaded.data},
        notes=reloaded.notes,
        next_command=reloaded.next_command or "risk-daemon-admin config diff",
    )


def carry_out_all(
    at: Home, wishes: Sequence[Wish], who: Who, *, dry_run: bool, next_command: str = ""
) -> Outcome:
    """Edit files together and commit them, if the whole is valid then; else write nothing."""
    homes.open_home(at)
    texts = {wish.file: edited(at.config / wish.file, wish.edit) for wish in wishes}
    judge(at, texts)
    what = wishes[0].text
    if dry_run:
        return Outcome((f"would be done: {what}",), notes=("nothing was done",))
    policy.commit_edits(at, who)
    for file, text in texts.items():
        write(at.config / file, text)
    # Imported here: dulwich is slow to load.
    from risk_daemon.operations.configuration import history

    commit = history.commit(at.config, who.by, f"{what}: {who.reason}")
    line = f"{what}{'' if commit else ' (it was so already)'}"
    files = [f"config/{file}" for file in texts]
    return Outcome((line,), data={"files": files, "commit": commit}, next_command=next_command)


def write(path: Path, text: str) -> None:
    """Replace a file in one step."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)


def edited(path: Path, edit: Edit) -> str:
    """The text of a file after an edit; everything else in it stays as it is."""
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = _WIDE
    yaml.indent(mapping=2, sequence=4, offset=2)
    tree = yaml.load(path.read_text(encoding="utf-8")) if path.exists() else CommentedMap()
    edit(tree)
    out = io.StringIO()
    yaml.dump(tree, out)
    return out.getvalue()


def judge(at: Home, texts: Mapping[str, str]) -> Configuration:
    """Judge the configuration as it would be, in a scratch place; raises with all that is wrong.

    What was wrong before is told with its place in the files; what the edit would
    make wrong has no line that anybody could look at.
    """
    load(at.config)
    with tempfile.TemporaryDirectory(prefix="risk-daemon-edit-") as scratch:
        trial = Path(scratch) / "config"
        shutil.copytree(at.config, trial, ignore=shutil.ignore_patterns(".git"))
        for file, text in texts.items():
            write(trial / file, text)
        try:
            return load(trial)
        except InvalidConfiguration as invalid:
            raise UsageError(_would_be(invalid)) from None


def _would_be(invalid: InvalidConfiguration) -> str:
    """Say what an edit would make wrong, and how to ask for it rightly."""
    lines = ["nothing was changed, as the configuration would not be valid:"]
    lines += [problem.placeless() for problem in invalid.problems]
    missing = [one.path.split(".") for one in invalid.problems if one.value is ABSENT]
    keys = " ".join(f"{path[2]}=..." for path in missing if path[0] == "rules" and len(path) == 3)
    if keys:
        lines.append(f"give it in the same command: {keys}")
    return "\n  ".join(lines)


# --- rules ---------------------------------------------------------------------


def set_rule(
    at: Home,
    account: str,
    rule: str,
    pairs: Sequence[str],
    who: Who,
    *,
    dry_run: bool,
    accepts: int = 0,
) -> Outcome:
    """Give a rule of an account (or of all) other parameters."""
    known_rule(rule)
    values = dict(_pair(text) for text in pairs)
    if not values:
        raise UsageError(f"say what to set: KEY=VALUE; {rule} has {_keys(rule)}.")
    file, title = _file_of(at, account)
    said = ", ".join(pairs)
    wish = Wish(file, lambda tree: _put(at, file, tree, rule, values), f"{title} {rule}: {said}")
    return carry_out(at, wish, who, dry_run=dry_run, accepts=accepts)


def set_mode(
    at: Home, account: str, rule: str, mode: str, who: Who, *, dry_run: bool, accepts: int = 0
) -> Outcome:
    """Let a rule act (`enforce`), decide only (`shadow`), or only tell (`alert`)."""
    known_rule(rule)
    check_mode(rule, mode)
    file, title = _file_of(at, account)
    wish = Wish(
        file, lambda tree: _put(at, file, tree, rule, {"mode": mode}), f"{title} {rule}: {mode}"
    )
    return carry_out(at, wish, who, dry_run=dry_run, accepts=accepts)


def known_rule(rule: str) -> None:
    """Refuse a rule the catalog does not have, with the nearest one."""
    if rule not in CATALOG:
        near = nearest(rule, CATALOG)
        hint = f" Did you mean {near!r}?" if near else ""
        raise NotFound(f"there is no rule {rule!r}; there are: {', '.join(sorted(CATALOG))}.{hint}")


def check_mode(rule: str, mode: str) -> None:
    """Refuse a kill switch that does not act."""
    if rule == "kill-switch" and mode != "enforce":
        raise Refused(
            "the kill switch can't be disabled: without it no order of a person would be enforced."
        )


def _keys(rule: str) -> str:
    return ", ".join(("mode", *CATALOG[rule].parameters))


def _pair(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise UsageError(f"{text!r} is not KEY=VALUE, for example limit=5.")
    return key.strip(), value_of(value.strip())


def value_of(text: str) -> object:
    """A value as it stands in a file: money is text, as a binary float is not exact."""
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        value = text
    if isinstance(value, bool | int | list | dict) or value is None:
        return value
    return DoubleQuotedScalarString(text.strip("\"'"))


def _file_of(at: Home, account: str) -> tuple[str, str]:
    """The file that an account's rules are written into, and how it is called."""
    if account == EVERY:
        return "policy.yaml", "all accounts"
    number, name = find_account(at, account)
    return f"accounts/{number}.yaml", name


def begin_file(at: Home, tree: Any, file: str) -> None:
    """Give an account's file that is not there yet what every one of them needs."""
    if tree or not file.startswith("accounts/"):
        return
    number = int(Path(file).stem)
    policies = [one for one in load(at.config).policies if one.account == number]
    if not policies:
        raise NotFound(
            f"account {number} is no longer in config/daemon.yaml: "
            f"`risk-daemon-admin accounts add {number} --login NAME` adds it."
        )
    tree["name"] = DoubleQuotedScalarString(policies[0].name)
    tree["login"] = policies[0].login


def _put(at: Home, file: str, tree: Any, rule: str, values: Mapping[str, object]) -> None:
    begin_file(at, tree, file)
    rules = tree.get("rules")
    if rules is None:
        rules = tree["rules"] = CommentedMap()
    if rules.get(rule) is None:
        rules[rule] = CommentedMap()
    rules[rule].update(values)
