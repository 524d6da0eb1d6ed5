"""Write the pages of docs/references from what the program says of itself.

    python scripts/references.py            write what is stale
    python scripts/references.py --check    name what is stale, write nothing; exit 1 if any is

`./dev docs` calls it. A page is a function from the program to text: `tests/house` calls the same
ones and compares. Nothing that is said here is said a second time by hand.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
import types
import typing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
FOLDER: Final = ROOT / "docs" / "references"
PACKAGE: Final = ROOT / "src" / "risk_daemon"
COMMAND: Final = "./dev docs"
MADE: Final = f"\nWritten by `{COMMAND}` from the program itself: change that, not this page.\n"
NONE: Final = "-"

#: So many commands that take an option with the same words need not say it each.
OFTEN: Final = 8

type Rows = Iterable[tuple[str, ...]]


# --- markdown ----------------------------------------------------------------


def cell(text: object) -> str:
    """Fit text into one cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def code(text: object) -> str:
    """Mark text as what is typed or read literally; nothing where there is none."""
    return f"`{text}`" if str(text) else NONE


def table(heads: tuple[str, ...], rows: Rows) -> str:
    """Lay rows out as a table."""
    lines = [heads, tuple("---" for _ in heads), *rows]
    return "\n".join("| " + " | ".join(cell(one) or NONE for one in row) + " |" for row in lines)


# --- command line ------------------------------------------------------------


def commands() -> str:
    """Every command of both programs, with what it takes and how it is typed."""
    import typer

    from risk_daemon.cli.app import EPILOG, app
    from risk_daemon.cli.trading import EPILOG as TRADERS_EPILOG
    from risk_daemon.cli.trading import app as traders

    admin = list(leaves(typer.main.get_command(app([]))))
    trader = list(leaves(typer.main.get_command(traders)))
    shared = often(command for _, command in [*admin, *trader])
    parts = [
        f"# Commands\n{MADE}",
        "What a command prints and returns, and what each exit code means: "
        "[docs/formats/admin.md](../formats/admin.md). Options that many commands take, said once "
        "(a command says which of them it has):\n",
        table(("option", "what"), [(code(name), text) for name, text in sorted(shared)]),
    ]
    for program, found, epilog in (
        ("risk-daemon-admin", admin, EPILOG),
        ("risk-daemon", trader, TRADERS_EPILOG),
    ):
        parts.append(f"\n## `{program}`\n\n{epilog}\n")
        parts += [_command(program, name, command, shared) for name, command in found]
    return "\n".join(parts) + "\n"


def leaves(command: Any, under: str = "") -> Iterator[tuple[str, Any]]:
    """Walk to every command that does something, by the words it is called with."""
    for name, one in getattr(command, "commands", {}).items():
        if hasattr(one, "commands"):
            yield from leaves(one, f"{under}{name} ")
        elif not one.hidden:
            yield under + name, one


def often(found: Iterable[Any]) -> set[tuple[str, str]]:
    """Return the options that many commands take, each with its words."""
    counted = Counter((one.opts[0], one.help) for command in found for one in _options(command))
    return {option for option, times in counted.items() if times >= OFTEN}


def _options(command: Any) -> list[Any]:
    return [
        one
        for one in command.params
        if one.param_type_name == "option" and not one.hidden and one.name != "help"
    ]


def _command(program: str, name: str, command: Any, shared: set[tuple[str, str]]) -> str:
    told, examples = _help(command)
    arguments = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in _options(command) if (one.opts[0], one.help) not in shared]
    also = [code(one.opts[0]) for one in _options(command) if one not in options]
    parts = [f"### `{program} {name}`\n\n{told}\n"]
    rows = [(code(one.human_readable_name.upper()), _allowed(one), one.help) for one in arguments]
    rows += [(code(", ".join(one.opts)), _allowed(one), one.help) for one in options]
    if rows:
        parts.append(table(("takes", "allowed", "what"), rows) + "\n")
    if also:
        parts.append(f"Also: {', '.join(also)}.\n")
    if examples:
        parts.append(f"```text\n{examples}\n```\n")
    return "\n".join(parts)


