"""The disc that a radar observes, and the square within it."""

import numpy as np
import pytest

from nowcastlib.data.coverage import disc, inscribed_square
from nowcastlib.errors import NowcastError


def observed(size=500, radius=250.0, x=249.5, y=249.5):
    """Pixels (y, x) within a disc."""
    rows, columns = np.indices((size, size))
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def test_inscribed_square_of_the_radar_of_fossalon():
    assert inscribed_square(observed()) == (73, 73, 354, 354)


def test_square_lies_within_the_disc_and_the_next_larger_does_not():
    mask = observed(300, 101.3, 140.2, 155.8)
    x, y, width, height = inscribed_square(mask)
    assert width == height
    assert mask[y : y + height, x : x + width].mean() > 0.999
    assert not mask[y - 2, x - 2] or not mask[y + height + 1, x + width + 1]


def test_disc_has_the_centre_and_the_radius_of_the_observed_part():
    mask = observed(300, 101.3, 140.2, 155.8)
    assert disc(mask) == pytest.approx((140.2, 155.8, 101.3), abs=0.2)


def test_disc_is_found_despite_holes_and_specks():
    mask = observed()
    mask[200:220, 100:300] = False
    mask[:4, :4] = True
    assert inscribed_square(mask) == (73, 73, 354, 354)


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.zeros((9, 9), bool), "no pixel is observed"),
        (np.ones((40, 40), bool), "not a disc .*give the crop in numbers"),
    ],
    ids=["nothing", "everything"],
)
def test_a_coverage_that_is_not_a_disc_is_refused(mask, reason):
    with pytest.raises(NowcastError, match=reason):
        inscribed_square(mask)
