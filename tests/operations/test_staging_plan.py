"""Which broker, accounts and port a staging home gets, from production and the environment."""

import pytest

from risk_daemon.errors import OperatorError, Refused, UsageError
from risk_daemon.operations.staging import staging_plan
from risk_daemon.operations.staging.staging_plan import Compared, Wanted
from risk_daemon.settings import Gateway, Login, Settings

GUARDED = (1001, 1002)
PRODUCTION = Settings(
    environment="production",
    logins=(Login(name="me", user="trader", credentials="env", accounts=GUARDED),),
)


@pytest.mark.parametrize(
    ("user", "has_key", "why"),
    [
        ("", False, "PROJECT_X_API_KEY and PROJECT_X_USERNAME are not set"),
        ("", True, "PROJECT_X_USERNAME is not set"),
        ("other", False, "PROJECT_X_API_KEY is not set"),
        ("trader", True, "trader is production's own user, and a user has one session"),
        ("Trader", True, "Trader is production's own user, and a user has one session"),
    ],
)
def test_without_a_user_of_its_own_staging_is_simulated(user: str, has_key: bool, why: str) -> None:
    way = staging_plan.way(PRODUCTION, user, has_key=has_key)

    assert way.is_simulated
    assert way.why == why


def test_with_a_user_of_its_own_it_goes_to_the_broker() -> None:
    way = staging_plan.way(PRODUCTION, "other", has_key=True)

    assert (way.user, way.is_simulated) == ("other", False)


def test_it_takes_the_accounts_that_production_does_not_guard() -> None:
    seen = {7: "PRACTICE", 1001: "FUNDED", 5: "COMBINE"}

    assert staging_plan.own_accounts("other", seen, GUARDED) == (5, 7)


@pytest.mark.parametrize(
    ("seen", "told"), [({1001: "FUNDED"}, "(it sees: 1001)"), ({}, "(it sees: none)")]
)
def test_and_none_if_there_is_no_other(seen: dict[int, str], told: str) -> None:
    with pytest.raises(Refused) as refused:
        staging_plan.own_accounts("other", seen, GUARDED)

    assert told in refused.value.sentence


def test_an_account_of_production_is_refused_at_the_broker() -> None:
    def staging(*accounts: int) -> Settings:
        return Settings(environment="staging", logins=staging_plan.own_login("other", accounts))

    staging_plan.refuse_shared(staging(5, 7), GUARDED)
    with pytest.raises(Refused, match="act at the broker on 1002, which production guards"):
        staging_plan.refuse_shared(staging(5, 1002), GUARDED)


@pytest.mark.parametrize(
    ("production", "written", "port"),
    [
        (8080, None, 8081),
        (8080, 8080, 8081),
        (8080, 9000, 9000),
        (8080, 0, 0),
        (0, None, 0),
        (0, 0, 0),
        (65_535, 65_535, 65_534),
    ],
)
def test_its_port_is_the_written_one_unless_that_is_productions(
    production: int, written: int | None, port: int
) -> None:
    assert staging_plan.port(production, written) == port


def test_simulated_logins_have_the_same_accounts_and_other_users() -> None:
    (login,) = staging_plan.simulated_logins(PRODUCTION)

    assert login.accounts == GUARDED
    assert login.user != "trader"
    assert login.credentials == "file:credentials/me.key"


def test_settings_that_say_all_of_it_need_no_writing() -> None:
    logins = staging_plan.own_login("other", (5,))
    wanted = Wanted(8081, Gateway(), logins)
    written = Settings(environment="staging", console_port=8081, logins=logins)

    assert wanted.is_as(written)
    assert not wanted.is_as(PRODUCTION)
    assert not Wanted(8082, Gateway(), logins).is_as(written)
    assert not Wanted(8081, Gateway(), logins, offset_s=1.0).is_as(written)


def test_one_place_is_not_two() -> None:
    staging_plan.refuse_same("/staging", "/prod")
    with pytest.raises(UsageError) as refused:
        staging_plan.refuse_same("/prod", "/prod")

    assert isinstance(refused.value, OperatorError)
    assert "RISK_DAEMON_STAGING_HOME" in refused.value.sentence


def test_what_differs_is_said_with_both_sides_and_what_nobody_knows_is_not_the_same() -> None:
    same = Compared("Python", "3.12.1", "3.12.1")
    other = Compared("Python", "3.12.1", "3.13.0")

    assert same.is_same
    assert same.told == "parity Python: same (3.12.1)"
    assert not other.is_same
    assert other.told == "parity Python: DIFFERS: staging 3.12.1, production 3.13.0"
    assert not Compared("lock", "", "").is_same
    assert "staging unknown, production unknown" in Compared("lock", "", "").told


@pytest.mark.parametrize(
    ("left_s", "within_s"),
    [(600.0, 300.0), (421.0, 300.0), (419.0, 299.0), (151.0, 31.0), (149.0, 30.0), (-5.0, 30.0)],
)
def test_a_start_may_take_what_a_busy_machine_needs_and_leaves_time_to_look(
    left_s: float, within_s: float
) -> None:
    assert staging_plan.start_within_s(left_s) == within_s
