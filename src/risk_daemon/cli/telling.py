"""`alert`: a person's message to those whom it concerns."""

from __future__ import annotations

from typing import Annotated

import typer

from risk_daemon.cli.options import (
    NO_REASON,
    ByOption,
    DryRunOption,
    HomeOption,
    JsonOption,
    ReasonOption,
)
from risk_daemon.cli.show import finish
from risk_daemon.clock import Clock
from risk_daemon.operations.daemon import operator
from risk_daemon.operations.home import choose
from risk_daemon.operations.orders import Who
from risk_daemon.operations.outcome import Outcome

alert = typer.Typer(no_args_is_help=True, help="Messages to traders, admins and management.")


@alert.command("send")
def send(
    text: Annotated[str, typer.Argument(help="What people should know.", show_default=False)],
    to: Annotated[
        list[str] | None, typer.Option("--to", help="traders, admins, management; else all.")
    ] = None,
    level: Annotated[str, typer.Option("--level", help="info, warn, urgent or page.")] = "urgent",
    reason: ReasonOption = NO_REASON,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tell every audience, durably: it returns when the message is stored.

    \b
    Examples:
      risk-daemon-admin alert send "Deployment rolled back to v1.2.0"
      risk-daemon-admin alert send "Back in ten minutes" --to traders --level info
    """
    from risk_daemon.operations.alerts import by_hand as alerts

    who = Who(by or operator(), reason)
    finish(
        as_json,
        lambda: alerts.send(
            choose(home), text, to or [alerts.EVERYONE], level, who, Clock(), dry_run=dry_run
        ),
    )


@alert.command("list")
def channels(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show each channel: whom it tells, what it has, what waits, what hinders it.

    \b
    Examples:
      risk-daemon-admin alert list
    """
    from risk_daemon.operations.alerts import by_hand as alerts

    finish(as_json, lambda: alerts.listed(choose(home)))


@alert.command("outbox")
def outbox(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show every message that a channel is still to carry. Exit 1 while there is any.

    \b
    Examples:
      risk-daemon-admin alert outbox
    """
    from risk_daemon.operations.alerts import by_hand as alerts

    finish(as_json, lambda: alerts.outbox(choose(home)))


@alert.command("test")
def try_out(
    channel: Annotated[str, typer.Argument(help="Its name in config/alerts.yaml.")],
    by: ByOption = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send one message through a channel now, and say whether it arrived.

    \b
    Examples:
      risk-daemon-admin alert test traders
    """
    from risk_daemon.operations.alerts import by_hand as alerts

    who = Who(by or operator(), NO_REASON)
    finish(as_json, lambda: alerts.tried(choose(home), channel, who, Clock()))


@alert.command("ack")
def acknowledge(
    number: Annotated[list[int], typer.Argument(help="The numbers in brackets.")],
    reason: ReasonOption = NO_REASON,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say that somebody looks after an alarm: nobody else is called for it.

    \b
    Examples:
      risk-daemon-admin alert ack 412 --by kim
    """
    from risk_daemon.operations.alerts import attending

    who = Who(by or operator(), reason)
    finish(as_json, lambda: attending.acknowledge(choose(home), number, who, dry_run=dry_run))


@alert.command("silence")
def silence(
    what: Annotated[str, typer.Argument(help="The alarm's name, such as latency.")],
    until: Annotated[
        str | None, typer.Option(help="HH:MM in Chicago, or an ISO time with offset.")
    ] = None,
    for_: Annotated[str | None, typer.Option("--for", help="A duration: 30m, 2h, 7d.")] = None,
    end: Annotated[bool, typer.Option("--end", help="End it now.")] = False,
    reason: ReasonOption = NO_REASON,
    by: ByOption = None,
    home: HomeOption = None,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have alarms of one name not sent until an end. A page is sent all the same.

    \b
    Examples:
      risk-daemon-admin alert silence latency --for 2h --reason "backfill of the tape"
      risk-daemon-admin alert silence latency --end
    """
    from risk_daemon.operations.alerts import attending

    who = Who(by or operator(), reason)

    def act() -> Outcome:
        if end:
            return attending.hear(choose(home), what, who, dry_run=dry_run)
        return attending.silence(choose(home), what, (until, for_), who, dry_run=dry_run)

    finish(as_json, act)
