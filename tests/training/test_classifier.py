"""A classifier trains by the same loop: same files, exact resume, labels in place of frames."""

import numpy as np
import pytest
import torch
from small_networks import Clock, one_thread, quiet, same, weights  # noqa: F401

from nowcastlib.data import GivenClips
from nowcastlib.errors import NowcastError
from nowcastlib.networks import ClassifierConfig, build, probability
from nowcastlib.training import default_config, fit, load, validate
from nowcastlib.training.step import penalty

CONFIG = default_config("classifier").changed(
    model=ClassifierConfig(hidden=(4, 4), kernel=(3, 3), patch=1), n_in=3, n_out=1, crop=16,
    first_lead=1, centre=4, epochs=4, steps=2, batch=4, precision="no",
)  # fmt: skip


def clips(n=16, oversample=False):
    """Clips of noise; a spot that grows has the label 1, one that shrinks 0."""
    rng = np.random.default_rng(0)
    labels = (np.arange(n) % 4 == 0).astype("f4")
    films = 0.1 * torch.from_numpy(rng.random((n, 3, 1, 16, 16), dtype="f4"))
    for film, grows in zip(films, labels, strict=True):
        for t, side in enumerate((2, 4, 6) if grows else (6, 4, 2)):
            film[t, :, 4 : 4 + side, 4 : 4 + side] = 0.9
    return GivenClips(films, labels, oversample)


def train(out, config=CONFIG, train_on=None, **options):
    return fit(config, train_on or clips(), clips(), out, quiet(**options))


def test_a_batch_is_learned_by_heart_and_the_run_is_saved(tmp_path):
    config = CONFIG.changed(epochs=6, steps=8, lr=2e-2)
    model, history = train(tmp_path / "run", config)
    given = clips()
    answer = probability(model, given.clips)
    assert ((answer > 0.5).numpy() == (given.labels == 1)).all()
    assert history.validation.iloc[-1] < 0.45 < history.train.iloc[0]
    assert {p.name for p in (tmp_path / "run").iterdir()} >= {
        "model.safetensors", "config.json", "history.csv", "batches.csv", "last.pt",
    }  # fmt: skip

    loaded, read = load(tmp_path / "run")
    assert read == config
    assert torch.equal(probability(loaded, given.clips), answer)


def test_a_resumed_run_equals_one_without_interruption(tmp_path):
    """Dropout and the statistics of the batch normalisation included."""
    config = CONFIG.changed(dropout=0.5)
    whole, _ = train(tmp_path / "whole", config)

    class Stop(Exception):
        pass

    def stop(history):
        if len(history) == 2:
            raise Stop

    with pytest.raises(Stop):
        train(tmp_path / "parts", config, on_epoch=stop)
    resumed, history = train(tmp_path / "parts", config, resume=True)
    assert len(history) == 4
    assert same(weights(whole), weights(resumed))


def test_frames_and_labels_are_not_confused(tmp_path):
    with pytest.raises(NowcastError, match=r"train set has frames, and a classifier .* labels"):
        train(tmp_path / "a", train_on=Clock())
    with pytest.raises(NowcastError, match=r"has clips with labels, and a convedlstm .* frames"):
        train(tmp_path / "b", default_config("convedlstm").changed(n_in=2, n_out=1, crop=16))
    with pytest.raises(NowcastError, match=r"samples of 3 frames, but n_in = 5"):
        train(tmp_path / "c", CONFIG.changed(n_in=5))


def test_oversampling_draws_both_labels_equally_often(tmp_path):
    """With a constant answer of one half the loss tells nothing; so count what is drawn."""
    drawn = []

    class Counting(GivenClips):
        def __getitem__(self, i):
            drawn.append(self.labels[i])
            return super().__getitem__(i)

    for oversample, share in ((False, 0.25), (True, 0.5)):
        drawn.clear()
        given = clips()
        counting = Counting(given.clips, given.labels, oversample)
        train(tmp_path / str(oversample), CONFIG.changed(steps=25), counting)
        assert np.mean(drawn) == pytest.approx(share, abs=0.09)


def test_loss_of_a_constant_answer_is_its_cross_entropy():
    model = build(CONFIG.model)
    torch.nn.init.zeros_(model.head.weight)
    torch.nn.init.zeros_(model.head.bias)
    assert validate(model, CONFIG, clips()) == pytest.approx(np.log(2), rel=1e-5)
    weighted = validate(model, CONFIG.changed(pos_weight=3.0), clips())
    assert weighted == pytest.approx(np.log(2) * (0.75 + 3 * 0.25), rel=1e-5)


def test_penalty_is_that_of_kernels_and_matrices():
    layers = torch.nn.Sequential(
        torch.nn.Conv2d(1, 1, 2), torch.nn.BatchNorm2d(1), torch.nn.Linear(2, 1)
    )
    for parameter in layers.parameters():
        torch.nn.init.constant_(parameter, -2.0)
    weights_of_layers = 4 + 2  # not the biases, not the norm
    assert penalty(layers, 1.0, 0.0) == 2 * weights_of_layers
    assert penalty(layers, 0.0, 1.0) == 4 * weights_of_layers


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("classifier", {"curriculum": (1, 2)}, "a classifier forecasts no frames"),
        ("classifier", {"first_lead": 13}, "first_lead is 13, but n_out is 12"),
        ("classifier", {"loss": "mse"}, "mse does not suit a classifier"),
        ("convedlstm", {"rate": 2.0}, "labels of clips are for a classifier"),
        ("convedlstm", {"pos_weight": 2.0}, "pos_weight is for a classifier"),
    ],
)
def test_options_of_other_networks_are_refused(kind, changes, message):
    with pytest.raises(ValueError, match=message):
        default_config(kind).changed(**changes)
