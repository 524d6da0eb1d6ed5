"""The line through what a process holds."""

from risk_daemon.rollout.slope import CELLS_FEWEST, projected


def test_what_grows_is_followed_to_the_end() -> None:
    assert projected({cell: 300 + 2 * cell for cell in range(CELLS_FEWEST)}, 128) == 556


def test_what_stays_stays_whatever_single_values_do() -> None:
    points = dict.fromkeys(range(40), 300)
    points[7] = points[39] = 900

    assert projected(points, 128) == 300


def test_too_few_points_say_nothing() -> None:
    assert projected(dict.fromkeys(range(CELLS_FEWEST - 1), 300), 128) is None
    assert projected(dict.fromkeys(range(CELLS_FEWEST), 300), 128) == 300
