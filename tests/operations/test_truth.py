"""How long the rebuilding of a state is waited for."""

from risk_daemon.operations.accounts.truth import MB, VERIFY_WITHIN_S, patience_s


def test_a_small_state_file_has_the_time_of_the_printed_page() -> None:
    assert VERIFY_WITHIN_S < 30
    assert patience_s(0) == patience_s(MB - 1) == VERIFY_WITHIN_S


def test_a_larger_one_is_waited_for_longer_or_the_check_would_never_end() -> None:
    assert patience_s(MB) > VERIFY_WITHIN_S
    assert patience_s(200 * MB) == VERIFY_WITHIN_S + 400
