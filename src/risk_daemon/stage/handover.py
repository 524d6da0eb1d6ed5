"""`./dev bench handover`: how long an account is unprotected while it changes hands.

Real processes, the simulated gateway, accounts with open positions, quotes flowing. In each round
limits are broken at offsets spread evenly over the 50 ms before and after the event (a move to
another release, a kill, a freeze). What is timed is the broker's own view: from the message that
shows the breach to the first closing request. *Unprotected* is that less the median of rounds in
which nothing happens; the raw figures stand beside it.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from risk_daemon.clock import SECOND_NS, Clock
from risk_daemon.core.events import GoalRefused, RequestSent
from risk_daemon.errors import OperatorError
from risk_daemon.journal.reserve import FILE as RESERVE
from risk_daemon.operations import daemon as asked
from risk_daemon.operations.home import Home
from risk_daemon.operations.stored import entries
from risk_daemon.operations.which_release import release
from risk_daemon.stage import figures, small_disk
from risk_daemon.stage.crowd import LIMIT, Crowd, hold
from risk_daemon.stage.gateway import Gateway
from risk_daemon.stage.opening import open_all
from risk_daemon.stage.play import Say
from risk_daemon.stage.second_release import install
from risk_daemon.stage.waiting import pause, until
from risk_daemon.supervisor import process
from risk_daemon.wire.client import JournalClient
from risk_daemon.wire.record import NewRecord

OTHER: Final = "v9.0.0"
CROWD: Final = Crowd(4, 5)
#: Breaches of one round: one of each login. Twenty within a tenth of a second keep two cores busy
#: for longer than any hand-over, and what would be timed is their queue.
AT_ONCE: Final = CROWD.logins
#: Of a journal, which must have stayed up before it is struck again: fewer rounds.
AT_ONCE_OF_A_JOURNAL: Final = CROWD.logins * 2
EXCESS: Final = 3
SPREAD_S: Final = 0.05
LEAD_S: Final = 0.25
SETTLE_WITHIN_S: Final = 20.0
STAYED_UP_S: Final = process.STAYED_UP / SECOND_NS
#: A minute until the broker's window has room again, and what a restart takes.
WHOLE_WITHIN_S: Final = 100.0
#: Of 200 in a minute: a round of an account costs a close, its reads, and those of a restart.
REQUESTS_USED_MAX: Final = 100
#: Bytes of a record that only takes room, and how many of them are more than a log keeps.
BALLAST, BALLAST_MAX = 250_000, 100
CLOSES: Final = ("/Position/closeContract", "/Position/partialCloseContract")
KINDS: Final = (
    "promote",
    "rollback",
    "kill_worker",
    "freeze_worker",
    "kill_journal",
    "freeze_journal",
    "kill_link",
    "freeze_link",
    "kill_supervisor",
)
#: By itself: its other release decides, and sends a second later, as if it had been frozen between.
STALE: Final = "stale"
LATE: Final = (
    "worker/loop.py",
    "        future = self.journal.intend(\n"
    "            account.account, intended.epoch, intended.key, new_record(intended)\n"
    "        )\n",
    "        record = new_record(intended)\n"
    "        future = asyncio.get_running_loop().create_future()\n"
    "        late = lambda: self.journal.intend(\n"
    "            account.account, intended.epoch, intended.key, record\n"
    "        )\n"
    "        asyncio.get_running_loop().call_later(1.0, late)\n",
)
FULL: Final = "disk_full"
#: Kinds that would spoil what is measured beside them, and why.
APART: Final[Mapping[str, str]] = {
    STALE: "its other release is late on purpose",
    FULL: "its home lies in memory, where nothing is slow",
}
#: How many breaches of a kind make its figures, where nobody says another number.
BREACHES: Final[Mapping[str, int]] = {
    "steady": 60,
    "promote": 500,
    "rollback": 500,
    "kill_worker": 200,
    "freeze_worker": 100,
    STALE: 250,
}
BREACHES_OF_OTHERS: Final = 50
DECIDED_AFTER_S: Final = 0.6
SENT_AFTER_S: Final = 1.5
#: What the worst of a planned hand-over may cost, in ms.
MAX_MS: Final[Mapping[str, float]] = {"promote": 200, "rollback": 200}
#: What each kind may cost at the 99th percentile, in ms.
P99_MAX_MS: Final[Mapping[str, float]] = {
    "promote": 50,
    "rollback": 50,
    "kill_worker": 100,
    "freeze_worker": 700,
    "kill_journal": 700,
    "freeze_journal": 1_400,
    "kill_link": 2_000,
    "freeze_link": 2_500,
    "kill_supervisor": 0,
    FULL: 500,
    # A breach that its first holder sends too late on purpose; the heir's own close is what counts.
    STALE: 3_000,
}
#: Room of the home's own file system, where its disk is to be full.
DISK: Final = 1_300 * small_disk.MEBIBYTE
#: What is left of it between two rounds: more than the reserve asks for.
LEFT: Final = 64 * small_disk.MEBIBYTE


type Event = Callable[[], None]


def nothing() -> None:
    """The event of a round in which nothing happens."""


class Handovers:
    """One run: a home with two releases, a gateway, and rounds of each kind."""

    def __init__(
        self, breaches: int | None, seed: int, say: Say, kinds: tuple[str, ...] = KINDS
    ) -> None:
        self._breaches, self._seed, self._say, self._kinds = breaches, seed, say, kinds
        self._clock = Clock()
        self._raw: dict[str, list[float]] = {}
        self._stale_refused = 0
        # Late requests are asked for again and looked after: they cost twice.
        self._used_max = REQUESTS_USED_MAX // 2 if STALE in kinds else REQUESTS_USED_MAX
        if len(kinds) > 1 and (apart := sorted({*kinds} & {*APART})):
            raise OperatorError(f"{apart[0]} is a run by itself: {APART[apart[0]]}")
        self._turn = 0

    def run(self, keep: Path | None = None) -> dict[str, Any]:
        """Play all rounds, and return the verdict."""
        with contextlib.ExitStack() as stack:

            def prepare(home: Path) -> None:
                if FULL in self._kinds:
                    home.mkdir()
                    small_disk.mount(DISK, home)
                    stack.callback(small_disk.unmount, home)

            self._gateway, self._daemon = open_all(
                stack, "handover", CROWD, self._seed, keep, prepare
            )
            self._home = Home(self._daemon.home)
            install(self._daemon.home, OTHER, *((LATE,) if STALE in self._kinds else ()))
            self._daemon.start()
            self._to(OTHER)
            self._to(release())
            hold(self._gateway, CROWD.accounts(), LIMIT)
            self._raw["steady"] = []
            if STALE not in self._kinds:  # where nothing is measured, nothing is compared
                self._series("steady", lambda: nothing)
            for kind in self._kinds:
                self._kind(kind)
            verdict = self._gateway.post("/finish", settle_s=SETTLE_WITHIN_S)
            self._daemon.run("stop", "--yes", "--reason", "the rounds are over").ok()
            return self._told(verdict)

    # --- kinds ---

    def _kind(self, kind: str) -> None:
        verb, _, what = kind.partition("_")
        if kind == "promote":
            self._series(kind, lambda: self._give_to(OTHER), lambda: self._to(release()))
        elif kind == "rollback":
            self._to(OTHER)
            self._series(kind, lambda: self._give_to(release()), lambda: self._to(OTHER))
            self._to(release())
        elif kind == STALE:
            self._to(OTHER)
            self._series(kind, lambda: self._take_over, lambda: self._to(OTHER))
            self._to(release())
        elif kind == FULL:
            self._leave_room()
            self._series(kind, lambda: self._fill, self._leave_room)
        elif what == "supervisor":
            self._series(kind, lambda: self._aim(verb, what), self._start)
        elif what == "link":
            self._links(kind)
        else:
            self._series(kind, lambda: self._aim(verb, what))

    def _links(self, kind: str) -> None:
        """Strike one link after the other: only the accounts of its own login have to wait."""
        verb, number = kind.partition("_")[0], 0
        while len(self._raw.get(kind, ())) < self._wanted(kind):
            login = number % CROWD.logins
            name, number = f"link-{CROWD.login(login)}", number + 1
            self._rested(name)
            self._one(kind, CROWD.accounts_of(login), partial(self._aim, verb, name))

    def _rested(self, name: str) -> None:
        """Wait until a process has stayed up: what ends again sooner is started later each time."""

        def stayed_up() -> bool:
            rows = {row["name"]: row for row in asked.status(self._home)["processes"]}
            return bool(rows[name]["since_s"] >= STAYED_UP_S)

        until(stayed_up, WHOLE_WITHIN_S, f"{name} to stay up", every_s=0.5)

    def _aim(self, verb: str, what: str) -> Event:
        """Find who is to be struck; the blow itself then takes no time."""
        struck = self._daemon.processes()[self._active() if what == "worker" else what]
        return struck.kill if verb == "kill" else struck.suspend

    def _take_over(self) -> None:
        """Move what is decided and not sent; then let it be sent, and count what is refused."""
        pause(DECIDED_AFTER_S)
        self._to(release())
        pause(SENT_AFTER_S)
        self._stale_refused = int(asked.journal_status(self._home)["stale_refused"])

    def _leave_room(self) -> None:
        small_disk.fill(self._home.path, LEFT)
        reserve = self._home.state / RESERVE
        until(reserve.exists, SETTLE_WITHIN_S, "the journal's reserve")

    def _fill(self) -> None:
        fill_disk(self._home)

    def _active(self) -> str:
        rows = asked.status(self._home)["accounts"]
        return str(rows[0]["holder"])

    def _start(self) -> None:
        self._daemon.run("start").ok()

    def _to(self, to: str) -> None:
        move(self._home, to)

    def _give_to(self, to: str) -> Event:
        return partial(move, self._home, to)

    # --- rounds ---

    def _series(self, kind: str, aim: Callable[[], Event], after: Event = nothing) -> None:
        is_journals = kind.endswith("_journal")
        groups = in_turn(CROWD, AT_ONCE_OF_A_JOURNAL if is_journals else AT_ONCE)
        while len(self._raw.get(kind, ())) < self._wanted(kind):
            if is_journals:
                self._rested("journal")
            self._one(kind, next(groups), aim, after)

    def _one(
        self,
        kind: str,
        mine: list[int],
        aim: Callable[[], Event],
        after: Event = nothing,
    ) -> None:
        """Play a round, make all whole again, and say what came of it."""
        found = self._round(kind, mine, aim())
        after()
        self._make_whole()
        told = self._raw.setdefault(kind, [])
        told.extend(found)
        worst = max(found, default=0.0)
        self._say(kind, f"{len(told)} of {self._wanted(kind)} breaches: worst {worst:.1f} ms")

    def _wanted(self, kind: str) -> int:
        """Return how many breaches of a kind are sent at least."""
        return self._breaches or BREACHES.get(kind, BREACHES_OF_OTHERS)

    def _round(self, kind: str, mine: list[int], event: Event) -> list[float]:
        """Break every limit around one event; return each breach's time to its first close."""
        gateway = self._gateway
        lines = len(gateway.get("/happenings")["happenings"])
        sent = max((row["n"] for row in gateway.get("/requests")["requests"]), default=0)
        if kind not in ("steady", "promote", "rollback"):
            gateway.post("/window", login=None, seconds=5.0, why=kind)
        began = self._clock.steady_ns()
        gateway.post("/scenario", begins="ready", timeline=self._orders(mine))
        self._wait_until(began + int(LEAD_S * SECOND_NS))
        event()
        until(
            lambda: self._settled(mine, lines), SETTLE_WITHIN_S, f"every breach of a {kind} round"
        )
        shown = first_shown(gateway.get(f"/happenings?after={lines}")["happenings"])
        closed = closes(gateway.get(f"/requests?after={sent}")["requests"])
        return [
            min(at for at in closed[account] if at >= shown[account]) - shown[account]
            for account in mine
        ]

    def _orders(self, mine: list[int]) -> list[dict[str, Any]]:
        """One order each, at offsets that cover the time around the event evenly, in any order."""
        steps = []
        for account in mine:
            self._turn += 1
            share = self._turn * 0.618_033_988_749_895 % 1  # the golden ratio: evenly, never twice
            at = LEAD_S + SPREAD_S * (2 * share - 1)
            order = {"account": account, "contract": "MNQ", "side": "buy", "size": EXCESS}
            steps.append({"at": round(at, 4), "order": order | {"type": "market"}})
        return steps

    def _wait_until(self, steady_ns: int) -> None:
        left = steady_ns - self._clock.steady_ns()
        if left > 0:
            pause(left / SECOND_NS)

    def _settled(self, mine: list[int], lines: int) -> bool:
        """Every account was seen above its limit, and is back at it with nothing on its way."""
        told = self._gateway.get(f"/happenings?after={lines}")["happenings"]
        if len(first_shown(told)) < len(mine):
            return False
        rows = {row["account"]: row for row in self._gateway.get("/truth")["accounts"]}
        held = [sum(int(one["q"]) for one in rows[account]["positions"]) for account in mine]
        return all(size == LIMIT for size in held) and not self._gateway.get("/unsettled")["n"]

    def _make_whole(self) -> None:
        """Before the next round: both pairs warm, every link trusted, requests to spare."""

        def whole() -> bool:
            try:
                rows = asked.status(self._home)
            except OperatorError:
                return False
            workers = [one for one in rows["processes"] if one["name"].startswith("worker-")]
            beating = all(one["heartbeat_age_ms"] is not None for one in workers)
            used = self._gateway.get("/budget").values()
            return (
                beating
                and len(workers) == 4
                and all(row["used"] <= self._used_max for row in used)
                and self._daemon.run("health").code == 0
            )

        until(whole, WHOLE_WITHIN_S, "every process to be back", every_s=0.2)

    # --- the verdict ---

    def _told(self, verdict: dict[str, Any]) -> dict[str, Any]:
        steady = figures.quantile(self._raw["steady"], 0.5) or 0.0
        kinds = {kind: told_kind(self._raw[kind], steady) for kind in self._kinds}
        stale = stale_requests(self._home.path / "state" / "journal.db")
        problems = [str(text) for text in verdict["problems"]]
        counts = {
            "reversed": verdict["reversed"],
            "increased": verdict["increased"],
            "duplicate_closes": verdict["duplicate"],
            **stale,
            "stale_refused": stale["stale_refused"] + self._stale_refused,
        }
        for kind, row in kinds.items():
            if row["p99_ms"] > P99_MAX_MS[kind]:
                problems.append(f"{kind}: p99 {row['p99_ms']} ms, allowed {P99_MAX_MS[kind]}")
            if row["max_ms"] > MAX_MS.get(kind, row["max_ms"]):
                problems.append(f"{kind}: worst {row['max_ms']} ms, allowed {MAX_MS[kind]}")
        zero = ("reversed", "increased", "duplicate_closes", "stale_accepted")
        problems += [f"{name}: {counts[name]}" for name in zero if counts[name]]
        # Some breaches are seen too late to be decided by the late one at all.
        if STALE in self._kinds and counts["stale_refused"] * 5 < self._wanted(STALE) * 4:
            problems.append(f"stale_refused: {counts['stale_refused']} of {self._wanted(STALE)}")
        return {
            "ok": not problems,
            "kinds": kinds,
            "steady": figures.summary([round(one, 3) for one in self._raw["steady"]]),
            **counts,
            "host": figures.host(self._home.path),
            "problems": problems,
        }