def _help(command: Any) -> tuple[str, str]:
    """Part a command's words from its examples."""
    paragraphs, examples = [], ""
    for block in command.help.split("\n\n"):
        text = block.removeprefix("\b\n")
        if text.startswith("Examples:\n"):
            examples = textwrap.dedent(text.partition("\n")[2]).strip("\n")
        elif text != block:
            paragraphs.append("```text\n" + text.strip("\n") + "\n```")
        else:
            paragraphs.append(" ".join(text.split()))
    return "\n\n".join(paragraphs), examples


def _allowed(one: Any) -> str:
    """Say what may stand there, and what counts without it."""
    kind = one.type
    if getattr(one, "is_flag", False):
        return NONE
    if hasattr(kind, "choices"):
        text = ", ".join(str(choice) for choice in kind.choices)
    elif getattr(kind, "min", None) is not None or getattr(kind, "max", None) is not None:
        text = f"{kind.min} or more" if kind.max is None else f"{kind.min} to {kind.max}"
    else:
        text = {"int": "a whole number", "float": "a number", "path": "a path"}.get(
            kind.name, "text"
        )
    if one.required:
        return f"{text}; required"
    has_default = one.default not in (None, "", (), []) and not callable(one.default)
    return f"{text}; else {one.default}" if has_default else text


# --- configuration -----------------------------------------------------------

#: Each file, what it is, and when a change of it counts (docs/formats/admin.md says it at length).
_WHEN_SETTINGS: Final = "at the next `stop` and `start`"
_WHEN_POLICY: Final = (
    "after `config reload` at the account's next trade day, either way, or when a second person "
    "says so (`config approve`)"
)
_WHEN_ACCOUNT: Final = (
    "tighter: at once, by `config reload`; looser, or neither: as for `policy.yaml`; "
    "`name`, `login` and `test` at the next `stop` and `start`"
)
_WHEN_FLAG: Final = (
    "by `flag set` and `flag clear`, or by hand with `config reload`: tighter on one account at "
    "once, all else as for `policy.yaml`; gone when its date is over"
)
_WHEN_OVERRIDE: Final = (
    "when a second person agreed (`config approve`), or at the next trade day; over at its instant"
)
_WHEN_CHANNELS: Final = "within two seconds: the console reads the file"


def configuration() -> str:
    """Every key of every file in `config/`, from the shapes that read them."""
    from risk_daemon.operations.alerts.channels import Channel
    from risk_daemon.operations.configuration import models

    files = (
        ("daemon.yaml", models.DaemonFile, "what the deployment is", _WHEN_SETTINGS),
        ("policy.yaml", models.PolicyFile, "what holds for every account", _WHEN_POLICY),
        ("accounts/NUMBER.yaml", models.AccountFile, "where one account differs", _WHEN_ACCOUNT),
        ("flags.yaml", models.FlagsFile, "rules in another mode for a while", _WHEN_FLAG),
        ("overrides.yaml", models.OverridesFile, "rules that are off for a moment", _WHEN_OVERRIDE),
    )
    parts = [
        f"# Configuration keys\n{MADE}",
        "An unknown key is an error, and the nearest one is named. Text is never taken for a "
        "number. `risk-daemon-admin config validate` reads all of it and changes nothing. What "
        "stands below `rules` is on a page of its own: [rules](rules.md).\n",
    ]
    for name, shape, what, when in files:
        rows = list(_keys(shape))
        parts.append(f"## `{name}`: {what}\n\nA change takes effect: {when}.\n")
        parts.append(table(("key", "type", "allowed", "default"), rows) + "\n")
    parts.append(
        f"## `alerts.yaml`: where messages go\n\nA change takes effect: {_WHEN_CHANNELS}. "
        "What each key may be is in [channels](../formats/alerts.md).\n"
    )
    parts.append(table(("key", "type", "default"), _fields(Channel, "channels[].")))
    return "\n".join(parts) + "\n"


