"""The picture of a radar's beam obeys the geometry and the Z–R relation that it explains."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from nowcastlib.display.plots import radar_principle


def test_beam_rises_by_its_elevation_and_the_curvature_of_the_earth():
    near = radar_principle.beam_height(1.0, 2.0)
    assert near == pytest.approx(np.sin(np.radians(2.0)), abs=1e-4)
    level = radar_principle.beam_height(np.array([0.0, 100.0, 200.0]), 0.0)
    assert level[0] == 0
    assert level[2] == pytest.approx(4 * level[1])
    assert level[1] == pytest.approx(0.59, abs=0.01)  # km; 4/3 of the earth's radius


def test_picture_has_three_parts_and_the_line_of_marshall_and_palmer():
    figure = radar_principle.show_radar_principle()
    assert len(figure.axes) == 3
    scale = figure.axes[2]
    rate, dbz = scale.lines[0].get_data()
    np.testing.assert_allclose(10 ** (dbz / 10), 200 * rate**1.6)
    plt.close(figure)
