"""The numbers of the wire: enums, error codes, and the texts a refusal carries.

Source: project broker notes, section 1 (from the gateway's swagger). The two close operations
agree up to code 4 and part ways at 5: partial close inserts InvalidCloseSize.
"""

from __future__ import annotations

from enum import IntEnum


class OrderType(IntEnum):
    """Order types; 3 exists but can't be placed."""

    LIMIT = 1
    MARKET = 2
    STOP_LIMIT = 3
    STOP = 4
    TRAILING_STOP = 5
    JOIN_BID = 6
    JOIN_ASK = 7


class Side(IntEnum):
    """Order sides."""

    BUY = 0
    SELL = 1

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> Side:
        """The other side."""
        return Side.SELL if self is Side.BUY else Side.BUY


class Status(IntEnum):
    """Order states; 6, 7 and 8 are alive too."""

    OPEN = 1
    FILLED = 2
    CANCELLED = 3
    EXPIRED = 4
    REJECTED = 5
    PENDING = 6
    PENDING_CANCELLATION = 7
    SUSPENDED = 8


WORKING = frozenset({1, 6, 7, 8})


class Action(IntEnum):
    """What a user event says about its row."""

    CREATE = 0
    UPDATE = 1
    DELETE = 2


OK = 0


class LoginCode(IntEnum):
    """Auth/loginKey."""

    USER_NOT_FOUND = 1
    INVALID_CREDENTIALS = 3


class SearchCode(IntEnum):
    """Searches of orders, positions and trades."""

    ACCOUNT_NOT_FOUND = 1


class PlaceCode(IntEnum):
    """Order/place."""

    ACCOUNT_NOT_FOUND = 1
    ORDER_REJECTED = 2
    INSUFFICIENT_FUNDS = 3
    ACCOUNT_VIOLATION = 4
    CONTRACT_NOT_FOUND = 8


class CancelCode(IntEnum):
    """Order/cancel; Order/modify has the same and 7."""

    ACCOUNT_NOT_FOUND = 1
    ORDER_NOT_FOUND = 2
    REJECTED = 3
    PENDING = 4
    CONTRACT_NOT_FOUND = 7


class CloseCode(IntEnum):
    """Position/closeContract."""

    ACCOUNT_NOT_FOUND = 1
    POSITION_NOT_FOUND = 2
    CONTRACT_NOT_FOUND = 3
    CONTRACT_NOT_ACTIVE = 4
    ORDER_REJECTED = 5
    ORDER_PENDING = 6
    UNKNOWN_ERROR = 7
    ACCOUNT_REJECTED = 8


class PartialCloseCode(IntEnum):
    """Position/partialCloseContract."""

    ACCOUNT_NOT_FOUND = 1
    POSITION_NOT_FOUND = 2
    CONTRACT_NOT_FOUND = 3
    CONTRACT_NOT_ACTIVE = 4
    INVALID_CLOSE_SIZE = 5
    ORDER_REJECTED = 6
    ORDER_PENDING = 7
    UNKNOWN_ERROR = 8
    ACCOUNT_REJECTED = 9


class BarsCode(IntEnum):
    """History/retrieveBars."""

    CONTRACT_NOT_FOUND = 1
    UNIT_INVALID = 2
    UNIT_NUMBER_INVALID = 3
    LIMIT_INVALID = 4
