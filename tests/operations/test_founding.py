"""`init` writes a configuration that is valid, meant to be read, and complete or not there."""

from pathlib import Path

import pytest

from risk_daemon.errors import UsageError
from risk_daemon.operations.configuration import founding, history
from risk_daemon.operations.configuration.loading import load
from risk_daemon.operations.configuration.problems import InvalidConfiguration
from risk_daemon.operations.home import Home
from risk_daemon.rules import CATALOG
from risk_daemon.settings import TOPSTEPX_USER_HUB
from tests.operations import build

REFEREE = """\
seed: 1
offset_s: 60.0
logins:
  - user: Demo_North
    api_key: a-long-demo-key
    accounts: [{id: 11, name: N1}, {id: 12, name: N2}]
  - user: south
    api_key: another-demo-key
    accounts: [{id: 21, name: S1}]
limits:
  default: {max_contracts: 5, daily_realized_loss: "1000.00"}
  accounts:
    12: {max_contracts: 3}
"""


@pytest.mark.parametrize(
    "text",
    ["", "alpha", "alpha:me:env", "alpha:me:env:", "alpha:me:env:one", ":me:env:1", "alpha::env:1"],
)
def test_a_login_that_is_not_one_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not NAME:USER:CREDENTIALS:ACCOUNT.*alpha:me:env"):
        founding.parse_login(text)


def test_the_credentials_of_a_login_may_hold_colons() -> None:
    login = founding.parse_login("alpha:me:file:C:/keys/alpha.key:1,22")

    assert (login.name, login.user) == ("alpha", "me")
    assert login.credentials == "file:C:/keys/alpha.key"
    assert login.accounts == (1, 22)


def test_hubs_are_beside_the_api() -> None:
    assert founding.parse_gateway(None).user_hub_url == TOPSTEPX_USER_HUB
    assert founding.parse_gateway("https://api.topstepx.com/").user_hub_url == TOPSTEPX_USER_HUB
    assert founding.parse_gateway("http://127.0.0.1:5").market_hub_url == (
        "http://127.0.0.1:5/hubs/market"
    )


def test_what_init_writes_is_valid_and_enforces_five_rules(tmp_path: Path) -> None:
    plan = founding.plan_from_logins("staging", None, ["alpha:me:env:1,2"])

    home = Home(tmp_path / "h")
    founding.found(home, plan, build.CREATED, "tester")

    modes = {rule.rule: rule.mode for rule in load(home.config).policy(1).rules}
    assert modes == {
        "max-contracts": "enforce",
        "daily-combined-loss": "enforce",
        "trailing-max-drawdown": "enforce",
        "end-of-day-flatten": "enforce",
        "kill-switch": "enforce",
    }


def test_a_plan_from_the_referee_carries_limits_keys_and_clock(tmp_path: Path) -> None:
    file = tmp_path / "referee.yaml"
    file.write_text(REFEREE)
    home = Home(tmp_path / "h")

    plan = founding.plan_from_referee(file, "http://127.0.0.1:5")
    founding.found(home, plan, build.CREATED, "tester")

    loaded = load(home.config)
    assert [login.name for login in loaded.settings.logins] == ["demo-north", "south"]
    assert loaded.settings.clock_offset_s == 60.0
    limits = {
        policy.account: [rule.params.get("limit") for rule in policy.rules if rule.params]
        for policy in loaded.policies
    }
    assert limits == {11: ["1000.00", 5], 12: ["1000.00", 3], 21: ["1000.00", 5]}
    key = home.path / "credentials" / "demo-north.key"
    assert key.read_text() == "a-long-demo-key\n"
    assert key.stat().st_mode & 0o777 == 0o600
    assert "a-long-demo-key" not in "".join(
        path.read_text() for path in home.config.rglob("*.yaml")
    )


ALL_RULES = """
limits:
  default:
    max_contracts: 5
    max_contracts_per_instrument: {MNQ: 3}
    daily_realized_loss: "1000.00"
    daily_combined_loss: {limit: "900.00", buffer: "10.00", est_exit_fees: "0.62"}
    trailing_max_drawdown: {drawdown: "2000.00", trail: intraday-equity, buffer: "70.00"}
    no_stop_loss_grace: {grace: "5s", replace_grace: "3s"}
    end_of_day_flatten: {flatten: "10:00:55", entries_lead: "10s"}
  accounts:
    12: {end_of_day_flatten: {flatten: "11:00"}}
    21: {no_stop_loss_grace: {}}
"""


def test_every_limit_of_the_referee_is_handed_to_the_daemon_under_its_own_names(
    tmp_path: Path,
) -> None:
    file = tmp_path / "referee.yaml"
    file.write_text(REFEREE.partition("limits:")[0] + ALL_RULES)
    home = Home(tmp_path / "h")

    founding.found(
        home, founding.plan_from_referee(file, "http://127.0.0.1:5"), build.CREATED, "tester"
    )

    loaded = load(home.config)
    rules = {rule.rule: rule.params for rule in loaded.policy(11).rules}
    assert set(rules) == set(CATALOG)
    assert {rule.mode for rule in loaded.policy(11).rules} == {"enforce"}
    assert rules["max-contracts-per-instrument"] == {"limits": {"MNQ": 3}}
    assert rules["daily-combined-loss"] == {
        "limit": "900.00",
        "buffer": "10.00",
        "est_exit_fees": "0.62",
    }
    assert rules["trailing-max-drawdown"] == {
        "drawdown": "2000.00",
        "start": "50000.00",
        "lock_at": "50000.00",
        "trail": "intraday-equity",
        "buffer": "70.00",
    }
    assert rules["no-stop-loss-grace"] == {"grace": "5s", "replace_grace": "3s"}
    own = {rule.rule: rule.params for rule in loaded.policy(12).rules}
    assert own["end-of-day-flatten"]["flatten"] == "11:00:00"
    assert "no-stop-loss-grace" not in {rule.rule for rule in loaded.policy(21).rules}


def test_a_referee_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read"):
        founding.plan_from_referee(tmp_path / "none.yaml", "http://127.0.0.1:5")


def test_nothing_is_half_made_when_the_plan_is_wrong(tmp_path: Path) -> None:
    plan = founding.plan_from_logins("demo", "https://api.topstepx.com", ["alpha:me:env:1"])

    with pytest.raises(InvalidConfiguration, match="this is the real broker"):
        founding.found(Home(tmp_path / "h"), plan, build.CREATED, "tester")
    assert not (tmp_path / "h").exists()


def test_the_first_configuration_is_the_first_commit(home: Home) -> None:
    first = history.head(home.config)
    assert history.commit(home.config, "tester", "nothing changed") is None

    (home.config / "accounts" / "2.yaml").unlink()
    second = history.ensure(home.config, "someone", "edited by hand")

    assert second not in ("", first)
    assert history.head(home.config) == second
