"""Baselines: rain goes where its motion says, and what has no motion, no cascade or no sight is borne with."""

import numpy as np
import pytest
from made_forecasts import log_correlation, moving_rain

from nowcastlib.data import storms
from nowcastlib.forecasting import baselines, forecast
from nowcastlib.forecasting.baselines import BASELINES

every_baseline = pytest.mark.parametrize("name", sorted(BASELINES))
ADVECTING = sorted({*BASELINES} - {"persistence"})


@pytest.fixture(scope="module")
def storm():
    return moving_rain()


def fields(name, observed, n=3):
    """The forecast of a baseline, (member, n, y, x); that of a single field has one member."""
    predicted = BASELINES[name](observed, n)
    assert predicted.shape[-3:] == (n, *observed.shape[1:]) and predicted.ndim == 3 + (
        name == "steps"
    )
    return predicted.reshape(-1, n, *observed.shape[1:])


def test_persistence_is_the_last_frame(storm):
    assert (baselines.persistence(storm.values, 3) == storm.values[-1]).all()


@pytest.mark.parametrize("method", ["LK", "proesmans"])
@pytest.mark.parametrize("size", [48, 128])
def test_motion_is_that_of_the_rain(method, size):
    made = storms.Storm(
        seed=1, size=size, velocity=(2.0, 1.0), wet_fraction=0.6, lifetime=1e6, outer_scale=30.0
    )
    velocity = baselines.motion(storms.rain(made, 3), method)[:, 8:-8, 8:-8].mean((1, 2))
    np.testing.assert_allclose(velocity, (2.0, 1.0), atol=0.5)


def test_proesmans_goes_by_a_motion_of_its_own(storm):
    carried, other = baselines.extrapolation(storm.values, 2), baselines.proesmans(storm.values, 2)
    np.testing.assert_array_equal(other, baselines.extrapolation(storm.values, 2, "proesmans"))
    assert np.nanmean(np.abs(carried - other)) > 0.01


@pytest.mark.parametrize("name", ["extrapolation", "proesmans"])
@pytest.mark.parametrize(("right", "down"), [(2, -1), (-3, 0), (0, 4)])
def test_extrapolation_carries_a_pixel_where_it_must(monkeypatch, name, right, down):
    velocity = np.stack([np.full((32, 32), float(right)), np.full((32, 32), float(down))])
    monkeypatch.setattr(baselines, "motion", lambda observed, method="LK": velocity)
    observed = np.zeros((3, 32, 32))
    observed[-1, 15, 16] = 8.0
    for lead, field in enumerate(BASELINES[name](observed, 3), 1):
        expected = np.zeros((32, 32))
        expected[15 + down * lead, 16 + right * lead] = 8.0
        y, x = np.mgrid[:32, :32]
        inside = (
            (x - right * lead >= 0)
            & (x - right * lead < 32)
            & (y - down * lead >= 0)
            & (y - down * lead < 32)
        )
        np.testing.assert_allclose(field, np.where(inside, expected, np.nan), atol=1e-9)


@pytest.mark.parametrize("name", ADVECTING)
def test_moving_rain_is_carried_along(storm, name):
    at, inner = 6, np.s_[..., 8:-8, 8:-8]

    def correlation(run):
        predicted = forecast(run, storm, storm.time.values[at], 3)
        predicted = predicted.mean("member") if "member" in predicted.dims else predicted
        return log_correlation(predicted.values[inner], storm.values[at + 1 : at + 4][inner])

    assert correlation(BASELINES[name]) > correlation(BASELINES["persistence"]) + 0.1


# skies and frames that are awkward


@every_baseline
@pytest.mark.parametrize("unobserved", [False, True])
def test_dry_sky_stays_dry(name, unobserved):
    dry = np.zeros((4, 32, 32))
    dry[:, :4] = np.nan if unobserved else 0.0
    for member in fields(name, dry):
        assert (np.isnan(member) == np.isnan(dry[:3])).all() and np.nanmax(member) == 0


@every_baseline
def test_sky_that_clears_up_stays_dry(storm, name):
    rain = storm.values[:4].copy()
    rain[-1] = 0
    assert np.nanmax(fields(name, rain)) == 0


@every_baseline
def test_nothing_observed_is_nothing_known(storm, name):
    blind = storm.values[:4].copy()
    blind[-1] = np.nan
    assert np.isnan(fields(name, blind)).all() and np.isnan(fields(name, blind * np.nan)).all()


@every_baseline
@pytest.mark.parametrize(
    "cut", [np.s_[:, 30:31], np.s_[:, :, 30:31], np.s_[:, 26:38], np.s_[:, 8:9, 8:9]]
)
def test_strip_too_narrow_for_motion_stands_still(storm, name, cut):
    strip = storm.values[4:8][cut]
    assert strip.any() and (fields(name, strip) == strip[-1]).all()


@every_baseline
@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (24, 50), (33, 47)])
def test_small_frames_are_forecast(storm, name, rows, columns):
    predicted = fields(name, storm.values[4:8, 20 : 20 + rows, 10 : 10 + columns])
    assert (
        np.nanmin(predicted) == 0
        and 1 < np.nanmax(predicted) < 100
        and np.isfinite(predicted[:, 0]).mean() > 0.5
    )


