"""Shows what a command came to: lines for people, or one JSON object; then the exit code.

stdout is data, stderr is talk. The JSON object has the same four keys for every
command (docs/formats/admin.md).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any, Final, NoReturn

import typer

from risk_daemon.errors import OperatorError
from risk_daemon.operations.outcome import Outcome

SCHEMA_VERSION: Final = 1
ADMIN: Final = "risk-daemon-admin"
LINES_MAX: Final = 20


def finish(as_json: bool, act: Callable[[], Outcome], program: str = ADMIN) -> NoReturn:
    """Do what was asked, show it, and leave with its exit code."""
    try:
        outcome = act()
    except OperatorError as error:
        raise typer.Exit(refusal_of(error, as_json, program)) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if as_json:
        print(object_of(outcome.ok, outcome.data, None))
    else:
        _print_lines(outcome)
    raise typer.Exit(outcome.exit_code)


def _print_lines(outcome: Outcome) -> None:
    for note in outcome.notes:
        talk(note)
    for line in told_lines(outcome):
        print(line)
    sys.stdout.flush()
    if outcome.next_command:
        talk(f"next: {outcome.next_command}")


def told_lines(outcome: Outcome) -> list[str]:
    """What a person reads on stdout: of many lines only the first, and how many more there are."""
    hidden = len(outcome.lines) - LINES_MAX
    cut = [f"... and {hidden} more (--json shows all)"] if hidden > 0 else []
    return [*outcome.above, *outcome.lines[:LINES_MAX], *cut, *outcome.below]


def refusal_of(error: OperatorError, as_json: bool, program: str = ADMIN) -> int:
    """Say why a command could not begin; returns its exit code."""
    if as_json:
        print(object_of(False, {}, {"code": error.exit_code, "message": error.sentence}))
    else:
        talk(f"{program}: {error.sentence}")
    return error.exit_code


def object_of(ok: bool, data: dict[str, Any], error: dict[str, Any] | None) -> str:
    """The one JSON object of a command, on one line."""
    return json.dumps({"schema_version": SCHEMA_VERSION, "ok": ok, "data": data, "error": error})


def talk(text: str) -> None:
    """Say something that is not data."""
    print(text, file=sys.stderr, flush=True)


def confirm(question: str, yes: bool, flag: str = "--yes", program: str = ADMIN) -> None:
    """Ask on a terminal; without one, fail at once and name the flag."""
    if yes:
        return
    if not sys.stdin.isatty():
        talk(f"{program}: {question} There is no terminal to ask on: add {flag}.")
        raise typer.Exit(2)
    if not typer.confirm(question):
        raise typer.Exit(1)
