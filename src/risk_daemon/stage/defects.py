"""Ten defects planted in a copy of the daemon, one at a time: the referee must say no to each.

A verdict that is always "ok" proves nothing. Each defect is a patch of the
product's own source, so that the daemon which runs is the real one but for
that mistake; the simulated gateway and its referee run unpatched. A text that
is not found exactly once is an error: a defect must not vanish silently when
the source changes.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

import risk_daemon
from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.errors import NotFound, OperatorError
from risk_daemon.stage.gateway import environment
from risk_daemon.stage.play import Say
from risk_daemon.stage.scenes import Evening, Morning, Scene

PACKAGE: Final = Path(risk_daemon.__file__).parent
SEED: Final = 7

Verdict = dict[str, Any]
Tells = Callable[[Verdict], bool]


class Patch(msgspec.Struct, frozen=True):
    """`old` becomes `new` at its only place in a room of the package, whichever file that is."""

    room: str
    old: str
    new: str


class Defect(msgspec.Struct, frozen=True, kw_only=True):
    """One way of being wrong, the scene that shows it, and the figure of the verdict that tells."""

    name: str
    sentence: str
    patches: tuple[Patch, ...]
    told_by: str
    tells: Tells
    scene: type[Scene] = Morning


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a scene came to, with a defect or ("sound") without."""

    name: str
    scene: str
    noticed: bool
    told_by: str
    problem: str
    seconds: float


def _above_zero(name: str) -> Tells:
    return lambda verdict: verdict[name] > 0


def _not_answered(verdict: Verdict) -> bool:
    return bool(verdict["answered"] < verdict["breaches"])


DEFECTS: Final = (
    Defect(
        name="missed",
        sentence="max-contracts looks away until twice its limit is held",
        patches=(
            Patch(
                "rules",
                "if exposure > self.limit:",
                "if exposure > 2 * self.limit:",
            ),
        ),
        told_by="answered < breaches",
        tells=_not_answered,
    ),
    Defect(
        name="late",
        sentence="a close is held back for two seconds",
        patches=(
            Patch(
                "core",
                "if scene.at < plan.retry_at or",
                "if scene.at < max(plan.retry_at, plan.since + 2_000 * MS) or",
            ),
        ),
        told_by="late",
        tells=_above_zero("late"),
    ),
    Defect(
        name="closed-twice",
        sentence="a partial close counts as settled when accepted, not when its fill is seen",
        patches=(
            Patch(
                "broker",
                "        slot.outcome = ACCEPTED\n",
                '        if request.act == "partial":\n'
                '            return outputs + _free(account, request.contract, "filled")\n'
                "        slot.outcome = ACCEPTED\n",
            ),
            # Else the second net holds: an order of ours on its way is waited for.
            Patch("core", "return ours is None and any(", "return False and any("),
        ),
        told_by="duplicate",
        tells=_above_zero("duplicate"),
    ),
    Defect(
        name="reversed",
        sentence="a whole close is sent again without looking whether the first was taken",
        patches=(
            Patch(
                "broker",
                "            answer = await self._acts.mutate(path, body, leaving)\n",
                '            if request.act == "close":\n'
                "                await self._acts.mutate(path, body, leaving)\n"
                "            answer = await self._acts.mutate(path, body, leaving)\n",
            ),
        ),
        told_by="reversed",
        tells=_above_zero("reversed"),
    ),
    Defect(
        name="increased",
        sentence="a reduction goes out as a bare market order, and on the wrong side",
        patches=(
            Patch(
                "broker",
                'return "/Position/partialCloseContract", sized',
                'return "/Order/place", sized | {"type": 2, "side": 0}',
            ),
        ),
        told_by="increased",
        tells=_above_zero("increased"),
    ),
    Defect(
        name="orphan-left",
        sentence="stop and target of a closed position are left working",
        patches=(
            Patch(
                "core",
                "if not is_increasing(order, held.enforceable):",
                "if held.enforceable == 0 or not is_increasing(order, held.enforceable):",
            ),
            Patch("core", "(target.clears(order.contract) and held.is_flat)", "False"),
            Patch(
                "core",
                "outputs = _sweep(account, holding, plan, scene)",
                "outputs = []",
            ),
        ),
        told_by="orphan_orders",
        tells=_above_zero("orphan_orders"),
    ),
    Defect(
        name="false-trip",
        sentence="max-contracts trips at its limit instead of above it",
        patches=(
            Patch(
                "rules",
                "if exposure > self.limit:",
                "if exposure >= self.limit:",
            ),
            Patch(
                "rules",
                "excess = self._measure(world, left) - self.limit",
                "excess = self._measure(world, left) - self.limit + UNIT",
            ),
        ),
        told_by="false",
        tells=_above_zero("false"),
    ),
    Defect(
        name="costs-ignored",
        sentence="the daily loss is counted without fees and commissions",
        patches=(
            Patch(
                "rules",
                "realized = account.realized_net",
                "realized = account.realized_gross",
            ),
        ),
        told_by="answered < breaches",
        tells=_not_answered,
    ),
    Defect(
        name="wrong-trade-day",
        sentence="the trade day begins at 18:00 in Chicago instead of 17:00",
        patches=(Patch("core", "_OPEN_MINUTE: Final = 17 * 60", "_OPEN_MINUTE: Final = 18 * 60"),),
        told_by="false",
        tells=_above_zero("false"),
        scene=Evening,
    ),
    Defect(
        name="blind-while-locked",
        sentence="a locked account is not evaluated until its lock is over",
        patches=(
            Patch(
                "core",
                "outputs += self._end_locks(account, entry.at)\n",
                "outputs += self._end_locks(account, entry.at)\n"
                "        if account.locks:\n            return outputs\n",
            ),
        ),
        told_by="answered < breaches",
        tells=_not_answered,
    ),
)


