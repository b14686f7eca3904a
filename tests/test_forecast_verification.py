"""Forecasts that know no future, at the times they claim; scores as in the textbook, with their counts."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from pysteps.verification.detcatscores import det_cat_fct

from nowcastlib import NowcastError, baselines, store, synthetic
from nowcastlib.baselines import BASELINES
from nowcastlib.forecast import Network, forecast, forecaster, observed_until
from nowcastlib.models import ConvEDLSTM, ModelConfig
from nowcastlib.training import TrainConfig
from nowcastlib.verification import evaluate, issue_times, mean_csi, verify


@pytest.fixture(scope="module")
def storm():
    """Synthetic rain, 12 frames of 64 px, that moves 2 px east and 1 px south a step."""
    rain = synthetic.rain(synthetic.Storm(seed=3, size=64, wet_fraction=0.5, lifetime=600), 12)
    return store.as_frames(rain)


def network(n_in=4, **changes):
    """An untrained network as a forecaster, without its files."""
    torch.manual_seed(0)
    run = Network.__new__(Network)
    run.config, run.n_in = TrainConfig(ModelConfig((4, 4), (3, 3)), n_in=n_in), n_in
    run.model = ConvEDLSTM(run.config.model).eval()
    return run


RUNS = BASELINES | {"network": network()}
every_run = pytest.mark.parametrize("name", sorted(RUNS))


# forecasts


@every_run
def test_forecast_has_valid_times_units_and_grid(storm, name):
    predicted = forecast(RUNS[name], storm, "2024-06-01T00:30", 4)
    assert predicted.dims == ("lead_time", "y", "x") and predicted.dtype == "f4"
    assert predicted.lead_time.values.tolist() == [5, 10, 15, 20] and predicted.lead_time.attrs["units"] == "minutes"
    assert (predicted.valid_time.values == storm.time.values[7:11]).all()
    assert predicted.issued == storm.time[6] and predicted.attrs["units"] == "mm h-1"
    assert (predicted.y == storm.y).all() and (predicted.x == storm.x).all()
    assert np.nanmin(predicted) >= 0 and np.isfinite(predicted).mean() > 0.6


@every_run
def test_forecast_does_not_see_the_future(storm, name):
    changed = storm.copy(deep=True)
    changed[7:] = 77.0
    at = storm.time.values[6]
    xr.testing.assert_identical(forecast(RUNS[name], storm, at, 3), forecast(RUNS[name], changed, at, 3))
    changed[6] = 0.0
    assert (forecast(RUNS[name], storm, at, 3) != forecast(RUNS[name], changed, at, 3)).any()


@pytest.mark.parametrize("name", sorted(BASELINES))
@pytest.mark.parametrize("unobserved", [False, True])
def test_dry_sky_stays_dry(name, unobserved):
    dry = np.zeros((3, 32, 32))
    dry[:, :4] = np.nan if unobserved else 0.0
    predicted = BASELINES[name](dry, 3)
    assert predicted.shape == (3, 32, 32)
    assert (np.isnan(predicted) == np.isnan(dry)).all() and np.nanmax(predicted) == 0


def test_last_dry_frame_gives_dry_sprog(storm):
    rain = storm.values[:3].copy()
    rain[-1] = 0
    assert np.nanmax(baselines.sprog(rain, 2)) == 0


def test_persistence_is_the_last_frame(storm):
    assert (baselines.persistence(storm.values, 3) == storm.values[-1]).all()


@pytest.mark.parametrize(("right", "down"), [(2, -1), (-3, 0), (0, 4)])
def test_extrapolation_carries_a_pixel_where_it_must(monkeypatch, right, down):
    velocity = np.stack([np.full((32, 32), float(right)), np.full((32, 32), float(down))])
    monkeypatch.setattr(baselines, "motion", lambda observed: velocity)
    observed = np.zeros((3, 32, 32))
    observed[-1, 15, 16] = 8.0
    for lead, field in enumerate(baselines.extrapolation(observed, 3), 1):
        expected = np.zeros((32, 32))
        expected[15 + down * lead, 16 + right * lead] = 8.0
        y, x = np.mgrid[:32, :32]
        inside = (x - right * lead >= 0) & (x - right * lead < 32) & (y - down * lead >= 0) & (y - down * lead < 32)
        np.testing.assert_allclose(field, np.where(inside, expected, np.nan), atol=1e-9)


@pytest.mark.parametrize("name", ["extrapolation", "sprog"])
def test_optical_flow_beats_persistence_on_moving_rain(storm, name):
    truth, at = storm.values[7:10], storm.time.values[6]

    def correlation(run):
        predicted = forecast(run, storm, at, 3).values[:, 8:-8, 8:-8].ravel()
        return np.corrcoef(np.log10(predicted + 0.1), np.log10(truth[:, 8:-8, 8:-8] + 0.1).ravel())[0, 1]

    assert correlation(BASELINES[name]) > correlation(baselines.persistence) + 0.1


def test_sprog_smooths_and_stays_on_the_known_area(storm):
    rain = storm.values[:3].copy()
    rain[:, 20:24, 20:24] = np.nan
    carried, smooth = (BASELINES[name](rain, 6)[-1] for name in ("extrapolation", "sprog"))
    assert (np.isnan(carried) == np.isnan(smooth)).all() and np.isnan(smooth[16:48, 16:48]).any()
    roughness = [np.nanmean(np.abs(np.diff(np.log10(rain + 0.1)))) for rain in (smooth, carried)]
    assert roughness[0] < 0.9 * roughness[1]


def test_network_forecast_is_rain_where_there_is_sight():
    rain = np.random.default_rng(0).gamma(0.5, 4, (6, 21, 30))
    rain[-1, :3], rain[:-1, 5] = np.nan, np.nan
    predicted = network()(rain, 5)
    assert predicted.shape == (5, 21, 30)
    assert np.isnan(predicted[:, :3]).all() and np.isfinite(predicted[:, 3:]).all()
    known = predicted[:, 3:]
    assert ((known == 0) | (known >= baselines.DRY)).all()


def test_frame_that_is_needed_and_missing_is_told(storm):
    holed = storm.isel(time=[0, 1, 2, 4, 5, 6, 7])
    with pytest.raises(NowcastError, match=r"needs 3 frames, 0 days 00:05:00 apart, .* none at 2024-06-01 00:15:00"):
        forecast(baselines.persistence, holed, storm.time.values[5])
    with pytest.raises(NowcastError, match=r"none at 2024-06-01 23:50:00 \(the store holds 2024-06-01"):
        forecast(baselines.persistence, storm, "2024-06-02")
    with pytest.raises(NowcastError, match="needs 4 frames"):
        forecast(network(), storm.isel(time=slice(3)))
    with pytest.raises(NowcastError, match="needs 3 frames"):
        forecast(baselines.persistence, storm.isel(time=slice(1)))
    with pytest.raises(NowcastError, match="'noon' is no time"):
        forecast(baselines.persistence, storm, "noon")
    with pytest.raises(NowcastError, match="ask for at least 1"):
        forecast(baselines.persistence, storm, leads=0)


def test_default_time_is_the_last_and_a_zone_is_minded(storm):
    assert observed_until(storm, None, 2).time.values.tolist() == storm.time.values[-2:].tolist()
    assert observed_until(storm, "2024-06-01T02:30+02:00", 1).time.values[0] == storm.time.values[6]


def test_network_of_one_frame_knows_the_step(storm):
    assert forecast(network(n_in=1), storm, leads=2).lead_time.values.tolist() == [5, 10]


def test_unknown_forecaster_is_told(tmp_path):
    with pytest.raises(NowcastError, match=r"no forecaster 'zzz': .*persistence, extrapolation, sprog"):
        forecaster("zzz")
    (tmp_path / "last.pt").write_text("a checkpoint is no forecaster")
    with pytest.raises(NowcastError, match="no forecaster"):
        forecaster(tmp_path / "last.pt")


# scores


def finley():
    """The tornadoes of 1884 as one field: 28 hits, 72 false alarms, 23 misses, 2680 correct negatives."""
    counts = [28, 72, 23, 2680]
    return (np.repeat(v, counts).reshape(1, 1, -1) for v in ([1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0]))


def test_scores_of_the_textbook():
    score = verify([tuple(finley())], [0.5]).iloc[0]
    assert score[["hits", "false_alarms", "misses", "correct_negatives"]].tolist() == [28, 72, 23, 2680]
    assert score[["csi", "pod", "far", "bias"]].tolist() == pytest.approx([0.2276, 0.549, 0.72, 1.9608], abs=5e-5)
    assert score.mse == pytest.approx((72 + 23) / 2803) and score.cases == 1


def test_scores_equal_pysteps():
    rng = np.random.default_rng(0)
    pairs = [tuple(rng.gamma(0.4, 6, (2, 2, 30, 40))) for _ in range(3)]
    for predicted, observed in pairs:
        predicted[0, :4], observed[:, :, :3] = np.nan, np.nan
    scores = verify(pairs, [0.5, 5.0]).set_index(["lead", "threshold"])
    for (lead, threshold), score in scores.iterrows():
        predicted, observed = (np.stack([pair[k][lead] for pair in pairs]) for k in (0, 1))
        seen = np.isfinite(observed)
        expected = det_cat_fct(np.nan_to_num(predicted)[seen], observed[seen], threshold, ["CSI", "POD", "FAR"])
        assert [score.csi, score.pod, score.far] == pytest.approx(
            [expected[k] for k in ("CSI", "POD", "FAR")], abs=1e-9
        )


def test_unknown_forecast_counts_as_dry_and_unobserved_as_nothing():
    predicted = np.array([[[np.nan, np.nan, 3.0, 3.0]]])
    observed = np.array([[[4.0, 0.0, np.nan, 3.0]]])
    score = verify([(predicted, observed)], [1.0]).iloc[0]
    assert score[["hits", "misses", "false_alarms", "correct_negatives"]].tolist() == [1, 1, 0, 1]
    assert score.mse == pytest.approx(16 / 3)


def test_undefined_scores_stay_undefined_with_their_counts():
    dry, wet, blind = np.zeros((1, 2, 2)), np.ones((1, 2, 2)), np.full((1, 2, 2), np.nan)
    nothing, alarm, unseen = (verify([pair], [0.5]).iloc[0] for pair in ((dry, dry), (wet, dry), (dry, blind)))
    assert nothing[["csi", "pod", "far", "bias"]].isna().all() and nothing.correct_negatives == 4 and nothing.mse == 0
    assert (alarm.csi, alarm.far, alarm.false_alarms) == (0, 1, 4) and np.isnan([alarm.pod, alarm.bias]).all()
    assert unseen[["hits", "misses", "false_alarms", "correct_negatives"]].sum() == 0 and np.isnan(unseen.mse)


def test_rain_at_the_threshold_is_none():
    field = np.array([[[0.5, 0.5001]]])
    assert verify([(field, field)], [0.5]).hits.tolist() == [1]


def test_cases_are_pooled_before_dividing():
    many, few = (np.ones((1, 10, 10)), np.ones((1, 10, 10))), (np.zeros((1, 10, 10)), np.zeros((1, 10, 10)))
    few[1][0, 0, 0] = 1.0
    assert verify([many, few], [0.5]).csi.tolist() == [100 / 101]


def test_pairs_that_do_not_fit_are_told():
    with pytest.raises(NowcastError, match=r"forecast \(1, 2, 3\) and observation \(1, 3, 2\) are on different grids"):
        verify([(np.zeros((1, 2, 3)), np.zeros((1, 3, 2)))], [0.5])
    with pytest.raises(NowcastError, match="no case"):
        verify([], [0.5])


def test_evaluation_shows_matching_clocks_and_fair_cases(storm):
    scores = evaluate(storm, RUNS, leads=3, thresholds=(0.5, 5.0), size=0, every=2, progress=False)
    assert scores.groupby("forecaster").size().to_dict() == dict.fromkeys(RUNS, 4 * 2)
    now = scores[scores.lead_time == 0]
    assert (now.csi == 1).all() and (now.mse == 0).all()
    assert sorted(scores.lead_time.unique()) == [0, 5, 10, 15] and (scores.cases == 3).all()
    later = scores[(scores.lead_time == 15) & (scores.threshold == 0.5)].set_index("forecaster")
    assert later.csi["extrapolation"] > later.csi["persistence"] > 0
    assert later.hits.add(later.misses).nunique() == 1  # the same rain for all


def test_perfect_forecaster_scores_1_at_its_valid_times(storm):
    truth = {f.tobytes(): k for k, f in enumerate(storm.values.astype("f8"))}

    def oracle(observed, n):
        return storm.values[truth[observed[-1].tobytes()] + 1 :][:n]

    scores = evaluate(storm, {"oracle": oracle}, leads=4, thresholds=(0.5,), size=0, progress=False)
    assert (scores.csi == 1).all() and (scores.mse == 0).all() and scores.cases[0] == 12 - 2 - 4


def test_size_and_margin_are_kept_to(storm):
    shapes = []

    def spy(observed, n):
        shapes.append(observed.shape)
        assert (observed[-1] == storm.sel(time=storm.time[len(shapes) + 1]).values[16:48, 16:48]).all()
        return baselines.persistence(observed, n)

    scores = evaluate(storm, {"spy": spy}, leads=2, thresholds=(0.5,), size=32, margin=6, progress=False)
    counts = scores[["hits", "misses", "false_alarms", "correct_negatives"]].sum(axis=1)
    assert set(shapes) == {(3, 32, 32)} and (counts == scores.cases * 20 * 20).all()
    last = scores.iloc[-1]
    expected = verify(
        [(storm.values[t : t + 1, 22:42, 22:42], storm.values[t + 2 : t + 3, 22:42, 22:42]) for t in range(2, 10)],
        [0.5],
    ).iloc[0]
    assert (last.hits, last.misses, last.csi) == (expected.hits, expected.misses, expected.csi)


def test_evaluation_that_is_not_possible_is_told(storm):
    runs = {"persistence": baselines.persistence}
    with pytest.raises(NowcastError, match=r"12 frames hold no 3 \+ 10 in a row: ask for fewer leads"):
        evaluate(storm, runs, leads=10, progress=False)
    with pytest.raises(NowcastError, match="a margin of 32 px leaves nothing"):
        evaluate(storm, runs, leads=2, margin=32, progress=False)
    with pytest.raises(NowcastError, match=r"no rain above 0\.5 mm/h"):
        evaluate(storm * 0, runs, leads=2, progress=False)
    with pytest.raises(NowcastError, match="hold no 3"):
        evaluate(storm.isel(time=slice(1)), runs, leads=2, progress=False)


def test_issue_times_keep_clear_of_gaps(storm):
    holed = storm.isel(time=[0, 1, 2, 3, 4, 6, 7, 8, 9])
    assert issue_times(holed, 2, 2).tolist() == [pd.Timestamp(storm.time.values[k]) for k in (1, 2, 7)]
    assert issue_times(holed, 2, 2, every=2).tolist() == [pd.Timestamp(storm.time.values[k]) for k in (1, 7)]


def test_mean_csi_leaves_lead_0_out_and_undefined_undefined():
    rows = [("b", 0, 1.0, 1.0), ("b", 5, 1.0, 0.4), ("b", 10, 1.0, 0.2), ("a", 0, 1.0, 1.0), ("a", 5, 1.0, 0.5)]
    rows += [("a", 10, 1.0, np.nan), ("a", 5, 9.0, np.nan), ("b", 5, 9.0, 0.1)]
    table = mean_csi(pd.DataFrame(rows, columns=["forecaster", "lead_time", "threshold", "csi"]))
    assert table.index.tolist() == ["b", "a"] and table.loc["b", 1.0] == pytest.approx(0.3)
    assert np.isnan(table.loc["a", 1.0]) and np.isnan(table.loc["a", 9.0]) and table.loc["b", 9.0] == 0.1
