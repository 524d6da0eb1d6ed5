"""Fault scenarios with real processes: a gateway, a daemon, and what became of each scenario.

A scenario is a file of the simulated gateway. It belongs to one login; those of different logins
run beside each other, so that three dozen faults take the time of one dozen.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.errors import TimedOut
from risk_daemon.stage.daemon import Daemon
from risk_daemon.stage.gateway import SCENARIOS, Gateway, wednesday_offset_s
from risk_daemon.stage.scenes import SLOW_FILLS
from risk_daemon.stage.waiting import pause, until

FOLDER: Final = SCENARIOS / "faults"
FILES: Final = {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
PLAYED_WITHIN_S: Final = 20.0
#: What a trader is promised: every breach is answered so long after the fault at the latest.
ANSWERED_WITHIN_S: Final = 5.0
AGREE_WITHIN_S: Final = 5.0
EVENTS: Final = 500
LOGINS: Final = ("", "east", "west", "south", "north", "middle")
#: How many scenarios run at a time: two cores carry so many without being late by themselves.
AT_A_TIME: Final = 5
#: These need reads, of which a minute has few: they come first on their login.
READING: Final = ("account-disappears", "refused-for-six-seconds", "voided-trade")
LOOK_EVERY_S: Final = 0.1
FOLLOW_EVERY_S: Final = 1.0
MARKET: Final = 2
CENT: Final = 0.01
AT_ONCE_NS: Final = 100_000_000


@dataclass
class Trial:
    """What one scenario came to."""

    name: str
    refused: list[str] = field(default_factory=list)
    happened: list[dict[str, Any]] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    hubs_opened: int = 0
    took_s: float = 0.0

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """Happenings of these kinds, of this scenario's login."""
        return [row for row in self.happened if row["kind"] in kinds]

    def told_after_s(self, kind: str, words: str) -> float | None:
        """Seconds from the fault until people were told so, None if they were not."""
        begins = datetime.fromisoformat(self.of("fault")[0]["at"])
        for row in self.events:
            if row["kind"] == kind and words in row["words"]:
                return (datetime.fromisoformat(row["at"]) - begins).total_seconds()
        return None

    def breaches_by_phase(self) -> tuple[int, int, int]:
        """Breaches that began before and during the fault with its consequences, and after it."""
        begins = min(row["ns"] for row in self.of("fault"))
        ends = max(row["ns"] for row in self.of("fault-over"))
        if ends - begins < AT_ONCE_NS:  # what it broke is the fault's time then
            ends = max(row["ns"] for row in self.of("window-over"))
        counts = [0, 0, 0]
        for row in self.of("breach"):
            counts[0 if row["ns"] < begins else 1 if row["ns"] <= ends else 2] += 1
        return counts[0], counts[1], counts[2]