def named(words: str) -> tuple[Defect, ...]:
    """Return the defects that were asked for: all, or names with commas between."""
    if words == "all":
        return DEFECTS
    known = {defect.name: defect for defect in DEFECTS}
    wanted = words.split(",")
    for name in wanted:
        if name not in known:
            raise NotFound(f"there is no defect {name!r}; there are all, {', '.join(known)}")
    return tuple(known[name] for name in wanted)


def plant(defect: Defect, tree: Path) -> None:
    """Copy the package into a tree and make the mistake there."""
    shutil.copytree(PACKAGE, tree / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    for patch in defect.patches:
        _apply(patch, tree / PACKAGE.name / patch.room, defect.name)


def _apply(patch: Patch, room: Path, name: str) -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(room.rglob("*.py"))}
    found = sum(text.count(patch.old) for text in texts.values())
    if found != 1:
        raise OperatorError(
            f"{name} cannot be planted: {patch.old!r} is found {found} times in {patch.room};"
            " write the patch anew"
        )
    path = next(path for path, text in texts.items() if patch.old in text)
    path.write_text(texts[path].replace(patch.old, patch.new), encoding="utf-8")


def show(defects: Iterable[Defect], say: Say) -> list[Shown]:
    """Play every scene once sound and then with each defect; one line of what came of each."""
    shown: list[Shown] = []
    controls: set[type[Scene]] = set()
    for defect in defects:
        if defect.scene not in controls:
            controls.add(defect.scene)
            shown.append(_told(control(defect.scene), say))
        shown.append(_told(show_one(defect), say))
    return shown


def show_one(defect: Defect) -> Shown:
    """Play a defect's scene against a daemon that has it."""
    began = Clock().steady_ns()
    with tempfile.TemporaryDirectory(prefix="risk-daemon-planted-") as folder:
        tree = Path(folder)
        plant(defect, tree)
        _assert_runs_from(tree)
        verdict = defect.scene(0, SEED, _nobody, tree, quiet=True).run()
    noticed = not verdict["ok"] and defect.tells(verdict)
    return _shown(defect.name, defect.scene, verdict, noticed, defect.told_by, began)


def control(scene: type[Scene]) -> Shown:
    """Play a scene against the daemon as it is: without a problem, or the scene proves nothing."""
    began = Clock().steady_ns()
    verdict = scene(0, SEED, _nobody, quiet=True).run()
    is_sound = bool(verdict["ok"]) and not verdict["problems"]
    return _shown("sound", scene, verdict, is_sound, "ok", began)


def _shown(
    name: str, scene: type[Scene], verdict: Verdict, noticed: bool, told_by: str, began: int
) -> Shown:
    figures = (
        "breaches",
        "answered",
        "late",
        "reversed",
        "increased",
        "duplicate",
        "false",
        "orphan_orders",
    )
    told = " ".join(f"{key}={verdict[key]}" for key in figures if verdict[key])
    first = next(iter(verdict["problems"]), "")
    return Shown(
        name=name,
        scene=scene.__name__.lower(),
        noticed=noticed,
        told_by=told_by,
        problem=f"{told}; {first}" if first else told,
        seconds=round((Clock().steady_ns() - began) / SECOND_NS, 1),
    )


def _assert_runs_from(tree: Path) -> None:
    """Ask a child where it would import the daemon from: an unpatched one would prove nothing."""
    words = [sys.executable, "-c", "import risk_daemon; print(risk_daemon.__file__)"]
    where = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=True,
        env=environment() | {"PYTHONPATH": str(tree)},
    ).stdout.strip()
    if not Path(where).is_relative_to(tree):
        raise OperatorError(f"the patched daemon would not run: {where} comes before {tree}")


def _told(shown: Shown, say: Say) -> Shown:
    word = "as it must be" if shown.noticed else "NOT as it must be"
    kind = "stage" if shown.noticed else "problem"
    say(kind, f"{shown.name} ({shown.scene}, {shown.seconds} s): {word}: {shown.problem}")
    return shown


def table(shown: list[Shown]) -> list[str]:
    """Return the result as aligned lines."""
    lines = [f"{'defect':<19} {'scene':<8} {'must show':<20} {'seconds':>7}  result"]
    for row in shown:
        result = ("ok" if row.name == "sound" else "noticed") if row.noticed else "NOT NOTICED"
        lines.append(f"{row.name:<19} {row.scene:<8} {row.told_by:<20} {row.seconds:>7}  {result}")
    return lines


def _nobody(kind: str, text: str) -> None:
    del kind, text
