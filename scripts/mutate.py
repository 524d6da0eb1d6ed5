"""Change the deciders in small ways, one at a time, and see whether a test notices.

    ./dev mutate                              everything: core, rules, wire, fence, budget
    ./dev mutate src/risk_daemon/rules        some files or folders
    ./dev mutate --sample 300 --seed 7        a part, the same for the same seed
    ./dev mutate --kind comparison            changes of one kind
    ./dev mutate --json                       the verdict as one line on stdout

A change that no test notices survives: a figure, a boundary or a line without a
test, or one that makes no difference; a person judges which. Only tests of the
room run, of them only those that were seen to run the changed line (all of them
where it runs at import only: a name, a default; all that ran the file where it
remembers what it reckoned, for the second who asks runs no line), the quickest
first, each change
in a process of its own that is ended when it takes too long. That counts as noticed
and is told apart: on a busy machine it proves little.
What unchanged code showed is kept in `.dev/mutate` and believed again until a file of
`scripts`, `src` or `tests`, or a pinned library, is another.
The files on the disk are never touched. Children that a test starts run the
unchanged code. Types, texts, decorators and assertions are left as they are, and a
returned False does not become None: no reader of a truth can tell.

Exit code 0: at least 90 % of the changes were noticed, and of the turned
comparisons of rules every one. 1: not so. 2: asked wrongly.
"""

from __future__ import annotations

import argparse
import ast
import copy
import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import multiprocessing
import os
import random  # noqa: TID251 - a seeded sample
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
ROOM = ROOT / "src" / "risk_daemon"
WORK = ROOT / ".dev" / "mutate"

#: What is changed, and the tests that must notice.
ROOMS: dict[str, tuple[str, ...]] = {
    "core/*.py": ("tests/core", "tests/rules"),
    "rules/*.py": ("tests/rules", "tests/core", "tests/worker/test_rehearsal.py"),
    "wire/*.py": ("tests/wire", "tests/conformance/test_transport.py"),
    "broker/fence.py": ("tests/broker",),
    "depot/manifest.py": ("tests/depot/test_manifest.py",),
    "broker/gate.py": ("tests/broker",),
    "broker/sight.py": ("tests/broker",),
    "broker/settlement.py": ("tests/broker",),
    "broker/looks.py": ("tests/broker",),
    "broker/budget.py": ("tests/broker",),
}
#: Data, not decisions: written by a script from the exchange's calendar.
LEFT_OUT = {"core/calendar_table.py"}
#: Tests that change rules themselves: they would judge a change of a change.
TESTS_LEFT_OUT = ("tests/rules/test_turned_comparisons.py",)

ASKED = 0.9
TIME_LEAST_S = 10.0
TIME_FACTOR = 8
LOOK_EVERY_S = 0.01
DIED, TOO_LONG = "it died", "it took too long"
#: A test that passes its own deadline ends its whole process.
TOO_LATE = (DIED, TOO_LONG)

NEIGHBOURS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
}
#: Decorators of functions whose second caller runs none of their lines.
REMEMBERS = ("@functools.cache", "@functools.lru_cache")
#: Names in our code for what is None already (`core.decision`).
NAMES_OF_NONE = {"NO_PRICE"}
TWINS = {"min": "max", "max": "min", "any": "all", "all": "any"}


# --- the changes ----------------------------------------------------------------


@dataclass(frozen=True)
class Change:
    """One change of one file: the n-th that `changes_of` finds in it."""

    file: str
    number: int
    line: int
    column: int
    kind: str
    before: str
    after: str


