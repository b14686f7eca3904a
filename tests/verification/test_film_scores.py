"""Scores of films as papers on Moving MNIST report them, compared with values by hand."""

import numpy as np
import pytest
import torch

from nowcastlib.errors import NowcastError
from nowcastlib.verification import score_films

LN2 = np.log(2)


@pytest.fixture
def films():
    """Two pairs of films, 3 frames of 2 × 12 × 10 px."""
    rng = np.random.default_rng(0)
    return rng.uniform(0.01, 0.99, (2, 2, 3, 2, 12, 10)).astype("f4")


def test_cross_entropy_of_probability_one_half_is_ln_2_per_pixel():
    truth = (np.random.default_rng(0).random((2, 10, 1, 64, 64)) > 0.9).astype("f4")
    scores = score_films(np.full_like(truth, 0.5), truth)
    np.testing.assert_allclose(scores.bce, LN2, rtol=1e-12)
    np.testing.assert_allclose(scores.cross_entropy, 64 * 64 * LN2, rtol=1e-12)
    assert scores.cross_entropy.sum() == pytest.approx(28391.31, abs=0.01)  # ten frames
    np.testing.assert_allclose(scores.mse, 64 * 64 / 4, rtol=1e-12)
    np.testing.assert_allclose(scores.mae, 64 * 64 / 2, rtol=1e-12)
    np.testing.assert_allclose(scores.psnr, 20 * np.log10(2), rtol=1e-12)  # mean squared error 1/4
    assert list(scores) == ["bce", "cross_entropy", "mse", "mae", "ssim", "psnr"]
    assert scores.index.name == "lead"
    assert list(scores.index) == list(range(1, 11))


def test_cross_entropy_of_a_truth_between_0_and_1_follows_its_definition(films):
    q, p = films.astype("f8")
    entropy = -(p * np.log(q) + (1 - p) * np.log(1 - q))
    scores = score_films(*films)
    np.testing.assert_allclose(scores.bce, entropy.mean(axis=(0, 2, 3, 4)), rtol=1e-10)
    assert scores.bce.mean() == pytest.approx(entropy.mean(), rel=1e-10)
    of_sequence = entropy.sum(axis=(1, 2, 3, 4)).mean()
    assert scores.cross_entropy.sum() == pytest.approx(of_sequence, rel=1e-10)


def test_a_displaced_pixel_counts_as_two_errors():
    truth = np.zeros((2, 3, 1, 16, 16))
    truth[:, :, 0, 5, 5] = 1
    forecast = truth.copy()
    forecast[1, 2] = np.roll(truth[1, 2], 1, axis=-1)  # in the last frame of one of two films
    scores = score_films(forecast, truth)
    assert scores.mse.tolist() == scores.mae.tolist() == [0, 0, (0 + 2) / 2]
    assert scores.bce.tolist() == [0, 0, 100 * 2 / 2 / 256]  # two logarithms of 0, limited to -100
    assert scores.ssim[1] == scores.ssim[2] == 1
    assert 0.5 < scores.ssim[3] < 1
    assert scores.psnr.tolist() == [np.inf] * 3  # one of the two films has no error


def test_psnr_is_the_mean_of_the_decibels_of_the_frames():
    truth = np.zeros((2, 1, 1, 8, 8))
    forecast = truth + np.array([0.1, 0.01]).reshape(2, 1, 1, 1, 1)  # 20 and 40 dB
    assert score_films(forecast, truth).psnr[1] == pytest.approx(30)
    assert score_films(forecast, truth).mse[1] == pytest.approx(64 * (0.1**2 + 0.01**2) / 2)


def test_ssim_has_flat_windows_of_7_px_and_a_data_range_of_2(films):
    def ssim(x, y):
        c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
        similarities = []
        for i, j in np.ndindex(x.shape[0] - 6, x.shape[1] - 6):
            a, b = x[i : i + 7, j : j + 7].ravel(), y[i : i + 7, j : j + 7].ravel()
            (va, cov), (_, vb) = np.cov(a, b)
            means = (2 * a.mean() * b.mean() + c1) / (a.mean() ** 2 + b.mean() ** 2 + c1)
            similarities.append(means * (2 * cov + c2) / (va + vb + c2))
        return np.mean(similarities)

    scores = score_films(*films)
    for t in range(3):
        direct = [ssim(*films[:, b, t, c].astype("f8")) for b, c in np.ndindex(2, 2)]
        assert scores.ssim[t + 1] == pytest.approx(np.mean(direct), rel=1e-9)


def test_tensors_and_arrays_have_the_same_scores(films):
    forecast = torch.tensor(films[0], requires_grad=True)  # as it comes from a network
    scores = score_films(*films)
    assert scores.notna().all(axis=None)
    assert score_films(forecast, torch.tensor(films[1])).equals(scores)


def test_score_of_all_films_is_the_mean_over_equal_parts(films):
    parts = [score_films(films[0, b : b + 1], films[1, b : b + 1]) for b in range(2)]
    np.testing.assert_allclose(sum(parts) / 2, score_films(*films), rtol=1e-12)


def test_wrong_shapes_and_ranges_are_refused(films):
    forecast, truth = films
    message = r"\(2, 2, 2, 12, 10\) and truth \(2, 3, 2, 12, 10\) differ in shape"
    with pytest.raises(NowcastError, match=message):
        score_films(forecast[:, :2], truth)
    for wrong in (truth[0], truth[:0], truth[..., :6]):
        with pytest.raises(NowcastError, match=r"shape \(B, T, C, H, W\)"):
            score_films(wrong, wrong)
    for value in (-0.01, 1.01, np.nan):
        broken = truth.copy()
        broken[1, 2, 1, 3, 4] = value
        message = r"the forecast ranges from \S+ to \S+, not within 0 to 1"
        with pytest.raises(NowcastError, match=message):
            score_films(broken, truth)
        with pytest.raises(NowcastError, match="the truth ranges from"):
            score_films(forecast, broken)
