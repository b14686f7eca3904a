"""How far a forecast moves its object: shares that are known beforehand."""

import pytest
import torch

from nowcastlib.errors import NowcastError
from nowcastlib.verification import motion_covered


def films(*columns: float, row: int = 5) -> torch.Tensor:
    """Films (2, T, 1, 16, 16) of one square; the second film is the first one turned by 90°."""
    film = torch.zeros(len(columns), 1, 16, 16)
    for frame, column in zip(film, columns, strict=True):
        frame[0, row : row + 3, column : column + 3] = 1
    return torch.stack([film, film.mT])


LAST = films(2)[:, 0]
TRUTH = films(4, 6, 10)


def test_the_truth_covers_the_whole_way_and_persistence_nothing():
    assert motion_covered(LAST, TRUTH, TRUTH).tolist() == pytest.approx([1, 1, 1])
    assert motion_covered(LAST, films(2, 2, 2), TRUTH).tolist() == pytest.approx([0, 0, 0])


def test_the_share_is_that_of_the_distance():
    covered = motion_covered(LAST, films(3, 5, 12), TRUTH)
    assert covered.to_dict() == pytest.approx({1: 1 / 2, 2: 3 / 4, 3: 10 / 8})


def test_a_move_across_the_true_way_counts_nothing():
    assert motion_covered(LAST, films(2, 2, 2, row=9), TRUTH).tolist() == pytest.approx([0, 0, 0])


def test_a_blurred_object_counts_as_far_as_its_centre():
    half = (films(2, 2, 2) + TRUTH) / 2  # as bright here as there
    assert motion_covered(LAST, half, TRUTH).tolist() == pytest.approx([0.5, 0.5, 0.5])


def test_a_faint_background_pulls_nothing():
    assert motion_covered(LAST, (TRUTH + 0.09).clamp(max=1), TRUTH).tolist() == [1, 1, 1]


def test_a_forecast_that_faded_away_has_not_moved():
    assert motion_covered(LAST, 0.05 * TRUTH, TRUTH).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("last", "forecast", "truth", "message"),
    [
        (LAST, TRUTH[:, :2], TRUTH, "differ in shape"),
        (LAST[:1], TRUTH, TRUTH, "differ in shape"),
        (LAST, 2 * TRUTH, TRUTH, "forecast ranges from 0 to 2"),
        (LAST, TRUTH, 0 * TRUTH, "leave out empty films"),
    ],
)
def test_films_that_cannot_be_compared_are_refused(last, forecast, truth, message):
    with pytest.raises(NowcastError, match=message):
        motion_covered(last, forecast, truth)