class Changer(ast.NodeTransformer):
    """Walks a module, lists every change there is, and makes the one that is wanted."""

    def __init__(self, file: str, wanted: int = -1) -> None:
        self.file, self.wanted = file, wanted
        self.found: list[Change] = []

    def _offer(self, node: ast.expr | ast.stmt, kind: str, changed: ast.AST) -> ast.AST:
        """List a change; return the changed node if it is the wanted one."""
        number = len(self.found)
        self.found.append(
            Change(
                self.file,
                number,
                node.lineno,
                node.col_offset + 1,
                kind,
                ast.unparse(node),
                ast.unparse(changed),
            )
        )
        return ast.copy_location(changed, node) if number == self.wanted else node

    def _first(self, node: Any, kind: str, *changed: ast.AST) -> Any:
        """Offer several changes of one node, then go on below it."""
        result = node
        for one in changed:
            offered = self._offer(node, kind, one)
            result = offered if offered is not node else result
        return result if result is not node else self.generic_visit(node)

    # What is never changed: types, texts, decorators, names of a module.

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if node.value is not None:
            node.value = self.visit(node.value)
        return node

    def visit_arg(self, node: ast.arg) -> Any:
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> Any:
        node.args = self.visit(node.args)
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> Any:
        node.args = self.visit(node.args)
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        node.body = [self.visit(statement) for statement in node.body]
        return node

    def visit_TypeAlias(self, node: ast.TypeAlias) -> Any:
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        return node  # what is said to people

    def visit_Raise(self, node: ast.Raise) -> Any:
        return node

    def visit_Assert(self, node: ast.Assert) -> Any:
        return node  # for the type checker

    # What is.

    def visit_Compare(self, node: ast.Compare) -> Any:
        changed = []
        for index, operator in enumerate(node.ops):
            for turned in NEIGHBOURS[type(operator)]:
                one = copy.deepcopy(node)
                one.ops[index] = turned()
                changed.append(one)
        return self._first(node, "comparison", *changed)

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        changed = copy.deepcopy(node)
        changed.op = ast.Or() if isinstance(node.op, ast.And) else ast.And()
        return self._first(node, "and/or", changed)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        if isinstance(node.op, ast.Not | ast.USub):
            return self._first(
                node, "not" if isinstance(node.op, ast.Not) else "sign", node.operand
            )
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        other = ARITHMETIC.get(type(node.op))
        texts = (node.left, node.right)
        if other is None or any(isinstance(side, ast.JoinedStr) for side in texts):
            return self.generic_visit(node)
        changed = copy.deepcopy(node)
        changed.op = other()
        return self._first(node, "arithmetic", changed)

    def visit_AugAssign(self, node: ast.AugAssign) -> Any:
        other = ARITHMETIC.get(type(node.op))
        if other is None:
            return self.generic_visit(node)
        changed = copy.deepcopy(node)
        changed.op = other()
        return self._first(node, "arithmetic", changed)

    def visit_Constant(self, node: ast.Constant) -> Any:
        if isinstance(node.value, bool):
            return self._first(node, "constant", ast.Constant(not node.value))
        if isinstance(node.value, int):
            more, less = ast.Constant(node.value + 1), ast.Constant(node.value - 1)
            return self._first(node, "constant", more, less)
        return node

    def visit_Call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Name) and node.func.id in TWINS:
            changed = copy.deepcopy(node)
            changed.func = ast.Name(TWINS[node.func.id], ast.Load())
            return self._first(node, "twin", changed)
        return self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> Any:
        # None for False is no difference to who asks for the truth: it is turned to True only.
        none = isinstance(node.value, ast.Name) and node.value.id in NAMES_OF_NONE
        if node.value is None or none or _is_constant(node.value, None, False):
            return self.generic_visit(node)
        return self._first(node, "return", ast.Return(ast.Constant(None)))

    def visit_If(self, node: ast.If) -> Any:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return node
        return self._condition(node)

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        return self._condition(node)

    def visit_While(self, node: ast.While) -> Any:
        return node if isinstance(node.test, ast.Constant) else self._condition(node)

    def _condition(self, node: Any) -> Any:
        """Turn a condition that has no operator of its own."""
        if isinstance(node.test, ast.Name | ast.Attribute | ast.Call):
            turned = ast.UnaryOp(ast.Not(), node.test)
            test = self._offer(node.test, "condition", turned)
            if test is not node.test:
                node.test = test
                return node
        return self.generic_visit(node)