def in_turn(crowd: Crowd, size: int) -> Iterator[list[int]]:
    """Yield groups of accounts, of each login as many as of any other; everyone has their turn."""
    rows = zip(*map(crowd.accounts_of, range(crowd.logins)), strict=True)
    by_turn = [one for row in rows for one in row]
    endless = itertools.cycle(by_turn)
    while True:
        yield list(itertools.islice(endless, size))


def fill_disk(home: Home) -> None:
    """Leave no room where a home lies, and write until its journal has noticed."""
    small_disk.fill(home.path)

    async def weigh(journal: JournalClient) -> bool:
        for _ in range(BALLAST_MAX):
            await journal.append([NewRecord("ballast", 0, bytes(BALLAST))])
            if (await journal.ask("status")).data["is_tight"]:
                return True
        return False

    if not asked.with_journal(home, weigh):
        raise OperatorError("the disk was filled, and the journal did not notice")


def move(home: Home, to: str, within_s: float = 60.0) -> None:
    """Give every account to a release; OperatorError names the first one that stayed, and why."""
    answer = asked.ask(home, asked.SUPERVISOR, "move", {"release": to}, within_s)
    kept = [row for row in answer["accounts"] if not row["moved"]]
    if kept:
        raise OperatorError(f"account {kept[0]['account']} was not moved: {kept[0]['why']}")