def _keys(shape: Any, under: str = "") -> Iterator[tuple[str, ...]]:
    """Name every key of a shape, those of its sections by their path."""
    from pydantic import BaseModel

    for name, field in shape.model_fields.items():
        inner = _section(field.annotation)
        if inner is not None and issubclass(inner, BaseModel):
            is_list = typing.get_origin(field.annotation) is list
            yield from _keys(inner, f"{under}{name}{'[]' if is_list else ''}.")
            continue
        default = "required" if field.is_required() else _default(field.default)
        allowed = field.description or NONE
        yield (code(under + name), _type(field.annotation), allowed, default)


def _section(annotation: Any) -> type | None:
    """Return the shape that a key holds, alone or in a list; None where it is a plain value."""
    if typing.get_origin(annotation) is list:
        (annotation,) = typing.get_args(annotation)
        if typing.get_origin(annotation) is typing.Annotated:
            annotation = typing.get_args(annotation)[0]
    is_shape = isinstance(annotation, type) and hasattr(annotation, "model_fields")
    return annotation if is_shape else None


def _type(annotation: Any) -> str:
    """Say a type in the words of who writes YAML."""
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if isinstance(annotation, typing.TypeAliasType):
        return _type(annotation.__value__)
    if origin is typing.Annotated:
        return _type(inner[0])
    if origin is typing.Literal:
        return "one of " + ", ".join(f"`{one}`" for one in inner)
    if origin in (typing.Union, types.UnionType):
        known = dict.fromkeys(_type(one) for one in inner if one is not types.NoneType)
        return " or ".join(known)
    if origin in (list, tuple):
        return f"list of {_type(inner[0])}"
    names = {int: "number", float: "number", str: "text", bool: "true or false"}
    return names.get(annotation, "table")


def _default(value: object) -> str:
    match value:
        case None | "":
            return "none"
        case [] | () | {}:
            return "empty"
        case bool():
            return code(str(value).lower())
        case _:
            return code(value)


def _fields(struct: Any, under: str) -> Iterator[tuple[str, ...]]:
    import msgspec

    hints = typing.get_type_hints(struct)
    for field in msgspec.structs.fields(struct):
        default = "required" if field.required else _default(field.default)
        yield (code(under + field.name), _type(hints[field.name]), default)


# --- rules -------------------------------------------------------------------


def rules() -> str:
    """Every rule and its parameters, from the catalogue."""
    from risk_daemon.rules import CATALOG, common

    parts = [
        f"# Rules and their parameters\n{MADE}",
        "A rule stands below `rules` of `policy.yaml` or of an account's file, with a `mode` "
        "(`enforce`, `shadow`, `alert`) beside its parameters. *Tighter* is the direction that "
        "protects more: such a change of an account's own file applies at once. A parameter "
        "without one is neither tighter nor looser, and waits for the next trade day.\n",
    ]
    for name, kind in CATALOG.items():
        own = {key: text for key, text in kind.parameters.items() if key not in common.PARAMETERS}
        taken = [key for key in kind.parameters if key in common.PARAMETERS]
        parts.append(f"## [{name}](../rules/{name}.md)\n\n{kind.summary}\n")
        if own:
            rows = [(code(key), text, _tighter(kind.tighter.get(key))) for key, text in own.items()]
            parts.append(table(("parameter", "allowed", "tighter"), rows) + "\n")
        listed = ", ".join(code(key) for key in taken) or "none"
        parts.append(f"Keys of every rule that it takes: {listed}.\n")
    parts.append("## Keys of every rule\n\n[What they do](../rules/common.md).\n")
    rows = [(code(key), text) for key, text in common.PARAMETERS.items()]
    parts.append(table(("key", "allowed"), rows))
    return "\n".join(parts) + "\n"


def _tighter(way: str | tuple[str, ...] | None) -> str:
    if way is None:
        return NONE
    return way if isinstance(way, str) else ", then ".join(way)


