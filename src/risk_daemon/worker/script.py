"""Plays a vector: lines a trader could have written, and what the daemon then asks for.

    buy 6 MNQ @ 21000 fees 0.50      a fill (trade and position); also pnl, commissions, void, id
    order 11 buy 3 MNQ limit 20990   a working order; stop, market, child-of N, twin-of N
    cancelled 11                     the broker shows it ended
    done MNQ @ 20990                 our closing goal of the contract is sent, filled and settled
    mark MNQ 20990/20990.25          a quote
    print MNQ 20990                  a trade of the market
    balance 49000                    the broker's word for the balance
    act flatten-lock by anna         an operator's act; also `for 30m`
    wait 2s                          time passes
    clock 15:08:00                   time passes until then, in Chicago
    next day                         time passes until the next reset
    blind, trusted                   the session of the login
    check                            what the rule itself finds and allows
    figures                          what it observes, and against what
    read                             a stable read that agrees with what is shown
    adopt 2 MNQ @ 21000              a stable read that shows a position nobody had seen
    restart                          the account is written, and read by another engine

Every vector is played twice: as written, and mirrored (buys for sells). Where
it names a `pivot` for a root, that root's prices are mirrored at it.
A vector may begin `at` another time than Wednesday 18 November, 10:00 Chicago.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from risk_daemon.core.account import Account
from risk_daemon.core.decision import Breach, Clear, Finding, Several
from risk_daemon.core.engine import Engine
from risk_daemon.core.events import (
    AccountSeen,
    BreachFound,
    Fact,
    FeedChanged,
    Intended,
    LockEnded,
    LockPlaced,
    OperatorActed,
    PrintSeen,
)
from risk_daemon.core.instrument import parse as units
from risk_daemon.core.instrument import show
from risk_daemon.core.session import show_chicago, show_utc
from risk_daemon.core.world import (
    Parser,
    decode_account,
    decode_surroundings,
    encode_account,
    encode_surroundings,
)
from risk_daemon.rules import CATALOG
from risk_daemon.worker.invented import (
    ACCOUNT,
    LOGIN,
    MS,
    SECOND,
    Stream,
    contract,
    order,
    position,
    reading,
    rule,
    trade,
)

TYPES = {"limit": 1, "market": 2, "stop-limit": 3, "stop": 4, "trailing": 5}
#: The executor's own looks: while a close is under way, and beside a liquidating platform.
LADDER = r":(look-|platform)"
SPANS = {"ms": MS, "s": 1_000 * MS, "m": 60_000 * MS, "h": 3_600_000 * MS}


class Script:
    """One vector being played."""

    def __init__(
        self, name: str, vector: Mapping[str, Any], *, mirrored: bool, catalog: Mapping[str, Parser]
    ) -> None:
        params = vector["params"]
        mode = params.get("mode", "enforce")
        rest = {key: value for key, value in params.items() if key != "mode"}
        self.stream = Stream(catalog)
        if "at" in vector:
            self.stream.at = chicago(vector["at"])
        self.stream.open(rule(name, mode, **rest))
        self._flip = -1 if mirrored else 1
        self._pivots = vector.get("pivot", {}) if mirrored else {}
        self._last = 1_000
        self._pending: dict[str, Intended] = {}

    @property
    def account(self) -> Account:
        """The account as the engine has it."""
        return self.stream.account

    def play(self, line: str) -> list[str]:
        """Play one line; return in words what it made necessary."""
        words = line.split()
        if words == ["check"]:
            return [self._check()]
        if words == ["figures"]:
            return [self._figures()]
        verb = {"buy": "fill", "sell": "fill"}.get(words[0], words[0])
        outputs: list[Fact] = getattr(self, f"_{verb}")(words)
        for output in outputs:
            if isinstance(output, Intended) and output.goal.act in ("close", "reduce"):
                self._pending[output.goal.contract] = output
        return [text for output in outputs if (text := in_words(output))]

    def _side(self, word: str) -> int:
        return self._flip * (1 if word == "buy" else -1)

    def _price(self, root: str, text: str) -> str:
        """Return a price as written, or mirrored at the root's pivot."""
        if root not in self._pivots:
            return text
        return show(2 * units(str(self._pivots[root])) - units(text))

    def _number(self) -> int:
        self._last += 1
        return self._last

    def _fill(self, words: list[str]) -> list[Fact]:
        more = dict(zip(words[5::2], words[6::2], strict=False))
        number = int(more.get("id", self._number()))
        money: dict[str, Any] = {
            key: units(more[key]) for key in ("pnl", "fees", "commissions") if key in more
        }
        if more.get("void"):
            held = self.account.holding(contract(words[2]))
            side, size = self._side(words[0]), int(words[1])
            voided = trade(
                number,
                side,
                size,
                self._price(words[2], words[4]),
                contract=contract(words[2]),
                traded_at=self.account.booked[number].trade.traded_at,
                voided=True,
                **money,
            )
            shown = held.by_position - side * size
            return self.stream.feed(voided, position(shown, words[2]))
        price = self._price(words[2], words[4])
        return self.stream.fill(
            number, self._side(words[0]), int(words[1]), words[2], price=price, **money
        )

    def _order(self, words: list[str]) -> list[Fact]:
        number, side, size, root, kind = words[1], words[2], words[3], words[4], words[5]
        more: dict[str, Any] = {"type": TYPES[kind], "created": self.stream.at}
        if kind == "trailing" and words[6] == "unpriced":
            pass
        elif kind != "market":
            field = "limit_price" if kind == "limit" else "stop_price"
            more[field] = units(self._price(root, words[6]))
        rest = words[7 if kind != "market" else 6 :]
        pairs = dict(zip(rest[::2], rest[1::2], strict=True))
        if "child-of" in pairs:
            more |= {"parent": int(pairs["child-of"]), "status": 8}
        if "status" in pairs:
            more["status"] = int(pairs["status"])
        if "twin-of" in pairs:
            more["linked"] = int(pairs["twin-of"])
        return self.stream.feed(order(int(number), self._side(side), int(size), root, **more))

    def _cancelled(self, words: list[str]) -> list[Fact]:
        return self.stream.feed(
            msgspec.structs.replace(self.account.orders[int(words[1])], status=3)
        )

    def _done(self, words: list[str]) -> list[Fact]:
        name = contract(words[1])
        intended = self._pending.pop(name)
        held = self.account.holding(name)
        size = abs(held.enforceable) - intended.goal.allowed
        side = -1 if held.enforceable > 0 else 1
        found = self.stream.send(intended, request := f"r{self._number()}")
        price = self._price(words[1], words[3] if len(words) > 3 else "21000")
        found += self.stream.fill(self._number(), side, size, words[1], price=price)
        return found + self.stream.settle(intended, request=request)

    def _mark(self, words: list[str]) -> list[Fact]:
        bid, ask = (self._price(words[1], text) for text in words[2].split("/"))
        if words[1] in self._pivots:
            bid, ask = ask, bid
        return self.stream.mark(words[1], bid, ask)

    def _print(self, words: list[str]) -> list[Fact]:
        price = units(self._price(words[1], words[2]))
        return self.stream.feed(PrintSeen(contract=contract(words[1]), price=price))

    def _balance(self, words: list[str]) -> list[Fact]:
        return self.stream.feed(
            AccountSeen(
                account=ACCOUNT,
                login=LOGIN,
                name="NORTH-1",
                balance=units(words[1]),
                can_trade=True,
            )
        )

    def _blind(self, words: list[str]) -> list[Fact]:
        return self.stream.feed(FeedChanged(login=LOGIN, state=words[0]))

    _trusted = _blind

    def _clock(self, words: list[str]) -> list[Fact]:
        day = show_utc(self.stream.at)[:10]
        return self.stream.pulse(chicago(f"{day} {words[1]}") - self.stream.at)

    def _next(self, words: list[str]) -> list[Fact]:
        del words
        return self.stream.pulse(self.account.next_reset - self.stream.at)

    def _adopt(self, words: list[str]) -> list[Fact]:
        price = self._price(words[2], words[4])
        shown = position(self._side("buy") * int(words[1]), words[2], price)
        return self.stream.feed(reading(shown, began_at=self.stream.at))

    def _restart(self, words: list[str]) -> list[Fact]:
        del words
        before = self.stream.engine
        world = decode_surroundings(encode_surroundings(before.world))
        world.accounts[ACCOUNT] = decode_account(encode_account(self.account))
        self.stream.engine = Engine(before.catalog, world)
        return []

    def _act(self, words: list[str]) -> list[Fact]:
        until = None
        if "for" in words:
            until = self.stream.at + _span(words[words.index("for") + 1])
        return self.stream.feed(
            OperatorActed(
                account=ACCOUNT,
                act=words[1],
                by=words[3],
                reason="because",
                act_id=f"act-{self._number()}",
                until=until,
            )
        )

    def _found(self) -> Finding:
        ((_, found),) = self.stream.engine.rules_of(self.account)
        finding = found.check(self.stream.engine.world, self.account)
        return finding.breaches[0] if isinstance(finding, Several) else finding

    def _figures(self) -> str:
        finding = self._found()
        assert isinstance(finding, Breach | Clear)
        return f"{finding.observed} against {finding.limit}"

    def _check(self) -> str:
        finding = self._found()
        if not isinstance(finding, Breach):
            return type(finding).__name__.lower()
        caps = [f"{name.split('.')[3]} {size}" for name, size in finding.remedy.allowed]
        return f"breach, allows {', '.join(caps) or 'nothing less'}"

    def _wait(self, words: list[str]) -> list[Fact]:
        return self.stream.pulse(_span(words[1]))

    def _read(self, words: list[str]) -> list[Fact]:
        del words
        account = self.account
        rows: list[Fact] = [
            position(held.by_position, name.split(".")[3], "21000")
            for name, held in sorted(account.holdings.items())
            if held.by_position
        ]
        rows += [account.orders[number] for number in sorted(account.orders)]
        assert account.balance is not None
        return self.stream.feed(reading(*rows, began_at=self.stream.at, balance=account.balance))


