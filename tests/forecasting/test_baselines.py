"""Baselines: rain moves with its motion; dry, narrow, constant and unobserved frames work too."""

import warnings

import numpy as np
import pytest
from made_forecasts import log_correlation, moving_rain

from nowcastlib.data import storms
from nowcastlib.forecasting import baselines, forecast
from nowcastlib.forecasting.baselines import BASELINES, Baseline

every_baseline = pytest.mark.parametrize("name", sorted(BASELINES))
ADVECTING = sorted({*BASELINES} - {"persistence"})


@pytest.fixture(scope="module")
def storm():
    return moving_rain()


def fields(name, observed, n=3):
    """Forecast of a baseline, (member, n, y, x); a single forecast is one member."""
    predicted = BASELINES[name](observed, n)
    assert predicted.shape[-3:] == (n, *observed.shape[1:])
    assert predicted.ndim == (4 if name == "steps" else 3)
    return predicted.reshape(-1, n, *observed.shape[1:])


def test_persistence_is_the_last_frame(storm):
    assert (baselines.persistence(storm.values, 3) == storm.values[-1]).all()


@pytest.mark.parametrize("method", ["LK", "proesmans"])
@pytest.mark.parametrize("size", [48, 128])
def test_motion_is_the_velocity_of_the_rain(method, size):
    storm = storms.Storm(
        seed=1, size=size, velocity=(2.0, 1.0), wet_fraction=0.6, lifetime=1e6, outer_scale=30.0
    )
    velocity = baselines.motion(storms.rain(storm, 3), method)[:, 8:-8, 8:-8].mean((1, 2))
    np.testing.assert_allclose(velocity, (2.0, 1.0), atol=0.5)


@pytest.mark.parametrize("frames_of_the_second", [0, 2])
def test_two_or_three_tracked_corners_give_a_motion_without_a_warning(frames_of_the_second):
    y, x = np.mgrid[:48, :48]
    rain = np.zeros((3, 48, 48))
    for t in range(3):  # one shower to the right: a corner for each pair of frames
        rain[t] += 8 * np.exp(-((x - 10 - t) ** 2 + (y - 10) ** 2) / 4.5)
    for t in range(frames_of_the_second):  # one downwards: a third corner
        rain[t] += 8 * np.exp(-((x - 34) ** 2 + (y - 12 - t) ** 2) / 4.5)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        velocity = baselines.motion(rain)
    assert np.isfinite(velocity).all()
    assert velocity.any()


def test_proesmans_has_its_own_motion_field(storm):
    tracked = baselines.extrapolation(storm.values, 2)
    other = baselines.proesmans(storm.values, 2)
    np.testing.assert_array_equal(other, baselines.extrapolation(storm.values, 2, "proesmans"))
    assert np.nanmean(np.abs(tracked - other)) > 0.01


@pytest.mark.parametrize("name", ["extrapolation", "proesmans"])
@pytest.mark.parametrize(("right", "down"), [(2, -1), (-3, 0), (0, 4)])
def test_extrapolation_moves_a_pixel_by_exactly_the_velocity(monkeypatch, name, right, down):
    velocity = np.stack([np.full((32, 32), float(right)), np.full((32, 32), float(down))])
    monkeypatch.setattr(baselines, "motion", lambda observed, method="LK": velocity)
    observed = np.zeros((3, 32, 32))
    observed[-1, 15, 16] = 8.0
    y, x = np.mgrid[:32, :32]
    for lead, field in enumerate(BASELINES[name](observed, 3), 1):
        expected = np.zeros((32, 32))
        expected[15 + down * lead, 16 + right * lead] = 8.0
        origin_x, origin_y = x - right * lead, y - down * lead
        inside = (origin_x >= 0) & (origin_x < 32) & (origin_y >= 0) & (origin_y < 32)
        np.testing.assert_allclose(field, np.where(inside, expected, np.nan), atol=1e-9)


@pytest.mark.parametrize("name", ADVECTING)
def test_advection_beats_persistence_for_moving_rain(storm, name):
    at, inner = 6, np.s_[..., 8:-8, 8:-8]

    def correlation(run):
        predicted = forecast(run, storm, storm.time.values[at], 3)
        predicted = predicted.mean("member") if "member" in predicted.dims else predicted
        return log_correlation(predicted.values[inner], storm.values[at + 1 : at + 4][inner])

    assert correlation(BASELINES[name]) > correlation(BASELINES["persistence"]) + 0.1


# difficult frames