# --- what the console serves ---------------------------------------------------


def _example() -> tuple[Any, Any]:
    """Make a memory with one of each thing, and a clock that is a second later."""
    from risk_daemon.clock import SECOND_NS, FakeClock
    from risk_daemon.console.seen import Seen
    from risk_daemon.core.events import AlarmRaised, Entry
    from risk_daemon.operations.alerts.outbox import Alarm, Place
    from risk_daemon.wire.view import VIEW_VERSION, AccountView, DistanceView, LockView
    from risk_daemon.wire.view import PositionView as Position

    at = 1_795_622_400 * SECOND_NS
    clock = FakeClock(at)
    clock.advance(SECOND_NS)
    lock = LockView(
        lock="l-17", rule="kill-switch", mode="reduce-only", began_at="2026-11-25T16:00:00+00:00",
        until="2026-11-25T23:00:00+00:00", reason="enough for today",
    )  # fmt: skip
    view = AccountView(
        version=VIEW_VERSION, account=1001, name="NORTH-1", login="me", release="v1.2.0",
        holder="worker-1", epoch=3, seq=4711, at="2026-11-25T16:00:00+00:00", enforcing=True,
        connected=True, feed="trusted", last_fact_at="2026-11-25T16:00:00+00:00",
        balance="50084.50", can_trade=True, realized="96.50", unrealized="-12.00",
        day_pnl="84.50", trade_date="2026-11-25", pnl_known=True, mode="reduce-only",
        positions=(Position(contract="CON.F.US.MNQ.Z26", root="MNQ", quantity=2,
                            average="25010.25", unrealized="-12.00", agreed=True),),
        orders=(), locks=(lock,),
        distances=(DistanceView(rule="max-contracts", mode="enforce", observed="2", limit="5",
                                state="clear", used="0.40"),),
        reasons=(), unknown=(), underway=(),
    )  # fmt: skip
    fact = AlarmRaised(account=1001, level="warn", what="message", text="an example", source="")
    seen = Seen(release="v1.2.0", journal_connected=True)
    steady = clock.steady_ns()
    seen.take_view(view, steady)
    seen.take_entry("AlarmRaised", Entry(seq=4711, at=at, account=1001, fact=fact), steady)
    place = Place(seq=4711, crc=1)
    told = {"at": at, "account": 1001, "level": "warn", "what": "message", "text": "an example"}
    seen.take_alarms([Alarm(place=place, source="", **told)])
    row = {"account": 1001, "holder": "worker-1", "epoch": 3, "release": "v1.2.0"}
    process = {
        "name": "worker-1", "pid": 4242, "role": "active", "state": "running", "since_s": 3600.0,
        "restarts": 0, "release": "v1.2.0", "heartbeat_age_ms": 40, "memory_mb": 61.2,
        "cpu_percent": 1.5, "reconcile_every_s": None,
    }  # fmt: skip
    seen.take_status({"accounts": [{**row, "enforcing": True}], "processes": [process]}, steady)
    clock.advance(SECOND_NS)
    return seen, clock


def metric_rows() -> list[tuple[str, str, tuple[str, ...], str]]:
    """Name, kind, labels and meaning of every family of `/metrics`, by the name that is scraped."""
    from risk_daemon.console import view

    seen, clock = _example()
    return [
        (one.name, one.kind, tuple(sorted({key for _, labels, _ in one.samples for key in labels})),
         one.help)
        for one in view.metrics(seen, clock.steady_ns())
    ]  # fmt: skip


def metrics() -> str:
    """Every metric, as the console makes it."""
    rows = [
        (code(name), kind, ", ".join(map(code, labels)) or NONE, text)
        for name, kind, labels, text in metric_rows()
    ]
    return (
        f"# Metrics\n{MADE}\nServed at `/metrics` of the console, for Prometheus. The names are a "
        "promise ([metrics](../formats/metrics.md)); rules for alarms and a dashboard: "
        "[monitoring](../monitoring/README.md).\n\n"
        f"{table(('name', 'type', 'labels', 'meaning'), rows)}\n"
    )