def _is_constant(node: ast.expr, *values: object) -> bool:
    return isinstance(node, ast.Constant) and any(node.value is value for value in values)


def changes_of(source: str, file: str) -> list[Change]:
    """Return every change there is of a module, in the order of its text."""
    changer = Changer(file)
    changer.visit(ast.parse(source))
    return changer.found


def changed(source: str, change: Change) -> ast.Module:
    """Return a module with one change made."""
    tree: ast.Module = Changer(change.file, change.number).visit(ast.parse(source))
    return ast.fix_missing_locations(tree)


# --- a module that is not what is on the disk -------------------------------------


class Loader(importlib.machinery.SourceFileLoader):
    """Runs one changed module in place of the file; all else of the file's is as it was."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        super().__init__(name, str(path))
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:
        """Return the changed module instead of what is on the disk."""
        del fullname
        code: CodeType = compile(self._tree, self.path, "exec")
        return code


class Finder(importlib.abc.MetaPathFinder):
    """Finds the changed module before anybody else finds the file."""

    def __init__(self, change: Change) -> None:
        self._path = ROOT / change.file
        parts = self._path.relative_to(ROOT / "src").with_suffix("").parts
        self._name = ".".join(parts).removesuffix(".__init__")
        self._tree = changed(self._path.read_text(encoding="utf-8"), change)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if name != self._name:
            return None
        return importlib.util.spec_from_file_location(
            name, self._path, loader=Loader(name, self._path, self._tree)
        )


# --- which test runs which line ---------------------------------------------------


@dataclass
class Seen:
    """What a run of unchanged code showed: who runs a line, how long each test takes."""

    lines: dict[str, dict[int, set[str]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    #: Files that remember what they reckoned: only the first who asked was seen to run a line.
    remembering: set[str] = field(default_factory=set)

    def tests_for(self, change: Change) -> list[str]:
        """Return the tests to run for a change: who ran the file first, and the quickest."""
        of_file = self.lines.get(change.file, {})
        near = set().union(*of_file.values()) - {""} if of_file else set[str]()
        here = of_file.get(change.line, set())
        if here == {""}:  # a name or a default of the module: whoever reads it may be anybody
            found = set(self.seconds)
        elif "" in here or not here:  # inside an expression of several lines
            found = near
        else:
            found = near if change.file in self.remembering else here
        return sorted(
            found,
            key=lambda one: (one not in near, one not in here, self.seconds.get(one, 0.0), one),
        )


def look(tests: tuple[str, ...], where: Path, stand: str) -> int:
    """Run the tests once on unchanged code, and write down what they ran."""
    import coverage
    import pytest

    class Clock:
        """Notes how long each test function took, all its cases together."""

        def __init__(self) -> None:
            self.seconds: dict[str, float] = {}
            self.nodes: dict[str, str] = {}

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
            node = item.nodeid.partition("[")[0]
            measured.switch_context(node)
            began = time.monotonic()  # noqa: TID251
            try:
                return (yield)
            finally:
                took = time.monotonic() - began  # noqa: TID251
                self.seconds[node] = self.seconds.get(node, 0.0) + took
                measured.switch_context("")

    measured = coverage.Coverage(
        data_file=str(where) + ".data", source=[str(ROOM)], config_file=False
    )
    measured.start()
    clock = Clock()
    verdict = pytest.main([*arguments(), *tests], plugins=[clock])
    measured.stop()
    data = measured.get_data()
    lines = {
        str(Path(name).relative_to(ROOT)): {
            line: sorted(contexts) for line, contexts in data.contexts_by_lineno(name).items()
        }
        for name in data.measured_files()
    }
    if verdict == 0:
        row = {"stand": stand, "lines": lines, "seconds": clock.seconds}
        where.write_text(json.dumps(row), encoding="utf-8")
    return int(verdict)


def arguments() -> list[str]:
    """Return how pytest is called: quietly, up to the first failure, and leaving nothing behind."""
    left_out = [f"--deselect={name}" for name in TESTS_LEFT_OUT]
    return ["-x", "-q", "--no-header", "--no-summary", "-p", "no:cacheprovider", *left_out]


def fingerprint(root: Path) -> str:
    """Name what is on the disk: everything that may decide what a run of unchanged code shows."""
    found = hashlib.sha256()
    paths = [path for folder in ("scripts", "src", "tests") for path in (root / folder).rglob("*")]
    for path in (root / "requirements-dev.lock", *sorted(paths)):
        if path.is_file() and "__pycache__" not in path.parts:
            found.update(f"{path.relative_to(root).as_posix()}\0".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def kept(where: Path, stand: str) -> dict[str, Any]:
    """Return what was written down of this very stand of the files, nothing of any other."""
    row: dict[str, Any] = json.loads(where.read_text(encoding="utf-8")) if where.exists() else {}
    return row if row.get("stand") == stand else {}


def seen_by(tests: tuple[str, ...], stand: str) -> Seen:
    """Run the tests of a room on unchanged code; exits where they don't pass."""
    where = WORK / ("seen-" + "-".join(tests).replace("/", "."))
    row = kept(where, stand)
    if not row:
        verdict = Child(look, (tests, where, stand)).wait(900.0)
        if verdict != 0:
            print(f"{' '.join(tests)} do not pass on unchanged code: {verdict}", file=sys.stderr)
            sys.exit(2)
        row = kept(where, stand)
    seen = Seen(seconds=row["seconds"])
    seen.remembering = {
        name
        for name in row["lines"]
        if any(word in (ROOT / name).read_text(encoding="utf-8") for word in REMEMBERS)
    }
    for name, lines in row["lines"].items():
        seen.lines[name] = {int(line): set(found) for line, found in lines.items()}
    return seen