@every_baseline
@pytest.mark.parametrize("unobserved", [False, True])
def test_dry_sky_stays_dry(name, unobserved):
    dry = np.zeros((4, 32, 32))
    dry[:, :4] = np.nan if unobserved else 0.0
    for member in fields(name, dry):
        assert (np.isnan(member) == np.isnan(dry[:3])).all()
        assert np.nanmax(member) == 0


@every_baseline
def test_rain_that_has_ended_stays_away(storm, name):
    rain = storm.values[:4].copy()
    rain[-1] = 0
    assert np.nanmax(fields(name, rain)) == 0


@every_baseline
def test_unobserved_last_frame_gives_no_forecast(storm, name):
    rain = storm.values[:4].copy()
    rain[-1] = np.nan
    assert np.isnan(fields(name, rain)).all()
    assert np.isnan(fields(name, rain * np.nan)).all()


@every_baseline
@pytest.mark.parametrize(
    "cut", [np.s_[:, 30:31], np.s_[:, :, 30:31], np.s_[:, 26:38], np.s_[:, 8:9, 8:9]]
)
def test_rain_in_a_strip_too_narrow_for_motion_stands_still(storm, name, cut):
    strip = storm.values[4:8][cut]
    assert strip.any()
    assert (fields(name, strip) == strip[-1]).all()


@every_baseline
@pytest.mark.parametrize(("rows", "columns"), [(16, 16), (24, 50), (33, 47)])
def test_small_frames_are_forecast(storm, name, rows, columns):
    predicted = fields(name, storm.values[4:8, 20 : 20 + rows, 10 : 10 + columns])
    assert np.nanmin(predicted) == 0
    assert 1 < np.nanmax(predicted) < 100
    assert np.isfinite(predicted[:, 0]).mean() > 0.5


@every_baseline
def test_rain_that_does_not_change_stays(name):
    """A repeated frame, or a single pixel of clutter: no scale changes and nothing moves."""
    clutter = np.zeros((4, 32, 32))
    clutter[:, 16, 12] = 5.0, 7.0, 4.0, 6.0
    for still in (clutter, clutter.clip(0, 4), np.full((4, 32, 32), 2.0)):
        predicted = fields(name, still)
        expected = np.broadcast_to(still[-1], predicted.shape)
        np.testing.assert_allclose(predicted, expected, atol=1e-9)


@every_baseline
def test_single_and_double_precision_give_the_same_forecast(storm, name):
    rain = storm.values[:4].astype("f4")
    single, double = fields(name, rain), fields(name, rain.astype("f8"))
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-3)


@every_baseline
def test_observation_is_not_changed(storm, name):
    rain = storm.values[:4].astype("f8")
    rain[:, :3] = np.nan
    before = rain.copy()
    fields(name, rain)
    np.testing.assert_array_equal(rain, before)


@pytest.mark.parametrize("name", ["sprog", "anvil", "steps"])
@pytest.mark.parametrize("dry", [None, 1])
def test_pixels_without_a_forecast_are_those_of_extrapolation(storm, name, dry):
    rain = storm.values[:4].copy()
    rain[:, 20:24, 20:24] = np.nan
    if dry is not None:
        rain[dry] = 0.0
    missing = np.isnan(baselines.extrapolation(rain, 6))
    assert missing[-1, 16:48, 16:48].any()
    assert missing[-1, :, 0].all()
    missing_members = np.isnan(fields(name, rain, 6))
    if name == "steps" and dry is None:  # each member has its own motion
        assert missing_members.any(0)[missing].all()
        assert abs(missing_members.mean() - missing.mean()) < 0.05
    else:
        assert all((member == missing).all() for member in missing_members)


@pytest.mark.parametrize("name", ["sprog", "anvil", "steps"])
def test_rain_continues_up_to_the_pixels_without_a_forecast(name):
    """Rain everywhere that enters from the left: pixels missing in older frames are not dry."""
    storm = storms.Storm(seed=1, size=64, velocity=(3.0, 0.0), wet_fraction=0.98, lifetime=1e6)
    rain = storms.rain(storm, 4) + 0.2
    advected = baselines.extrapolation(rain, 2)[0]
    near_edge = np.isfinite(advected) & (np.arange(64) < 12)
    assert near_edge.sum() > 400
    predicted = fields(name, rain, 2)[:, 0][:, near_edge]
    assert np.isfinite(predicted).mean() > 0.85
    assert np.nanmean(predicted == 0) < 0.1
    assert np.nanmean(predicted) == pytest.approx(advected[near_edge].mean(), rel=0.25)


# what S-PROG, ANVIL and STEPS add