def http() -> str:
    """Every path of the console's API, with an answer made of an example."""
    schema = _schema()
    parts = [
        f"# HTTP API\n{MADE}",
        "On 127.0.0.1 only. Who is on this machine may look without a password; acting needs one "
        "([page](../formats/dashboard.md), [threat model](../architecture/threat-model.md)). "
        "`/openapi.json` says the same to a machine; `/` is the page for people. "
        "Answers may gain fields, never lose or rename one ([metrics](../formats/metrics.md)). "
        "The examples are made by the console of one example account.\n",
    ]
    answers = _answers()
    for path, methods in schema["paths"].items():
        for method, told in methods.items():
            parts.append(f"## `{method.upper()} {path}`\n\n{told.get('description', '')}\n")
            takes = [*map(_parameter, told.get("parameters", [])), *_body(told, schema)]
            if takes:
                heads = ("parameter", "in", "allowed", "default")
                parts.append(table(heads, takes) + "\n")
            parts.append(table(("status", "means"), _statuses(told)) + "\n")
            if method == "get" and path in answers:
                body = json.dumps(answers[path], indent=2)
                parts.append(f"```json\n{body}\n```\n")
            elif path == "/metrics":
                parts.append("Prometheus text: [metrics](metrics.md).\n")
    return "\n".join(parts)


def _statuses(told: dict[str, Any]) -> list[tuple[str, str]]:
    """Say what each status of a route means, the best first."""
    return [(status, one["description"]) for status, one in sorted(told["responses"].items())]


def _schema() -> dict[str, Any]:
    """Return the console's own description of its API; nothing of it is asked."""
    from risk_daemon.console.app import make_app

    seen, clock = _example()
    others = len(inspect.signature(make_app).parameters) - 2
    make: Callable[..., Any] = make_app
    told: dict[str, Any] = make(seen, clock, *([None] * others)).openapi()
    return told


def _answers() -> dict[str, Any]:
    """Return what the console answers of the example, by path."""
    from risk_daemon.console import view

    seen, clock = _example()
    now = clock.steady_ns()
    return {
        "/health": view.health(seen, now)[1],
        "/api/v1/accounts": view.accounts(seen, now),
        "/api/v1/accounts/{number}": view.account(seen, 1001, now),
        "/api/v1/processes": view.processes(seen, now),
        "/api/v1/events": view.events(seen, 50),
        "/api/v1/alarms": view.alarms(seen, 50),
    }


def _parameter(one: dict[str, Any]) -> tuple[str, ...]:
    default = "required" if one["required"] else _default(one["schema"].get("default"))
    return (code(one["name"]), one["in"], _shape(one["schema"]), default)


