"""`status --watch`: the same look again and again, until Ctrl-C.

On a terminal the picture is drawn in place; elsewhere each look is written out,
with `--json` as one object per line. A daemon that is down is a picture like
any other: watching goes on.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from risk_daemon.cli.show import object_of, refusal_of, told_lines
from risk_daemon.clock import SECOND_NS, Timekeeper
from risk_daemon.errors import DaemonError, OperatorError
from risk_daemon.operations.outcome import FAILED, Outcome
from risk_daemon.operations.words import both_times, iso

EVERY_S: Final = 1.0
#: However slow a look was, who presses Ctrl-C must get a turn.
PAUSE_MIN_S: Final = 0.1
#: Colour repeats what the words say, never more.
_TONES: Final = (
    ("NOT GUARDED", "bold red"),
    ("PROTECTION IS OFF", "bold red"),
    ("NOT ADVANCING", "bold red"),
    ("down:", "bold red"),
    ("degraded:", "bold yellow"),
    ("healthy:", "bold green"),
    ("STANDS STILL", "bold red"),
    ("ON HOLD", "bold yellow"),
    ("✘", "bold red"),
    ("‖", "bold yellow"),
    ("▶", "bold cyan"),
    ("✔", "green"),
)

type Look = Callable[[], Outcome]


def watch(as_json: bool, look: Look, clock: Timekeeper) -> NoReturn:
    """Look about once a second and show it, until Ctrl-C; a first look that is refused ends it."""
    try:
        if as_json:
            _write(_first(look, as_json), look, clock, _json_line)
        elif sys.stdout.isatty():
            _draw(_first(look, as_json), look, clock)
        else:
            _write(_first(look, as_json), look, clock, _block)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None
    except BrokenPipeError:
        # Whoever read it has seen enough; the interpreter must not try to flush once more.
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        raise typer.Exit(0) from None
    raise AssertionError("watching has no end of its own")


def _first(look: Look, as_json: bool) -> Outcome:
    """A home that is not there is refused as ever; later it only makes a picture."""
    try:
        return look()
    except OperatorError as error:
        raise typer.Exit(refusal_of(error, as_json)) from None


def _again(look: Look) -> Outcome:
    try:
        return look()
    except DaemonError as error:
        return Outcome((f"down: {error}",), FAILED, {"state": "down", "error": str(error)})


def _write(
    outcome: Outcome, look: Look, clock: Timekeeper, form: Callable[[Outcome, str], str]
) -> None:
    began = clock.steady_ns()
    while True:
        print(form(outcome, iso(clock.now_ns())), flush=True)
        _pause(clock, began)
        began = clock.steady_ns()
        outcome = _again(look)


def _json_line(outcome: Outcome, at: str) -> str:
    return object_of(outcome.ok, {"at": at, **outcome.data}, None)


def _block(outcome: Outcome, at: str) -> str:
    return "\n".join([f"--- {both_times(at)}", *told_lines(outcome)])


def _draw(outcome: Outcome, look: Look, clock: Timekeeper) -> None:
    """Draw in place; at the end the last picture stays on the terminal."""
    console = Console(highlight=False)
    picture = Text()
    try:
        with Live(console=console, screen=True, auto_refresh=False) as live:
            began = clock.steady_ns()
            while True:
                picture = _picture(outcome, iso(clock.now_ns()))
                live.update(picture, refresh=True)
                _pause(clock, began)
                began = clock.steady_ns()
                outcome = _again(look)
    finally:
        console.print(picture)


def _picture(outcome: Outcome, at: str) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(f"{both_times(at)}, Ctrl-C ends\n", "dim")
    for line in told_lines(outcome):
        tone = next((tone for words, tone in _TONES if words in line), "")
        text.append(line + "\n", tone)
    if outcome.next_command:
        text.append(f"next: {outcome.next_command}\n", "dim")
    return text


def _pause(clock: Timekeeper, began: int) -> None:
    took = (clock.steady_ns() - began) / SECOND_NS
    threading.Event().wait(max(EVERY_S - took, PAUSE_MIN_S))