def roughness(rain):
    """Mean difference of rain rate (…, y, x) between neighbouring columns, in decades."""
    return np.nanmean(np.abs(np.diff(np.log10(rain + 0.1))))


@pytest.mark.parametrize("name", ["sprog", "anvil", "steps"])
def test_motion_so_fast_that_the_earlier_rain_leaves_the_map_is_extrapolated(monkeypatch, name):
    rng = np.random.default_rng(0)
    observed = np.zeros((4, 64, 64))
    for t in range(4):  # showers here and there
        observed[t, 5 * t + 3 : 5 * t + 9, 28:34] = rng.gamma(2, 3, (6, 6))
    fast = np.stack([np.full((64, 64), 45.0), np.zeros((64, 64))])
    monkeypatch.setattr(baselines, "motion", lambda *_: fast)
    moved = baselines.extrapolation(observed, 2)
    for member in fields(name, observed, 2):
        np.testing.assert_array_equal(np.isfinite(member), np.isfinite(moved))


def test_sprog_smooths(storm):
    observed = storm.values[:3]
    advected, smooth = baselines.extrapolation(observed, 6), baselines.sprog(observed, 6)
    assert roughness(smooth[-1]) < 0.9 * roughness(advected[-1])


def test_anvil_forecasts_growth():
    """Rain that grows by 20 % a step: extrapolation keeps the last rate, ANVIL forecasts more."""
    storm = storms.Storm(seed=2, size=64, velocity=(0.0, 0.0), wet_fraction=0.5, lifetime=1e6)
    rain = storms.rain(storm, 1)[0] * 1.2 ** np.arange(4)[:, None, None]
    advected, grown = baselines.extrapolation(rain, 2)[0], baselines.anvil(rain, 2)[0]
    heavy = rain[-1] > 2
    assert np.nanmean(grown[heavy]) > 1.03 * np.nanmean(advected[heavy])


@pytest.fixture(scope="module")
def steps_case():
    """Three observed frames, and four members of STEPS for six steps."""
    storm = storms.Storm(seed=4, size=64, wet_fraction=0.4, outer_scale=30.0, lifetime=60)
    observed = storms.rain(storm, 3)
    return observed, baselines.steps(observed, 6, members=4)


def test_steps_gives_the_same_members_every_time(steps_case):
    observed, members = steps_case
    assert members.shape == (4, 6, 64, 64)
    np.testing.assert_array_equal(members, baselines.steps(observed, 6, members=4))


def test_members_of_steps_differ_more_and_more(steps_case):
    observed, members = steps_case
    inner = members[:, :, 16:48, 16:48]
    pairs = [(a, b) for a in range(4) for b in range(a)]
    distances = [np.nanmean(np.abs(inner[a] - inner[b])) for a, b in pairs]
    assert min(distances) > 0.2 * observed[-1].mean()
    spread = np.nanmean(np.nanstd(inner, axis=0), axis=(1, 2))  # by lead
    assert spread[-1] > 1.5 * spread[0] > 0


def test_members_of_steps_look_like_the_observed_rain(steps_case):
    observed, members = steps_case
    now = observed[-1]
    member_difference, mean_difference = (
        np.nanmean(np.abs(np.diff(field[-1]))) for field in (members[0], members.mean(0))
    )
    assert mean_difference < 0.8 * member_difference  # only the mean is smooth
    assert roughness(members[0, -1]) > 0.8 * roughness(now)
    for field in members[:, -1]:
        rate = field[np.isfinite(field)]
        assert 0.5 < np.mean(rate > 0.1) / np.mean(now > 0.1) < 1.5
        assert 0.4 < np.mean(rate) / np.mean(now) < 2.5


def test_steps_does_not_change_the_global_random_numbers(storm):
    np.random.seed(1)  # noqa: NPY002
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    baselines.steps(storm.values[:3], 1, members=2)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_steps_of_one_member_is_an_ensemble(storm):
    assert baselines.steps(storm.values[:3], 2, members=1).shape == (1, 2, 64, 64)


def test_a_function_becomes_a_forecaster_with_its_first_line_as_description():
    def halved(observed, n):
        """Half of the last frame.

        And so on.
        """
        return np.repeat(observed[-1:] / 2, n, axis=0)

    run = Baseline(halved, n_in=1)
    assert run.n_in == 1
    assert run(np.full((1, 2, 2), 4.0), 3).tolist() == np.full((3, 2, 2), 2).tolist()
    assert run.description == "Half of the last frame."


@every_baseline
def test_every_baseline_is_described_in_one_sentence(name):
    description = BASELINES[name].description
    assert description[0].isupper()
    assert description.endswith(".")
    assert len(description) < 100