def _body(told: dict[str, Any], schema: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Name the fields of what is posted, where it is described."""
    content = told.get("requestBody", {}).get("content", {}).get("application/json", {})
    shape = content.get("schema", {})
    if "$ref" in shape:
        shape = schema["components"]["schemas"][shape["$ref"].rpartition("/")[2]]
    for name, field in shape.get("properties", {}).items():
        is_required = name in shape.get("required", [])
        default = "required" if is_required else _default(field.get("default"))
        yield (code(name), "body", _shape(field), default)


def _shape(schema: dict[str, Any]) -> str:
    """Say in words what a value may be."""
    if "anyOf" in schema:
        return " or ".join(_shape(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return "one of " + ", ".join(f"`{one}`" for one in schema["enum"])
    if "minimum" in schema and "maximum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}"
    names = {"integer": "a whole number", "number": "a number", "string": "text"}
    return names.get(schema.get("type", ""), "a table")


# --- refusals ----------------------------------------------------------------

#: Exit codes of what is raised on purpose (`risk_daemon.errors`), with what each means.
MEANINGS: Final = {
    1: "failed, or something is not as it should be",
    2: "usage: the command or a file was written wrongly",
    3: "understood, and refused in this state",
    4: "login or permission",
    5: "not found",
    6: "somebody else holds the rollout",
    7: "timed out; safe to repeat",
    8: "the daemon, or a process of it, is not reachable",
}
#: Rooms whose sentences no operator meets: the simulated gateway, the proofs, the demo.
_OTHERS: Final = ("proving", "sim", "stage")


@cache
def refusal_rows() -> list[tuple[int, str, str]]:
    """Exit code, place and sentence of every error that is raised with its words in place.

    A value stands as three dots. A sentence that is made elsewhere (a variable) is not among them.
    """
    from risk_daemon import errors

    codes = {
        name: kind.exit_code
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.OperatorError)
    }
    found = set()
    for path in PACKAGE.rglob("*.py"):
        place = path.relative_to(PACKAGE)
        if place.parts[0] in _OTHERS:
            continue
        text = path.read_text(encoding="utf-8")
        if not any(f"{name}(" in text for name in codes):
            continue
        for node in ast.walk(ast.parse(text)):
            is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if not is_call or node.func.id not in codes or not node.args:
                continue
            sentence = " ".join(words(node.args[0]).split())
            if any(letter.isalpha() for letter in sentence):
                found.add((_code_of(node, codes), place.with_suffix("").as_posix(), sentence))
    return sorted(found)


def words(node: ast.expr) -> str:
    """Read a sentence out of the source; what is only known when it runs is three dots."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(words(part) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return words(left) + words(right)
        case _:
            return "…"


def _code_of(node: ast.Call, codes: dict[str, int]) -> int:
    given = [*node.args[1:2], *(one.value for one in node.keywords if one.arg == "exit_code")]
    if given and isinstance(given[0], ast.Constant):
        return int(given[0].value)
    return codes[node.func.id]  # type: ignore[attr-defined]


def refusals() -> str:
    """Every sentence that a command may end with, by its exit code."""
    rows = refusal_rows()
    parts = [
        f"# Sentences of refusal\n{MADE}",
        "Search here for what a command said; `…` is where a value stood. What to do about those "
        "that come most often is in [troubleshooting](../guides/troubleshooting.md). The place is "
        "the file below `src/risk_daemon`.\n",
    ]
    for exit_code in sorted({row[0] for row in rows}):
        meaning = MEANINGS.get(exit_code, "")
        parts.append(f"## Exit code {exit_code}: {meaning}\n")
        told = [(text.replace("`", "'"), code(place)) for one, place, text in rows
                if one == exit_code]  # fmt: skip
        parts.append(table(("sentence", "place"), told) + "\n")
    return "\n".join(parts)


# --- writing -----------------------------------------------------------------

PAGES: Final[dict[str, Callable[[], str]]] = {
    "commands.md": commands,
    "configuration.md": configuration,
    "rules.md": rules,
    "metrics.md": metrics,
    "http.md": http,
    "refusals.md": refusals,
}


def stale(folder: Path = FOLDER) -> list[str]:
    """Name the pages that differ from what the program says."""
    return [name for name in PAGES if not is_fresh(name, folder)]


def is_fresh(name: str, folder: Path = FOLDER) -> bool:
    """Tell whether a page says what the program says."""
    path = folder / name
    return path.is_file() and path.read_text(encoding="utf-8") == PAGES[name]()


def main(argv: list[str]) -> int:
    """Write what is stale, or only name it."""
    if argv not in ([], ["--check"]):
        print(f"references: takes nothing, or --check; was {' '.join(argv)}", file=sys.stderr)
        return 2
    found = stale()
    for name in found:
        if not argv:
            (FOLDER / name).write_text(PAGES[name](), encoding="utf-8")
        print(f"docs/references/{name}: {'stale' if argv else 'written'}")
    if not found:
        print(f"docs/references: all {len(PAGES)} pages say what the program says")
    if argv and found:
        print(f"`{COMMAND}` writes them anew", file=sys.stderr)
    return int(bool(argv and found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
