"""Sends a channel's messages: a webhook by HTTPS, a mail by SMTP. Blocks; for a thread."""

from __future__ import annotations

import json
import smtplib
import urllib.request
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Final

from risk_daemon.operations.alerts import channels
from risk_daemon.operations.alerts.channels import Channel
from risk_daemon.operations.alerts.outbox import Alarm
from risk_daemon.operations.home import Home

WITHIN_S: Final = 10.0
AGENT: Final = "risk-daemon"


def send(at: Home, channel: Channel, alarms: Sequence[Alarm]) -> None:
    """Send alarms; OSError (HTTP and SMTP errors among them) if one message did not arrive."""
    texts = channels.messages(channel, alarms)
    if channel.kind == "email":
        _mail(at, channel, texts)
        return
    address = secret(at, channel.address)
    for text in texts:
        _post(address, json.dumps(channels.body(channel, text)).encode())


def call(address: str) -> None:
    """Fetch an address: that somebody asked for it is all that it says. Raises OSError."""
    _refuse_open(address)
    request = urllib.request.Request(address, headers={"User-Agent": AGENT})  # noqa: S310 - checked
    with urllib.request.urlopen(request, timeout=WITHIN_S):  # noqa: S310
        pass


def _refuse_open(address: str) -> None:
    if not address.startswith(("https://", "http://127.0.0.1:")):
        raise OSError("the URL does not begin with https://")


def secret(at: Home, where: str) -> str:
    """Return what stands in `file:PATH` of the home. Raises OSError."""
    found = (at.path / where.removeprefix("file:")).read_text(encoding="utf-8").strip()
    if not found:
        raise OSError(f"{where} is empty")
    return found


def _post(address: str, body: bytes) -> None:
    _refuse_open(address)
    head = {"Content-Type": "application/json", "User-Agent": AGENT}
    request = urllib.request.Request(address, data=body, headers=head)  # noqa: S310 - checked above
    with urllib.request.urlopen(request, timeout=WITHIN_S):  # noqa: S310
        pass


def _mail(at: Home, channel: Channel, texts: Sequence[str]) -> None:
    host, _, port = channel.server.rpartition(":")
    make = smtplib.SMTP_SSL if channel.tls == "tls" else smtplib.SMTP
    with make(host, int(port), timeout=WITHIN_S) as server:
        if channel.tls == "starttls":
            server.starttls()
        if channel.user:
            server.login(channel.user, secret(at, channel.password))
        for text in texts:
            message = EmailMessage()
            message["Subject"] = channels.subject(text)
            message["From"], message["To"] = channel.sender, ", ".join(channel.to)
            message.set_content(text)
            server.send_message(message)


def in_words(error: OSError) -> str:
    """Say why it did not arrive; no address of a webhook is in it, which is a secret."""
    code = getattr(error, "code", None) or getattr(error, "smtp_code", None)
    told = f" {code}" if code else ""
    reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
    return f"{type(error).__name__}{told}: {reason}"