def chicago(text: str) -> int:
    """Return the instant of "2026-11-18 15:08:00" in Chicago."""
    moment = dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("America/Chicago"))
    return int(moment.timestamp()) * SECOND


def _span(text: str) -> int:
    found = re.fullmatch(r"(\d+)(ms|s|m|h)", text)
    assert found is not None, text
    return int(found[1]) * SPANS[found[2]]


def in_words(output: Fact) -> str:
    """Say an output as vectors do; alarms and the ladder's looks are not part of them."""
    match output:
        case Intended(goal=goal, key=key) if goal.act == "look" and not re.search(LADDER, key):
            return f"look {goal.contract.split('.')[3]}" if goal.contract else "look"
        case Intended(goal=goal) if goal.act != "look":
            root = goal.contract.split(".")[3]
            if goal.order:
                return f"{goal.act} {goal.order}" + (
                    f" to {goal.allowed}" if goal.act == "resize" else ""
                )
            return f"{goal.act} {root}" + (f" to {goal.allowed}" if goal.act == "reduce" else "")
        case LockPlaced():
            until = show_chicago(output.until) if output.until else "an admin ends it"
            scope = f" on {output.scope}" if output.scope else ""
            return f"lock {output.mode}{scope} until {until.removesuffix(' Chicago')}"
        case LockEnded():
            return "lock ended"
        case BreachFound(mode=mode) if mode != "enforce":
            return f"breach ({mode})"
        case _:
            return ""


def play(
    name: str,
    vector: Mapping[str, Any],
    *,
    mirrored: bool,
    catalog: Mapping[str, Parser] = CATALOG,
) -> list[tuple[str, list[str], list[str]]]:
    """Play a vector; return (line, what is expected, what came) for each of its lines."""
    script = Script(name, vector, mirrored=mirrored, catalog=catalog)
    rows = []
    for step in vector["steps"]:
        line, expected = (step, []) if isinstance(step, str) else next(iter(step.items()))
        expected = [expected] if isinstance(expected, str) else list(expected)
        rows.append((line, expected, script.play(line)))
    return rows