# --- one change, one process --------------------------------------------------------


def judge(changes: list[Change], tests: list[str]) -> int:
    """Run tests on changed modules; 0 when none of them noticed."""
    import pytest

    sys.meta_path[:0] = [Finder(change) for change in changes]
    return int(pytest.main([*arguments(), *tests]))


def _enter(work: Any, given: tuple[Any, ...], answer: Connection) -> None:
    """Do the work of a child: silent, in its own session, and nothing is cleaned up."""
    if hasattr(os, "setsid"):
        os.setsid()
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        with redirect_stdout(nowhere), redirect_stderr(nowhere):
            try:
                answer.send(work(*given))
            except BaseException as error:  # noqa: BLE001 - a change may raise anything anywhere
                answer.send(f"{type(error).__name__}: {error}")
        answer.close()
        os._exit(0)


class Child:
    """A process that does one thing and answers once."""

    def __init__(self, work: Any, given: tuple[Any, ...]) -> None:
        method = "fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn"
        context: Any = multiprocessing.get_context(method)
        self._answer, theirs = context.Pipe(duplex=False)
        self._process = context.Process(target=_enter, args=(work, given, theirs))
        self._process.start()
        theirs.close()
        self.began = time.monotonic()  # noqa: TID251

    def poll(self, limit_s: float) -> int | str | None:
        """Return its answer, None while it works; it is ended when it takes too long."""
        if self._answer.poll():
            with suppress(EOFError):
                answer: int | str = self._answer.recv()
                self._end()
                return answer
            self._end()
            return DIED
        if time.monotonic() - self.began > limit_s:  # noqa: TID251
            self._end()
            return TOO_LONG
        return None

    def wait(self, limit_s: float) -> int | str:
        """Return its answer."""
        while (answer := self.poll(limit_s)) is None:
            time.sleep(LOOK_EVERY_S)  # noqa: TID251
        return answer

    def _end(self) -> None:
        self._process.kill()
        self._process.join()