def told_kind(raw: list[float], steady: float) -> dict[str, Any]:
    """Summarise one kind: time unprotected, and the raw time to the first close beside it."""
    beyond = [max(one - steady, 0.0) for one in raw]
    told: dict[str, Any] = {"n": len(raw)}
    for name, share in (("p50_ms", 0.5), ("p99_ms", 0.99), ("max_ms", 1.0)):
        told[name] = round(figures.quantile(beyond, share) or 0.0, 1)
    told["raw_p50_ms"] = round(figures.quantile(raw, 0.5) or 0.0, 1)
    told["raw_p99_ms"] = round(figures.quantile(raw, 0.99) or 0.0, 1)
    return told


def first_shown(lines: Iterable[dict[str, Any]]) -> dict[int, float]:
    """Return, for each account, when its first breach could be known (ms, monotonic)."""
    shown: dict[int, float] = {}
    for line in lines:
        if line["kind"] == "visible":
            shown.setdefault(line["account"], line["ns"] / 1e6)
    return shown


def closes(rows: Iterable[dict[str, Any]]) -> dict[int, list[float]]:
    """Return, for each account, when closing requests arrived (ms, monotonic)."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if row["path"] in CLOSES:
            found.setdefault(row["account"], []).append(row["mono_ms"])
    return found


def answered(gateway: Gateway, accounts: Iterable[int]) -> list[int]:
    """Return the accounts whose breach was shown, and met by a closing request after it."""
    shown = first_shown(gateway.get("/happenings")["happenings"])
    closed = closes(gateway.get("/requests")["requests"])
    return [
        one
        for one in accounts
        if one in shown and any(at >= shown[one] for at in closed.get(one, ()))
    ]


def stale_requests(file: Path) -> dict[str, int]:
    """Count what left under an epoch that the link knew to be over, and what was refused.

    The journal's order does not tell: a goal stored before the raise may leave before the link sees
    the raise, and that it left is stored after both. So: the link's word of what it had seen, and
    its earlier requests.
    """
    left: dict[int, int] = {}
    accepted = refused = 0
    for entry in entries(file, ("request-sent", "goal-refused")):
        match entry.fact:
            case RequestSent(account=account, epoch=epoch, highest=highest) if highest:
                left[account] = max(left.get(account, 0), epoch)
                accepted += epoch < max(highest, left[account])
            case GoalRefused(why=why):
                refused += "epoch" in why
            case _:
                pass
    return {"stale_accepted": accepted, "stale_refused": refused}


def in_words(verdict: dict[str, Any]) -> list[str]:
    """Say the verdict as a person would."""
    steady = verdict["steady"]
    lines = [f"nothing happens: {steady['n']} breaches, {steady['p50']} ms to the first close"]
    for kind, row in verdict["kinds"].items():
        lines.append(
            f"{kind.replace('_', ' ')}: {row['n']} breaches, unprotected {row['p50_ms']} ms"
            f" (median), {row['p99_ms']} ms (p99), {row['max_ms']} ms (worst)"
        )
    lines += [f"problem: {text}" for text in verdict["problems"][:20]]
    lines.append("verdict: ok" if verdict["ok"] else "verdict: NOT ok")
    return lines


def page_of(verdict: dict[str, Any], written: str, host: str) -> str:
    """Write the page of the figures."""
    rows = "\n".join(
        f"| {kind.replace('_', ' ')} | {row['n']} | {row['p50_ms']} | {row['p99_ms']} |"
        f" {row['max_ms']} | {P99_MAX_MS[kind]:g} |"
        for kind, row in verdict["kinds"].items()
    )
    counts = ", ".join(
        f"{name.replace('_', ' ')} {verdict[name]}"
        for name in ("reversed", "increased", "duplicate_closes", "stale_accepted", "stale_refused")
    )
    return f"""# How long an account is unprotected while it changes hands

Written by `./dev bench handover --write` on {written}; {host}. Limits are broken at offsets spread
evenly over 50 ms before and after each event, on {AT_ONCE} of {len(CROWD.accounts())} accounts
that hold positions ({AT_ONCE_OF_A_JOURNAL} where it is the journal, a login's {CROWD.each} where it
is its link). *Unprotected* is the time from the message that shows the breach to the first closing
request, both as the simulated broker saw them, less the median of rounds in which nothing happens
({verdict["steady"]["p50"]} ms).
Milliseconds; *allowed* is for the 99th percentile.

| event | n | median | p99 | worst | allowed |
|---|---|---|---|---|---|
{rows}

Of all of it: {counts}.

A frozen process is first waited for (a worker for 500 ms, journal and link for 600 ms, or a second
where they are seen at work), then killed. A link that begins anew acts before its streams are back,
as soon as it has read an account; a request that left, and whose outcome nobody knows, is looked
for twice before another one may leave.
"""