class Trials:
    """One gateway and one daemon that guards its accounts."""

    def __init__(self, gateway: Gateway, daemon: Daemon) -> None:
        self.gateway, self.daemon = gateway, daemon

    def run(self, names: Iterable[str]) -> dict[str, Trial]:
        """Run scenarios: one after the other on each login, the logins beside each other."""
        lanes: dict[str, list[str]] = {}
        for name in sorted(names, key=lambda name: (name not in READING, name)):
            lanes.setdefault(login_of(name), []).append(name)
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            played = pool.map(lambda lane: [self.play(name) for name in lane], lanes.values())
            return {trial.name: trial for lane in played for trial in lane}

    def play(self, name: str) -> Trial:
        """Play one scenario to its end, and compare the books."""
        trial, login = Trial(name), login_of(name)
        began = Clock().steady_ns()
        said = len(self.gateway.get("/happenings")["happenings"])
        seq, hubs = self._last_seq(), self._newest_hub(login)
        scenario = YAML(typ="safe").load(FILES[name])
        kinds = {step["fault"]["kind"] for step in scenario["timeline"] if "fault" in step}
        _until(lambda: self._is_calm(login), AGREE_WITHIN_S, "the login to be whole")
        number = self.gateway.post("/scenario", **scenario | {"begins": "ready"})["scenario"]
        self._follow(trial, seq, max(step["at"] for step in scenario["timeline"]))
        try:
            _until(lambda: self._is_played(number), PLAYED_WITHIN_S, f"{name} to be played")
            _until(lambda: self._is_answered(login), ANSWERED_WITHIN_S, "every breach's answer")
        except TimedOut as timed_out:
            trial.late.append(str(timed_out))
        answers = self.gateway.get(f"/scenario?n={number}")["answers"]
        trial.refused = [str(one) for one in answers if one.get("error") or one.get("code")]
        with contextlib.suppress(TimedOut):
            _until(lambda: self._is_calm(login), AGREE_WITHIN_S, "the login to be whole")
            _until(lambda: not self._differences(login), AGREE_WITHIN_S, "the books to agree")
            _until(
                lambda: _is_over(self._happenings(login, kinds, said)), AGREE_WITHIN_S, "the end"
            )
        trial.differences = self._differences(login)
        trial.happened = self._happenings(login, kinds, said)
        self._follow(trial, seq, 0)
        trial.hubs_opened = self._newest_hub(login) - hubs
        trial.took_s = (Clock().steady_ns() - began) / SECOND_NS
        return trial

    # --- what is seen --------------------------------------------------------

    def _is_played(self, number: int) -> bool:
        return bool(self.gateway.get(f"/scenario?n={number}")["is_over"])

    def _is_answered(self, login: str) -> bool:
        if any(row["type"] == MARKET for one in self._truths(login) for row in one["working"]):
            return False  # asked first: a fill after the verdict would not be in it
        accounts = self._accounts(login)
        counts = self.gateway.get("/verdict")["by_account"].items()
        rows = [row for number, row in counts if int(number) in accounts]
        return all(row["answered"] == row["breaches"] for row in rows)

    def _is_calm(self, login: str) -> bool:
        return bool(self.gateway.get("/connections")["logins"][login]["is_whole"])

    def _truths(self, login: str) -> list[dict[str, Any]]:
        rows = self.gateway.get("/truth")["accounts"]
        return [row for row in rows if row["login"] == login]

    def _accounts(self, login: str) -> set[int]:
        return {row["account"] for row in self._truths(login)}

    def _happenings(self, login: str, kinds: set[str], after: int) -> list[dict[str, Any]]:
        accounts = self._accounts(login)
        rows = self.gateway.get(f"/happenings?after={after}")["happenings"]
        return [
            row for row in rows if row["account"] in accounts or _is_of(row["text"], login, kinds)
        ]

    def _newest_hub(self, login: str) -> int:
        hubs = self.gateway.get("/connections")["logins"][login]["hubs"]
        return max((int(hub["id"]) for hub in hubs), default=0)

    def _last_seq(self) -> int:
        events = self.daemon.api("/api/v1/events?limit=1")["events"]
        return int(events[-1]["seq"]) if events else 0

    def _follow(self, trial: Trial, seq: int, seconds: float) -> None:
        """Note the events of so many seconds: the console keeps the latest only."""
        began = Clock().steady_ns()
        while True:
            rows = self.daemon.api(f"/api/v1/events?limit={EVENTS}")["events"]
            seq = max([seq, *(one["seq"] for one in trial.events)])
            trial.events += [row for row in rows if row["seq"] > seq]
            left_s = seconds - (Clock().steady_ns() - began) / SECOND_NS
            if left_s <= 0:
                return
            pause(min(left_s, FOLLOW_EVERY_S))

    def _differences(self, login: str) -> list[str]:
        """Name each position, order and amount that the daemon shows otherwise than the broker."""
        shown = {row["account"]: row for row in self.daemon.api("/api/v1/accounts")["accounts"]}
        found = []
        for truth in self._truths(login):
            view = shown.get(truth["account"])
            if view is None:
                continue  # an account that nobody configured
            for what, ours, theirs in _pairs(view, truth):
                if ours != theirs:
                    found.append(f"{truth['account']}: {what} {ours}, at the broker {theirs}")
        return found


def _is_of(text: str, login: str, kinds: set[str]) -> bool:
    """Tell whether a line about a fault is about one of these kinds on this login."""
    return bool(kinds & {*text.split()}) and text.endswith((login, "every login"))


def _is_over(happened: list[dict[str, Any]]) -> bool:
    kinds = [row["kind"] for row in happened]
    return kinds.count("fault") == kinds.count("fault-over") == kinds.count("window-over")


def _until(holds: Callable[[], bool], within_s: float, what: str) -> None:
    """Look seldom: whoever looks all the time is what the gateway is busy with."""
    until(holds, within_s, what, LOOK_EVERY_S)


def _pairs(view: dict[str, Any], truth: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    yield (
        "positions",
        {row["contract"]: row["quantity"] for row in view["positions"]},
        {row["contract"]: row["q"] for row in truth["positions"]},
    )
    yield (
        "orders",
        {row["order"] for row in view["orders"]},
        {row["id"] for row in truth["working"]},
    )
    for money in ("realized", "balance"):
        ours, theirs = float(view[money]), float(truth[money])
        # The gateway tells half cents rounded.
        yield money, ours, ours if abs(ours - theirs) < CENT else theirs
    yield "feed", view["feed"], "trusted"


def login_of(name: str) -> str:
    """The login a scenario is played on, told by the accounts of its orders."""
    steps = YAML(typ="safe").load(FILES[name])["timeline"]
    account = next(step["order"]["account"] for step in steps if "order" in step)
    return LOGINS[account // 100 % 10]


@contextlib.contextmanager
def guarded(folder: Path, *, shift_s: float = 0.0) -> Iterator[Trials]:
    """A gateway and a daemon that guards it, `shift_s` seconds after Wednesday, 10:00 Chicago."""
    offset_s = wednesday_offset_s(Clock()) + shift_s
    config = folder / "faults.yaml"
    config.write_text((SCENARIOS / "faults.yaml").read_text())
    gateway, daemon = Gateway(folder, config=config, offset_s=offset_s), Daemon(folder / "home")
    try:
        gateway.post("/profile", **SLOW_FILLS)
        daemon.found(gateway, offset_s)
        daemon.start()
        yield Trials(gateway, daemon)
    finally:
        daemon.stop()
        gateway.stop()