# --- all of them ----------------------------------------------------------------------


@dataclass
class Verdict:
    """What became of the changes."""

    killed: int = 0
    survivors: list[Change] = field(default_factory=list)
    #: Killed, but by the clock: on a busy machine that proves less.
    by_time: int = 0
    #: How many changes of each file were judged.
    by_file: dict[str, int] = field(default_factory=dict)

    @property
    def asked(self) -> int:
        """How many were judged."""
        return self.killed + len(self.survivors)

    def rates(self) -> dict[str, tuple[int, int]]:
        """Return per file how many changes were noticed, and of how many."""
        survived = Counter(one.file for one in self.survivors)
        return {file: (of - survived[file], of) for file, of in sorted(self.by_file.items())}

    @property
    def turned_rules(self) -> list[Change]:
        """Comparisons of rules that were turned and not noticed."""
        return [
            one
            for one in self.survivors
            if one.kind == "comparison" and "/rules/" in one.file.replace(os.sep, "/")
        ]

    @property
    def is_good(self) -> bool:
        """Enough were noticed."""
        return self.killed >= ASKED * self.asked and not self.turned_rules


def wanted_files(given: list[str]) -> dict[Path, tuple[str, ...]]:
    """Return the files to change, each with the tests that must notice."""
    found: dict[Path, tuple[str, ...]] = {}
    for pattern, tests in ROOMS.items():
        for path in sorted(ROOM.glob(pattern)):
            if path.relative_to(ROOM).as_posix() not in LEFT_OUT:
                found[path] = tests
    if not given:
        return found
    named = [Path(name).resolve() for name in given]
    chosen = {
        path: tests
        for path, tests in found.items()
        if any(path == one or one in path.parents for one in named)
    }
    if not chosen:
        rooms = ", ".join(ROOMS)
        print(f"nothing of {' '.join(given)} is changed; changed are {rooms}", file=sys.stderr)
        sys.exit(2)
    return chosen


def run(changes: list[Change], seen: dict[str, Seen], jobs: int) -> Verdict:
    """Judge the changes, several at a time, and tell how it goes."""
    by_file = dict(Counter(change.file for change in changes))
    verdict, waiting, done = Verdict(by_file=by_file), list(reversed(changes)), 0
    running: list[tuple[Change, Child, float]] = []
    told = began = time.monotonic()  # noqa: TID251
    while waiting or running:
        while waiting and len(running) < jobs:
            change = waiting.pop()
            tests = seen[change.file].tests_for(change)
            if not tests:
                verdict.survivors.append(change)
                done += 1
                continue
            usual = sum(seen[change.file].seconds.get(test, 0.0) for test in tests)
            limit = TIME_LEAST_S + TIME_FACTOR * usual
            running.append((change, Child(judge, ([change], tests)), limit))
        for one in list(running):
            change, child, limit = one
            answer = child.poll(limit)
            if answer is None:
                continue
            running.remove(one)
            done += 1
            if answer == 0:
                verdict.survivors.append(change)
                print(show(change), file=sys.stderr, flush=True)
            else:
                verdict.killed += 1
                verdict.by_time += answer in TOO_LATE
        now = time.monotonic()  # noqa: TID251
        if now - told > 10 or not (waiting or running):
            told = now
            print(
                f"mutate: {done} of {len(changes)} judged, {len(verdict.survivors)} survive,"
                f" {now - began:.0f} s",
                file=sys.stderr,
                flush=True,
            )
        time.sleep(LOOK_EVERY_S)  # noqa: TID251
    verdict.survivors.sort(key=lambda one: (one.file, one.line, one.column, one.number))
    return verdict


