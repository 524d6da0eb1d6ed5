"""The limits of the file: one default for all accounts, and what differs for one of them.

Rules with a table of their own are named, and their parameters spelled, as the daemon's are: an
account's own table replaces the default's, an empty one turns the rule off for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from risk_daemon.sim.contracts import BY_ROOT
from risk_daemon.sim.reader import Reader
from risk_daemon.sim.scenario import CombinedLoss, DayEnd, Drawdown, Limits, StopGrace

TRAILS = ("eod", "intraday-equity", "intraday-realized", "static")
_BUFFER_LEAST, _BUFFER_SHARE = Decimal(100), Decimal("0.05")


def limits_of(section: Reader, balances: Mapping[int, Decimal]) -> dict[int, Limits]:
    """Every account's limits; `balances` are what the accounts begin with."""
    default, own = section.section("default"), section.section("accounts")
    for account in own.data:
        if account not in balances:
            raise own.refuse(account, own.data[account], "the id of an account under logins")
    section.done()
    built_in = Limits(5, Decimal(500))
    found = {}
    for account, balance in balances.items():
        limits = _account_limits(default, built_in, balance)
        value = own.data.get(account, {})
        if not isinstance(value, Mapping):
            raise own.refuse(account, value, "a mapping")
        found[account] = _account_limits(Reader(f"{own.path}.{account}", value), limits, balance)
    return found


def _account_limits(row: Reader, general: Limits, balance: Decimal) -> Limits:
    limits = Limits(
        row.whole("max_contracts", 0, general.max_contracts),
        row.money("daily_realized_loss", general.daily_realized_loss, low="0.01"),
        _per_instrument(row, general.max_contracts_per_instrument),
        _combined(row, general.daily_combined_loss),
        _drawdown(row, general.trailing_max_drawdown, balance),
        _grace(row, general.no_stop_loss_grace),
        _day_end(row, general.end_of_day_flatten),
    )
    row.done()
    return limits


def _per_instrument(row: Reader, general: Mapping[str, int]) -> Mapping[str, int]:
    """Limits by root."""
    key = "max_contracts_per_instrument"
    section = row.section(key)
    if key not in row.data:
        return general
    for root, value in section.data.items():
        if root not in BY_ROOT:
            raise section.refuse(root, value, f"one of the roots {', '.join(BY_ROOT)}")
    return {str(root): section.whole(str(root), 0) for root in section.data}


def _combined(row: Reader, general: CombinedLoss | None) -> CombinedLoss | None:
    table = row.section("daily_combined_loss")
    if not table.data:
        return _inherited(row, table, general)
    limit = table.money("limit", low="0.01")
    found = CombinedLoss(limit, table.money("buffer", "0"), table.money("est_exit_fees", "0"))
    if found.buffer >= limit:
        raise table.refuse("buffer", found.buffer, "an amount below the limit")
    table.done()
    return found


def _drawdown(row: Reader, general: Drawdown | None, balance: Decimal) -> Drawdown | None:
    table = row.section("trailing_max_drawdown")
    if not table.data:
        return _inherited(row, table, general)
    drawdown = table.money("drawdown", low="0.01")
    start = table.money("start", str(balance), low="0.01")
    found = Drawdown(
        drawdown,
        start,
        table.money("lock_at", str(start)),
        table.one_of("trail", TRAILS, "eod"),
        table.money("buffer", str(max(_BUFFER_LEAST, drawdown * _BUFFER_SHARE))),
    )
    table.done()
    return found


def _grace(row: Reader, general: StopGrace | None) -> StopGrace | None:
    table = row.section("no_stop_loss_grace")
    if not table.data:
        return _inherited(row, table, general)
    found = StopGrace(table.seconds("grace", "30s"), table.seconds("replace_grace", "10s"))
    table.done()
    return found


def _day_end(row: Reader, general: DayEnd | None) -> DayEnd | None:
    table = row.section("end_of_day_flatten")
    if not table.data:
        return _inherited(row, table, general)
    found = DayEnd(
        table.wall_time("flatten", "15:08"),
        table.seconds("entries_lead", "3m"),
        table.seconds("product_lead", "10m"),
    )
    table.done()
    return found


def _inherited[T](row: Reader, table: Reader, general: T | None) -> T | None:
    """What holds without a table: the default's, or nothing where an empty one ends it."""
    is_ended = table.path.rpartition(".")[2] in row.data
    return None if is_ended else general
