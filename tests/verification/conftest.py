"""Rain and forecasts for the tests of verification."""

import numpy as np
import pytest
from made_forecasts import moving_rain, without_drizzle


@pytest.fixture(scope="module")
def storm():
    return moving_rain()


@pytest.fixture(scope="module")
def pairs():
    """Three cases of 2 leads, 30×40 px: correlated forecast and observation, values missing.

    There are no rates from 0 to 0.1 mm/h, which outside references would count.
    """
    rng = np.random.default_rng(0)
    cases = []
    for _ in range(3):
        common, *own = rng.gamma(0.4, 6, (3, 2, 30, 40))
        predicted, observed = (without_drizzle(0.5 * common + 0.5 * field) for field in own)
        predicted[0, :4] = np.nan
        observed[:, :, :3] = np.nan
        cases.append((predicted, observed))
    return cases


@pytest.fixture(scope="module")
def ensembles():
    """Two cases of 10 members, 2 leads, 24×20 px, correlated with the observation.

    No value comes twice and none is from 0 to 0.1 mm/h, which outside references would count.
    """
    rng = np.random.default_rng(1)
    cases = []
    for _ in range(2):
        intensity = rng.gamma(1, 3, (2, 24, 20))
        members = 0.11 + intensity * rng.gamma(2, 0.5, (10, 2, 24, 20))
        observed = 0.11 + intensity * rng.gamma(2, 0.5, (2, 24, 20))
        observed[:, 3:6] = np.nan
        cases.append((members, observed))
    return cases
