"""Bad input is named by file, line, path, value, what is allowed, and the nearest right key."""

from pathlib import Path

import pytest

from risk_daemon.operations.configuration.loading import load
from risk_daemon.operations.configuration.problems import InvalidConfiguration
from risk_daemon.settings import TOPSTEPX_API, decode_settings
from tests.operations.build import DAEMON, POLICY, config


def complaints(folder: Path) -> list[str]:
    """Every sentence about a configuration."""
    with pytest.raises(InvalidConfiguration) as refused:
        load(folder)
    assert refused.value.exit_code == 2
    return [problem.sentence() for problem in refused.value.problems]


def test_a_valid_configuration_becomes_a_policy_per_account_and_settings(tmp_path: Path) -> None:
    own = "name: TWO\nlogin: alpha\nrules: {max-contracts: {limit: 3}}\n"

    loaded = load(config(tmp_path, accounts_2=own))

    one, two = loaded.policies
    assert (one.account, one.name, two.account, two.name) == (1, "1", 2, "TWO")
    limits = {policy.account: policy.rules[1].params for policy in loaded.policies}
    assert limits == {1: {"limit": 5}, 2: {"limit": 3}}
    assert [rule.rule for rule in one.rules] == ["daily-realized-loss", "max-contracts"]
    assert decode_settings(loaded.adopted.text) == loaded.settings
    assert loaded.policy(2) is two
    with pytest.raises(KeyError):
        loaded.policy(3)


def test_equal_configurations_have_equal_digests_and_different_ones_do_not(tmp_path: Path) -> None:
    first = load(config(tmp_path / "a"))
    same = load(config(tmp_path / "b"))
    other = load(config(tmp_path / "c", policy=POLICY.replace("limit: 5", "limit: 6")))

    assert [p.digest for p in first.policies] == [p.digest for p in same.policies]
    assert first.policy(1).digest != other.policy(1).digest
    assert first.adopted.digest == other.adopted.digest


def test_the_gateway_of_production_is_topstepx_unless_said_otherwise(tmp_path: Path) -> None:
    daemon = (
        "environment: production\n"
        "logins: [{name: alpha, user: me, credentials: env, accounts: [1]}]\n"
    )

    loaded = load(config(tmp_path, daemon=daemon))

    assert loaded.settings.gateway.api_url == TOPSTEPX_API


def test_all_errors_are_told_at_once_in_the_order_of_the_files(tmp_path: Path) -> None:
    daemon = DAEMON + "console: {port: 99999}\nworkers: {heartbeat_ms: fast}\n"
    policy = "rules:\n  max-contracts: {mode: enforce, limit: five}\n"

    said = complaints(config(tmp_path, daemon=daemon, policy=policy))

    assert said[:2] == [
        "config/daemon.yaml:8: console.port is 99999; "
        "allowed: a port from 0 to 65535 (0: any free one).",
        'config/daemon.yaml:9: workers.heartbeat_ms is "fast"; '
        "allowed: milliseconds from 20 to 5000.",
    ]
    assert said[2].startswith('config/policy.yaml:2: rules.max-contracts.limit is "five"; allowed:')
    assert len(said) == 3