@every_baseline
def test_rain_that_does_not_change_stays(name):
    """A picture that came twice, or a single pixel of clutter: no scale forgets itself, nothing moves."""
    clutter = np.zeros((4, 32, 32))
    clutter[:, 16, 12] = 5.0, 7.0, 4.0, 6.0
    for still in (clutter, clutter.clip(0, 4), np.full((4, 32, 32), 2.0)):
        predicted = fields(name, still)
        np.testing.assert_allclose(
            predicted, np.broadcast_to(still[-1], predicted.shape), atol=1e-9
        )


@every_baseline
def test_single_precision_is_the_same_forecast(storm, name):
    rain = storm.values[:4].astype("f4")
    single, double = fields(name, rain), fields(name, rain.astype("f8"))
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-3)


@every_baseline
def test_observation_is_left_as_it_was(storm, name):
    rain = storm.values[:4].astype("f8")
    rain[:, :3] = np.nan
    before = rain.copy()
    fields(name, rain)
    np.testing.assert_array_equal(rain, before)


@pytest.mark.parametrize("name", ["sprog", "anvil", "steps"])
@pytest.mark.parametrize("dry", [None, 1])
def test_unknown_is_alike_for_all_who_go_by_the_same_motion(storm, name, dry):
    rain = storm.values[:4].copy()
    rain[:, 20:24, 20:24] = np.nan
    if dry is not None:
        rain[dry] = 0.0
    carried, known = baselines.extrapolation(rain, 6), fields(name, rain, 6)
    assert np.isnan(carried[-1, 16:48, 16:48]).any() and np.isnan(carried[-1, :, 0]).all()
    if name == "steps" and dry is None:  # each of its members has a motion of its own
        assert np.isnan(known).any(0)[np.isnan(carried)].all()
        assert abs(np.isnan(known).mean() - np.isnan(carried).mean()) < 0.05
    else:
        assert all((np.isnan(member) == np.isnan(carried)).all() for member in known)


@pytest.mark.parametrize("name", ["sprog", "anvil", "steps"])
def test_it_is_not_dry_beside_the_unknown(name):
    """Rain all over that comes in from the left: what an older frame has not seen is not therefore dry."""
    made = storms.Storm(seed=1, size=64, velocity=(3.0, 0.0), wet_fraction=0.98, lifetime=1e6)
    rain = storms.rain(made, 4) + 0.2
    carried, predicted = baselines.extrapolation(rain, 2)[0], fields(name, rain, 2)[:, 0]
    beside = np.isfinite(carried) & (np.arange(64) < 12)
    assert beside.sum() > 400 and np.isfinite(predicted[:, beside]).mean() > 0.85
    assert np.nanmean(predicted[:, beside] == 0) < 0.1
    assert np.nanmean(predicted[:, beside]) == pytest.approx(carried[beside].mean(), rel=0.25)


# what sets S-PROG, ANVIL and STEPS apart


def roughness(rain):
    """How much rain rate (…, y, x), in decades, differs from one column to the next, where known."""
    return np.nanmean(np.abs(np.diff(np.log10(rain + 0.1))))


def test_sprog_smooths(storm):
    carried, smooth = (
        roughness(BASELINES[name](storm.values[:3], 6)[-1]) for name in ("extrapolation", "sprog")
    )
    assert smooth < 0.9 * carried


def test_anvil_forecasts_growth():
    """Rain that grows by 20 % a step where it is: extrapolation keeps the last of it, ANVIL expects more."""
    made = storms.Storm(seed=2, size=64, velocity=(0.0, 0.0), wet_fraction=0.5, lifetime=1e6)
    rain = storms.rain(made, 1)[0] * 1.2 ** np.arange(4)[:, None, None]
    carried, grown = (BASELINES[name](rain, 2)[0] for name in ("extrapolation", "anvil"))
    heavy = rain[-1] > 2
    assert np.nanmean(grown[heavy]) > 1.03 * np.nanmean(carried[heavy])


def test_steps_is_an_ensemble_of_rain_like_that_observed():
    made = storms.Storm(seed=4, size=64, wet_fraction=0.4, outer_scale=30.0, lifetime=60)
    rain = storms.rain(made, 3)
    predicted = baselines.steps(rain, 6, members=4)
    assert predicted.shape == (4, 6, 64, 64)
    np.testing.assert_array_equal(
        predicted, baselines.steps(rain, 6, members=4)
    )  # the same lot every time
    inner = predicted[:, :, 16:48, 16:48]
    apart = [
        np.nanmean(np.abs(inner[a] - inner[b])) / rain[-1].mean()
        for a in range(4)
        for b in range(a)
    ]
    assert min(apart) > 0.2
    spread = np.nanmean(np.nanstd(inner, axis=0), axis=(1, 2))
    assert spread[-1] > 1.5 * spread[0] > 0
    member, mean = (
        np.nanmean(np.abs(np.diff(field[-1]))) for field in (predicted[0], predicted.mean(0))
    )
    assert mean < 0.8 * member and roughness(predicted[0, -1]) > 0.8 * roughness(rain[-1])
    for field in predicted[:, -1]:
        known = np.isfinite(field)
        assert 0.5 < np.mean(field[known] > 0.1) / np.mean(rain[-1] > 0.1) < 1.5
        assert 0.4 < np.mean(field[known]) / np.mean(rain[-1]) < 2.5


def test_steps_leaves_the_random_numbers_of_others_alone(storm):
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    baselines.steps(storm.values[:3], 1, members=2)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_steps_of_one_member_is_an_ensemble(storm):
    assert baselines.steps(storm.values[:3], 2, members=1).shape == (1, 2, 64, 64)
