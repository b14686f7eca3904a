"""Rain in its units: exact zeros, kept gaps, round trips, and one number from the textbook."""

import numpy as np
import pytest
import torch

from nowcastlib.units import RainScale, amount_of_water

SCALE = RainScale()
RATES = [0.0, 0.01, 0.1, 1.0, 7.7, 128.0]
KINDS = [lambda v: np.array(v, "f8"), lambda v: torch.tensor(v, dtype=torch.float64)]
CONVERSIONS = [(SCALE.to_model, SCALE.from_model), (SCALE.to_dbz, SCALE.from_dbz)]
kinds = pytest.mark.parametrize("kind", KINDS, ids=["numpy", "torch"])
conversions = pytest.mark.parametrize(("convert", "invert"), CONVERSIONS, ids=["model", "dbz"])


@kinds
@conversions
def test_round_trip_keeps_rates_zeros_and_gaps(kind, convert, invert):
    rate = kind([*RATES, float("nan")])
    result = invert(convert(rate))
    assert type(result) is type(rate)
    assert result.dtype == rate.dtype
    np.testing.assert_allclose(result, rate, rtol=1e-12)
    assert result[0] == 0


@kinds
def test_model_units_run_from_0_to_1(kind):
    value = SCALE.to_model(kind(RATES))
    assert value[0] == 0
    assert float(value[-1]) == pytest.approx(1)
    assert (value[1:] > value[:-1]).all()


@kinds
def test_reflectivity_is_that_of_marshall_and_palmer(kind):
    # Z = 200 R^1.6: 1 mm/h is 23.0 dBZ, 10 mm/h 39.0 dBZ, 100 mm/h 55.0 dBZ
    np.testing.assert_allclose(
        SCALE.to_dbz(kind([1.0, 10.0, 100.0])), [23.01, 39.01, 55.01], atol=0.005
    )
    np.testing.assert_allclose(
        RainScale(zr_a=316, zr_b=1.5).to_dbz(kind([1.0])), [25.0], atol=0.005
    )
    assert SCALE.to_dbz(kind([0.0]))[0] == SCALE.no_echo
    assert SCALE.from_dbz(kind([-40.0]))[0] == 0


def test_torch_and_numpy_agree():
    for convert, _ in CONVERSIONS:
        np.testing.assert_allclose(
            convert(torch.tensor(RATES)), convert(np.array(RATES, "f4")), rtol=1e-5
        )


@pytest.mark.parametrize(
    ("units", "kind", "factor"),
    [
        ("mm h-1", "rate", 1),
        ("mm/hr", "rate", 1),
        ("mm per hour", "rate", 1),
        ("kg m-2 s-1", "rate", 3600),
        ("m s**-1", "rate", 3.6e6),
        ("mm/5min", "rate", 12),
        ("mm d-1", "rate", 1 / 24),
        ("cm/h", "rate", 10),
        ("mm", "amount", 1),
        ("kg m-2", "amount", 1),
        ("m", "amount", 1000),
        ("K", "", 1),
        ("dBZ", "", 1),
        ("mm Hg", "", 1),
        ("", "", 1),
    ],
)
def test_units_of_water_are_recognised_in_every_spelling(units, kind, factor):
    assert amount_of_water(units) == (kind, pytest.approx(factor))


@pytest.mark.parametrize("units", ["mm/scan", "mm scan-1", "mm/sweep", "mm/decade", "kg m-2/hmm"])
def test_words_that_are_no_time_are_not_taken_for_one(units):
    assert amount_of_water(units) == ("", 1.0)
