"""The state of everything a worker folds, how it is written, and what a rule is.

The canonical encoding is a state's identity: active, standby and replay compare
it, and a snapshot is nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from risk_daemon.core.account import Account, in_order
from risk_daemon.core.decision import Finding, Quiet
from risk_daemon.core.events import Fact, MarkChanged
from risk_daemon.core.instrument import Instrument
from risk_daemon.core.marks import Market
from risk_daemon.schemas import SNAPSHOTS

STATE_SCHEMA: Final = SNAPSHOTS[1]


class World(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The state of everything a worker folds. `marks` are the valid ones of `markets`."""

    seq: int = 0
    at: int = 0
    instruments: dict[str, Instrument] = msgspec.field(default_factory=dict)
    marks: dict[str, MarkChanged] = msgspec.field(default_factory=dict)
    markets: dict[str, Market] = msgspec.field(default_factory=dict)
    aged: dict[str, str] = msgspec.field(default_factory=dict)
    feeds: dict[str, str] = msgspec.field(default_factory=dict)
    accounts: dict[int, Account] = msgspec.field(default_factory=dict)
    unknown_kinds: dict[str, int] = msgspec.field(default_factory=dict)


class Aspect(StrEnum):
    """What a record can change of an account in which nothing is open, as rules read it.

    ORDERS: its orders. STOPS: those of them that are stops. POSITIONS: `exposure` and `epoch` of
    what it holds. TRADES: everything else that fills move: `by_trades`, cost and entry, realized
    P&L, exit fees, ledger. BALANCE: the broker's word for it, which the ledger may follow.
    PRICES: marks of what it holds.
    """

    ORDERS = "orders"
    STOPS = "stops"
    POSITIONS = "positions"
    TRADES = "trades"
    BALANCE = "balance"
    PRICES = "prices"


class Rule(Protocol):
    """One rule with its parameters. It stores nothing, sends nothing and knows no clock."""

    @property
    def name(self) -> str:
        """The rule's name, as policies and people write it."""
        ...

    @property
    def priority(self) -> int:
        """Which rule names an incident when several trip at once; smallest first."""
        ...

    @property
    def reads(self) -> frozenset[Aspect]:
        """What `check` reads that a record may change; time, and all else, is asked about anyway.

        Read by the engine to leave out records, never to decide.
        """
        ...

    def check(self, world: World, account: Account) -> Finding:
        """Compare the account with the limit, on figures as they stand."""
        ...

    def quiet(self, world: World, account: Account) -> Mapping[str, Quiet] | None:
        """Return the prices per contract within which `check` finds and remembers the same.

        All together: as long as each named contract stays within its own. None: ask at
        every price. Read by the engine to leave out quotes, never to decide.
        """
        ...


Parser = Callable[[Mapping[str, object]], Rule]

_canonical = msgspec.msgpack.Encoder(order="deterministic")


def _write(state: msgspec.Struct) -> bytes:
    # Sorted output wants text keys, and state has numbers for keys.
    plain = msgspec.to_builtins(state, str_keys=True, order="deterministic", builtin_types=(bytes,))
    return _canonical.encode(plain)


def encode_account(account: Account) -> bytes:
    """Write an account's whole state; equal states give equal bytes."""
    return _write(account)


def decode_account(raw: bytes) -> Account:
    """Read what `encode_account` wrote in this schema."""
    return in_order(msgspec.convert(msgspec.msgpack.decode(raw), Account, str_keys=True))


def encode_surroundings(world: World) -> bytes:
    """Write what belongs to no account: instruments, marks, feeds."""
    bare = msgspec.structs.replace(world, accounts={})
    return _write(bare)


def decode_surroundings(raw: bytes) -> World:
    """Read what `encode_surroundings` wrote; accounts are added by the caller."""
    return msgspec.convert(msgspec.msgpack.decode(raw), World, str_keys=True)


def state_hash(account: Account) -> str:
    """Name an account's state in 32 characters."""
    return hashlib.blake2b(encode_account(account), digest_size=16).hexdigest()


def seal(account: Account, outputs: list[Fact]) -> list[Fact]:
    """Chain what was decided into the account's digest, so that its hash proves decisions too."""
    for output in outputs:
        account.decided += 1
        raw = type(output).__name__.encode() + _canonical.encode(output)
        account.digest = hashlib.blake2b(account.digest + raw, digest_size=16).digest()
    return outputs
