"""Plays a vector: lines a trader could have written, and what the daemon then asks for.

    buy 6 MNQ @ 21000 fees 0.50      a fill (trade and position); also pnl, commissions, void, id
    order 11 buy 3 MNQ limit 20990   a working order; stop, market, child-of N, twin-of N
    cancelled 11                     the broker shows it ended
    done MNQ @ 20990                 our closing goal of the contract is sent, filled and settled
    mark MNQ 20990/20990.25          a quote
    act flatten-lock by anna         an operator's act; also `for 30m`
    wait 2s                          time passes
    check                            what the rule itself finds and allows
    read                             a stable read that agrees with what is shown

Every vector is played twice: as written, and mirrored (buys for sells).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from risk_daemon.core.account import Account
from risk_daemon.core.decision import Breach
from risk_daemon.core.events import (
    BreachFound,
    Fact,
    Intended,
    LockEnded,
    LockPlaced,
    OperatorActed,
)
from risk_daemon.core.instrument import parse as units
from risk_daemon.core.session import show_chicago
from risk_daemon.core.world import Parser
from risk_daemon.rules import CATALOG
from tests.build import ACCOUNT, MS, Stream, contract, order, position, reading, rule, trade

TYPES = {"limit": 1, "market": 2, "stop": 4}
SPANS = {"ms": MS, "s": 1_000 * MS, "m": 60_000 * MS, "h": 3_600_000 * MS}


class Script:
    """One vector being played."""

    def __init__(
        self, name: str, params: Mapping[str, Any], *, mirrored: bool, catalog: Mapping[str, Parser]
    ) -> None:
        mode = params.get("mode", "enforce")
        rest = {key: value for key, value in params.items() if key != "mode"}
        self.stream = Stream(catalog)
        self.stream.open(rule(name, mode, **rest))
        self._flip = -1 if mirrored else 1
        self._next = 1_000
        self._pending: dict[str, Intended] = {}

    @property
    def account(self) -> Account:
        return self.stream.account

    def play(self, line: str) -> list[str]:
        """Play one line; return in words what it made necessary."""
        words = line.split()
        if words == ["check"]:
            return [self._check()]
        verb = {"buy": "fill", "sell": "fill"}.get(words[0], words[0])
        outputs: list[Fact] = getattr(self, f"_{verb}")(words)
        for output in outputs:
            if isinstance(output, Intended) and output.goal.act in ("close", "reduce"):
                self._pending[output.goal.contract] = output
        return [text for output in outputs if (text := in_words(output))]

    def _side(self, word: str) -> int:
        return self._flip * (1 if word == "buy" else -1)

    def _number(self) -> int:
        self._next += 1
        return self._next

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
                words[4],
                contract=contract(words[2]),
                traded_at=self.account.booked[number].trade.traded_at,
                voided=True,
                **money,
            )
            shown = held.by_position - side * size
            return self.stream.feed(voided, position(shown, words[2]))
        return self.stream.fill(
            number, self._side(words[0]), int(words[1]), words[2], price=words[4], **money
        )

    def _order(self, words: list[str]) -> list[Fact]:
        number, side, size, root, kind = words[1], words[2], words[3], words[4], words[5]
        more: dict[str, Any] = {"type": TYPES[kind], "created": self.stream.at}
        if kind != "market":
            more[f"{kind}_price"] = units(words[6])
        rest = words[7 if kind != "market" else 6 :]
        pairs = dict(zip(rest[::2], rest[1::2], strict=True))
        if "child-of" in pairs:
            more |= {"parent": int(pairs["child-of"]), "status": 8}
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
        price = words[3] if len(words) > 3 else "21000"
        found += self.stream.fill(self._number(), side, size, words[1], price=price)
        return found + self.stream.settle(intended, request=request)

    def _mark(self, words: list[str]) -> list[Fact]:
        bid, ask = words[2].split("/")
        return self.stream.mark(words[1], bid, ask)

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

    def _check(self) -> str:
        ((_, found),) = self.stream.engine.rules_of(self.account)
        finding = found.check(self.stream.engine.world, self.account)
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
        return self.stream.feed(reading(*rows, began_at=self.stream.at))


def _span(text: str) -> int:
    found = re.fullmatch(r"(\d+)(ms|s|m|h)", text)
    assert found is not None, text
    return int(found[1]) * SPANS[found[2]]


def in_words(output: Fact) -> str:
    """Say an output as vectors do; alarms and looks are not part of them."""
    match output:
        case Intended(goal=goal) if goal.act != "look":
            root = goal.contract.split(".")[3]
            if goal.order:
                return f"{goal.act} {goal.order}" + (
                    f" to {goal.allowed}" if goal.act == "resize" else ""
                )
            return f"{goal.act} {root}" + (f" to {goal.allowed}" if goal.act == "reduce" else "")
        case LockPlaced():
            until = show_chicago(output.until) if output.until else "an admin ends it"
            return f"lock {output.mode} until {until.removesuffix(' Chicago')}"
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
    script = Script(name, vector["params"], mirrored=mirrored, catalog=catalog)
    rows = []
    for step in vector["steps"]:
        line, expected = (step, []) if isinstance(step, str) else next(iter(step.items()))
        expected = [expected] if isinstance(expected, str) else list(expected)
        rows.append((line, expected, script.play(line)))
    return rows
