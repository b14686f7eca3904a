"""Units of rain, for any text and any rate: no traceback, no order lost, there and back."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from property_settings import PROPERTY

from nowcastlib.units import HOURLY, ModelScale, RainScale, amount_of_water, exceeds, is_rain

RATES = arrays("f8", 9, elements=st.floats(0, 1000))
PIECES = st.sampled_from(
    ["mm", "cm", "m", "kg", "m-2", "m^-2", "/", " per ", "(", ")", "**", ".", " ", "-1", "h", "hr",
     "s", "min", "5", "0", "00", "1e3", "day", "DBZ", "%", "²", "٣", "\u2003", "\n", "\x00"]
)  # fmt: skip
TEXTS = st.one_of(st.text(max_size=12), st.lists(PIECES, max_size=8).map("".join))


@PROPERTY
@given(TEXTS)
@example("mm/0min")
@example("mm/" + "9" * 400 + "h")
@example("mm/٣min")
def test_no_text_of_units_breaks_their_reading(text):
    kind, factor = amount_of_water(text)
    assert kind in ("rate", "amount", "")
    assert 0 < factor < np.inf
    assert is_rain(text, "rain") == bool(kind)
    assert not is_rain(text, 5.0)  # the name of a careless writer


@PROPERTY
@given(
    st.sampled_from(["mm", "cm", "kg m-2"]),
    st.integers(1, 600),
    st.sampled_from(sorted(HOURLY)),
)
def test_a_sum_of_some_minutes_is_as_much_in_every_spelling(depth, number, unit):
    mm = {"cm": 10}.get(depth, 1)
    for text in (
        f"{depth}/{number}{unit}",
        f"{depth} / ({number} {unit})",
        f"{depth} per {number}{unit}",
    ):
        kind, factor = amount_of_water(text.upper())
        assert kind == "rate"
        np.testing.assert_allclose(factor, mm * HOURLY[unit] / number)


@PROPERTY
@given(RATES)
def test_rates_return_from_model_units_and_keep_their_order(rates):
    scale = ModelScale()
    values = scale.to_model(rates)
    np.testing.assert_allclose(scale.from_model(values), rates, rtol=1e-9, atol=1e-12)
    assert (np.diff(scale.to_model(np.sort(rates))) >= 0).all()
    np.testing.assert_array_equal(values == 0, rates == 0)


@PROPERTY
@given(RATES)
def test_rates_return_from_reflectivity_and_keep_their_order(rates):
    scale = RainScale()
    dbz = scale.to_dbz(rates)
    np.testing.assert_allclose(scale.from_dbz(dbz), rates, rtol=1e-9, atol=0.0005)
    assert (np.diff(scale.to_dbz(np.sort(rates))) >= 0).all()


@PROPERTY
@given(RATES, st.floats(0, 1000))
def test_thresholds_keep_their_order_and_no_rate_exceeds_itself(rates, threshold):
    above = exceeds(rates, threshold)
    assert not exceeds(threshold, threshold)
    assert not (exceeds(rates, threshold + 1) & ~above).any()
    np.testing.assert_array_equal(above, exceeds(rates.astype("f4"), threshold))