def show(change: Change) -> str:
    """Say a change in one line."""
    return (
        f"{change.file}:{change.line}:{change.column}: survives ({change.kind}):"
        f" {_short(change.before)}  ->  {_short(change.after)}"
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 70 else line[:67] + "..."


def main(argv: Sequence[str] | None = None) -> int:
    """Change, judge, tell."""
    parser = argparse.ArgumentParser(prog="dev mutate", description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="*", help="files or folders; all rooms where none is named")
    parser.add_argument("--sample", type=int, metavar="N", help="judge N changes only")
    parser.add_argument("--seed", type=int, default=0, help="which N (0)")
    parser.add_argument(
        "--kind", action="append", help="changes of this kind only: comparison, ..."
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    parser.add_argument("--json", action="store_true", help="the verdict as one line on stdout")
    args = parser.parse_args(argv)
    WORK.mkdir(parents=True, exist_ok=True)
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(WORK / "examples")  # noqa: TID251
    files = wanted_files(args.files)
    changes = [
        change
        for path in files
        for change in changes_of(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT)))
        if not args.kind or change.kind in args.kind
    ]
    if args.sample is not None and args.sample < len(changes):
        kept = set(random.Random(args.seed).sample(range(len(changes)), args.sample))  # noqa: S311
        changes = [change for number, change in enumerate(changes) if number in kept]
    print(f"mutate: {len(changes)} changes of {len(files)} files", file=sys.stderr, flush=True)
    stand = fingerprint(ROOT)
    by_tests = {tests: seen_by(tests, stand) for tests in sorted(set(files.values()))}
    seen = {str(path.relative_to(ROOT)): by_tests[tests] for path, tests in files.items()}
    preload()
    believe({change.file: seen[change.file] for change in changes}, stand)
    verdict = run(changes, seen, args.jobs)
    tell(verdict, as_json=args.json)
    return 0 if verdict.is_good else 1


def preload() -> None:
    """Import what every child needs and no change touches; pytest wants the rest for itself."""
    import msgspec  # noqa: F401
    import pytest  # noqa: F401


def believe(seen: dict[str, Seen], stand: str) -> None:
    """See that modules put in place without any change are noticed by nobody; exits if they are."""
    where = WORK / "believed"
    known: set[str] = set(kept(where, stand).get("files", ()))
    nothing = [Change(file, -1, 0, 0, "none", "", "") for file in sorted(set(seen) - known)]
    tests = sorted({test for one in nothing for test in seen[one.file].tests_for(one)})
    verdict = Child(judge, (nothing, tests)).wait(900.0) if tests else 0
    if verdict != 0:
        print(f"modules put in place unchanged fail their tests: {verdict}", file=sys.stderr)
        sys.exit(2)
    row = {"stand": stand, "files": sorted(known | set(seen))}
    where.write_text(json.dumps(row), encoding="utf-8")


def tell(verdict: Verdict, *, as_json: bool) -> None:
    """Say how it ended: in words, or as one line of JSON."""
    if as_json:
        row = {
            "ok": verdict.is_good,
            "changes": verdict.asked,
            "killed": verdict.killed,
            "killed_by_time": verdict.by_time,
            "survived": len(verdict.survivors),
            "turned_comparisons_of_rules": len(verdict.turned_rules),
            "files": verdict.rates(),
            "survivors": [asdict(one) for one in verdict.survivors],
        }
        print(json.dumps(row))
        return
    for change in verdict.survivors:
        print(show(change))
    for file, (noticed, of) in verdict.rates().items():
        print(f"{file}: {noticed} of {of}")
    share = 100 * verdict.killed / verdict.asked if verdict.asked else 100.0
    print(
        f"{verdict.killed} of {verdict.asked} changes were noticed ({share:.1f} %, asked:"
        f" {ASKED:.0%}), {verdict.by_time} of them by the clock;"
        f" turned comparisons of rules that were not: {len(verdict.turned_rules)}"
    )


if __name__ == "__main__":
    sys.exit(main())
