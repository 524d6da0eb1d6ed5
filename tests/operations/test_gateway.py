"""No slip of a file points a demo at real money, or production at a toy."""

import pytest

from risk_daemon.errors import Refused
from risk_daemon.operations.configuration.gateway import assert_gateway, kind_of
from risk_daemon.settings import Gateway


def simulated(port: int = 9) -> Gateway:
    base = f"http://127.0.0.1:{port}"
    return Gateway(
        api_url=base, user_hub_url=f"{base}/hubs/user", market_hub_url=f"{base}/hubs/market"
    )


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://api.topstepx.com", "real"),
        ("wss://rtc.thefuturesdesk.projectx.com/hubs/user", "real"),
        ("http://api.topstepx.com", "not encrypted (https)"),
        ("https://topstepx.com.evil.org", "at the unknown host 'topstepx.com.evil.org'"),
        ("https://eviltopstepx.com", "at the unknown host 'eviltopstepx.com'"),
        ("http://127.0.0.1:8000", "simulated"),
        ("http://localhost:8000", "simulated"),
        ("http://[::1]:8000", "simulated"),
        ("http://127.0.0.1.topstepx.org:1", "at the unknown host '127.0.0.1.topstepx.org'"),
        ("http://127.0.0.1", "a loopback address without a port"),
        ("https://127.0.0.1:1", "at the unknown host '127.0.0.1'"),
        ("", "at the unknown host ''"),
    ],
)
def test_an_address_is_real_or_simulated_or_neither(url: str, kind: str) -> None:
    assert kind_of(url) == kind


def test_each_environment_talks_to_its_own_broker_only() -> None:
    assert_gateway("production", Gateway())
    assert_gateway("staging", Gateway())
    assert_gateway("staging", simulated())
    assert_gateway("demo", simulated())

    with pytest.raises(Refused, match="is a simulated gateway; a production home talks only to"):
        assert_gateway("production", simulated())
    with pytest.raises(Refused, match=r"is the real broker; a demo home.*Nothing was sent"):
        assert_gateway("demo", Gateway())


def test_real_and_simulated_addresses_are_never_mixed() -> None:
    mixed = Gateway(user_hub_url=simulated().user_hub_url)

    with pytest.raises(Refused, match="mix the real broker with a simulated one"):
        assert_gateway("staging", mixed)