@pytest.mark.parametrize(
    ("extra", "path", "nearest"),
    [
        ("consol: {port: 1}\n", "consol", "console"),
        ("console: {prot: 1}\n", "console.prot", "port"),
        ("journal: {transports: tcp}\n", "journal.transports", "transport"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_the_nearest_right_one(
    tmp_path: Path, extra: str, path: str, nearest: str
) -> None:
    (said,) = complaints(config(tmp_path, daemon=DAEMON + extra))

    assert said.startswith(f"config/daemon.yaml:8: {path} is not a key here; allowed: a key: ")
    assert said.endswith(f"Did you mean '{nearest}'?")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "  max-contract: {mode: enforce, limit: 5}",
            "rules.max-contract is not a key here; allowed: a rule: daily-combined-loss, "
            "daily-realized-loss, end-of-day-flatten, kill-switch, max-contracts, "
            "max-contracts-per-instrument, no-stop-loss-grace, trailing-max-drawdown."
            " Did you mean 'max-contracts'?",
        ),
        (
            "  max-contracts: {mode: enforce, limt: 5, limit: 5}",
            "Did you mean 'limit'?",
        ),
        (
            "  max-contracts: {limit: 5}",
            "rules.max-contracts.mode is missing; allowed: enforce, shadow or alert.",
        ),
        (
            "  max-contracts: {mode: enforce}",
            "rules.max-contracts.limit is missing; allowed: ",
        ),
        (
            "  max-contracts: {mode: enforce, limit: 5, action: protect}",
            "allowed: anything but `protect`, which is not in the first releases.",
        ),
        (
            "  kill-switch: {mode: enforce, scope: group}",
            "allowed: anything but `scope: group`, which is not in the first releases.",
        ),
        (
            "  kill-switch: {mode: enforce, staged: [{at: 1, do: [protect]}]}",
            "rules.kill-switch.staged[0].do[0]",
        ),
        (
            "  daily-realized-loss: {mode: enforce, limit: -1}",
            "rules.daily-realized-loss.limit is -1; allowed: ",
        ),
        ("  max-contracts: five", 'rules.max-contracts is "five"; allowed: each rule'),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(tmp_path: Path, line: str, expected: str) -> None:
    said = complaints(config(tmp_path, policy=f"rules:\n{line}\n"))

    assert any(expected in one for one in said), said
    assert all(one.startswith("config/policy.yaml:2: ") for one in said)


def test_several_wrong_parameters_of_a_rule_are_told_together(tmp_path: Path) -> None:
    policy = (
        "rules:\n  max-contracts:\n    mode: enforce\n    limit: 5\n"
        "    basis: some\n    action: pray\n"
    )

    said = complaints(config(tmp_path, policy=policy))

    assert [one.split(";")[0] for one in said] == [
        'config/policy.yaml:5: rules.max-contracts.basis is "some"',
        'config/policy.yaml:6: rules.max-contracts.action is "pray"',
    ]


def test_an_error_of_an_account_names_the_accounts_own_file(tmp_path: Path) -> None:
    own = "name: TWO\nlogin: alpha\nrules:\n  max-contracts:\n    limit: none\n"

    (said,) = complaints(config(tmp_path, accounts_2=own))

    assert said.startswith('config/accounts/2.yaml:5: rules.max-contracts.limit is "none"')


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("credentials/alpha.key", "", "logins[0].credentials"),
        ("name: alpha", "name: Alpha!", "logins[0].name"),
        ("accounts: [1, 2]", "accounts: [1, one]", "logins[0].accounts[1]"),
        ("accounts: [1, 2]", "accounts: [1, 1]", "an account no login has yet (alpha has it)"),
        ("environment: demo", "environment: test", "allowed: production, staging or demo"),
        ("environment: demo", "environment: production", "in production, https at a ProjectX host"),
        ("http://127.0.0.1:9/hubs/user", "https://rtc.topstepx.com/x", "this is the real broker"),
        ("http://127.0.0.1:9/hubs/user", "http://10.0.0.1:9/x", "unknown host '10.0.0.1'"),
        ("http://127.0.0.1:9/hubs/user", "http://127.0.0.1/x", "loopback address without a port"),
        ("http://127.0.0.1:9/hubs/user", "http://[::1/x", "not an address"),
    ],
)
def test_settings_that_would_reach_the_wrong_place_are_refused(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    said = complaints(config(tmp_path, daemon=DAEMON.replace(old, new)))

    assert any(expected in one for one in said), said


def test_two_logins_share_neither_name_nor_the_environment(tmp_path: Path) -> None:
    login = "{name: alpha, user: a, credentials: env, accounts: [%d]}"
    daemon = DAEMON.split("logins:")[0] + f"logins: [{login % 1}, {login % 2}]\n"

    said = complaints(config(tmp_path, daemon=daemon))

    assert 'logins[1].name is "alpha"; allowed: a name no other login has' in said[0]
    assert 'logins[1].credentials is "env"; allowed: file:PATH' in said[1]


def test_a_clock_offset_is_for_demos_only(tmp_path: Path) -> None:
    daemon = (
        "environment: production\nclock: {offset_s: 60}\n"
        "logins: [{name: alpha, user: me, credentials: env, accounts: [1]}]\n"
    )

    assert complaints(config(tmp_path / "p", daemon=daemon)) == [
        "config/daemon.yaml:2: clock.offset_s is 60; allowed: 0 in production."
    ]
    demo = load(config(tmp_path / "d", daemon=DAEMON + "clock: {offset_s: 60}\n"))
    assert demo.settings.clock_offset_s == 60.0


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("accounts_2", "name: x\nlogin: alpa\n", "Did you mean 'alpha'?"),
        ("accounts_7", "name: x\nlogin: alpha\n", "a login whose `accounts` in config/daemon.yaml"),
        ("accounts_x", "name: x\nlogin: alpha\n", "files named <account number>.yaml"),
        ("accounts_2", "login: alpha\n", "config/accounts/2.yaml:1: name is missing"),
    ],
)
def test_an_accounts_file_must_belong_to_an_account(
    tmp_path: Path, name: str, text: str, expected: str
) -> None:
    (said,) = complaints(config(tmp_path, **{name: text}))

    assert expected in said


def test_an_account_of_another_login_is_told_whose_it_is(tmp_path: Path) -> None:
    beta = '  - {name: beta, user: b, credentials: "file:b.key", accounts: [3]}\n'
    own = "name: x\nlogin: beta\n"

    (said,) = complaints(config(tmp_path, daemon=DAEMON + beta, accounts_2=own))

    assert 'login is "beta"; allowed: alpha (config/daemon.yaml lists the account there)' in said


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("environment: [", "config/daemon.yaml:1: "),
        ("a: 1\na: 2\n", "config/daemon.yaml:2: "),
        ("- 1\n- 2\n", "allowed: keys with values"),
        ("just words\n", "allowed: keys with values"),
        ("1: 2\n", "allowed: a key of text"),
        ("", "environment is missing"),
        ("a: \x00b\n", "YAML 1.2"),
    ],
)
def test_a_file_that_is_not_a_mapping_is_refused_in_one_line(
    tmp_path: Path, text: str, expected: str
) -> None:
    said = complaints(config(tmp_path, daemon=text))

    assert any(expected in one for one in said), said
    assert all("\n" not in one for one in said)


def test_a_missing_or_unreadable_file_is_named(tmp_path: Path) -> None:
    folder = config(tmp_path)
    (folder / "policy.yaml").unlink()
    (folder / "daemon.yaml").write_bytes(b"\xff\xfe\x00")

    said = complaints(folder)

    assert "config/daemon.yaml: " in said[0]
    assert "UTF-8" in said[0]
    assert said[1].startswith("config/policy.yaml: missing; allowed: a file at ")


def test_yaml_words_stay_words(tmp_path: Path) -> None:
    (said,) = complaints(config(tmp_path, policy="rules:\n  max-contracts: {mode: on, limit: 5}\n"))

    assert 'rules.max-contracts.mode is "on"' in said
