"""Lengths, probability of the truth and learning rate along a run, against values by hand."""

from functools import partial
from math import exp

import numpy as np
import pytest

from nowcastlib.training.config import TrainConfig
from nowcastlib.training.schedules import (
    DECAYS,
    forecast_length,
    input_length,
    learning_rate,
    truth_probability,
)

PLAIN = TrainConfig().changed(n_in=4, n_out=8, epochs=10, steps=4, lr=0.1)
GROWING = PLAIN.changed(curriculum=(2, 4, 8))


def test_each_length_of_the_curriculum_has_an_equal_share_of_the_epochs():
    lengths = [forecast_length(GROWING, e) for e in range(10)]
    assert lengths == [2, 2, 2, 2, 4, 4, 4, 8, 8, 8]
    assert forecast_length(GROWING, 3.99) == 2
    assert forecast_length(GROWING, 4.01) == 4
    assert {forecast_length(PLAIN, e) for e in range(10)} == {8}
    assert [forecast_length(GROWING.changed(epochs=3), e) for e in range(3)] == [2, 4, 8]


def test_curriculum_in_makes_the_input_grow_up_to_n_in():
    growing = GROWING.changed(curriculum_in=True)
    assert [input_length(growing, e) for e in range(10)] == [2, 2, 2, 2, 4, 4, 4, 4, 4, 4]
    assert {input_length(GROWING, e) for e in range(10)} == {4}
    assert input_length(PLAIN, 0) == 4


def test_truth_falls_linearly_along_its_share_of_the_run():
    config = PLAIN.changed(sampling=0.5)
    probabilities = [truth_probability(config, e) for e in range(10)]
    assert probabilities == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0, 0, 0, 0, 0])
    assert truth_probability(config, 0.5) == pytest.approx(0.9)
    assert truth_probability(config, 4.75) == pytest.approx(0.05)
    assert {truth_probability(PLAIN, e) for e in range(10)} == {0}


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("share", [0.3, 0.5, 1.0])
def test_truth_falls_from_1_to_exactly_0_and_stays_there(decay, share):
    config = PLAIN.changed(sampling=share, decay=decay)
    times = np.arange(0, 10 * share - 1e-9, 0.05)
    truth = [truth_probability(config, t) for t in times]
    assert truth[0] == pytest.approx(1, abs=1e-12)
    assert (np.diff(truth) < 0).all()

    no_jump = truth_probability(config, 10 * share - 1e-6)
    assert no_jump == pytest.approx(0, abs=1e-4)
    afterwards = {truth_probability(config, t) for t in np.arange(10 * share, 10, 0.05)}
    assert afterwards <= {0.0}
    assert truth_probability(config, 10 * share) == 0


def test_exponential_is_below_linear_and_inverse_sigmoid_is_symmetric():
    linear, exponential, sigmoid = (
        partial(truth_probability, PLAIN.changed(sampling=0.8, decay=name))
        for name in ("linear", "exponential", "inverse-sigmoid")
    )
    times = np.arange(0.25, 8, 0.25)
    assert all(exponential(t) < linear(t) for t in times)
    assert [sigmoid(t) + sigmoid(8 - t) for t in times] == pytest.approx([1] * len(times))
    assert sigmoid(1) > linear(1)
    assert sigmoid(7) < linear(7)

    offset = 1 / (exp(5) - 1)  # a true exponential, lowered so that it ends at 0
    ratios = [(exponential(t + 1) + offset) / (exponential(t) + offset) for t in times[:4]]
    assert ratios == pytest.approx([exp(-5 / 8)] * 4)


def test_learning_rate_follows_cosine_steps_or_stays_constant():
    expected = [0.1, 0.05 * (1 + 0.5**0.5), 0.05, 0]
    assert [learning_rate(PLAIN, e) for e in (0, 2.5, 5, 10)] == pytest.approx(expected)

    step = PLAIN.changed(schedule="step", gamma=0.5)
    expected = [0.1, 0.1, 0.05, 0.025, 0.0125]
    assert [learning_rate(step, e) for e in (0, 0.75, 1, 2.25, 3)] == pytest.approx(expected)

    constant = PLAIN.changed(schedule="constant")
    assert {learning_rate(constant, e) for e in (0, 2.5, 9.75)} == {0.1}


SCHEDULES = [{"schedule": "cosine"}, {"schedule": "step", "gamma": 0.5}, {"schedule": "constant"}]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_learning_rate_rises_linearly_during_the_warm_up(schedule):
    plain = PLAIN.changed(**schedule)
    config = plain.changed(warmup=0.2)  # 2 epochs of 4 steps
    times = np.arange(0, 10, 0.25)
    factors = [learning_rate(config, t) / learning_rate(plain, t) for t in times]
    assert factors == pytest.approx([*np.arange(1, 9) / 8, *[1.0] * 32])


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_restart_begins_the_schedule_anew_with_each_length(schedule):
    config = GROWING.changed(**schedule, warmup=0.5, restart=True)
    for first, epochs in ((0, 4), (4, 3), (7, 3)):
        alone = config.changed(curriculum=(), restart=False, epochs=epochs)
        times = np.arange(0, epochs, 0.25)
        rates = [learning_rate(config, first + t) for t in times]
        assert rates == pytest.approx([learning_rate(alone, t) for t in times])

    without = config.changed(restart=False)
    same = without.changed(curriculum=())
    assert [learning_rate(without, t) for t in (3, 5, 8)] == [
        learning_rate(same, t) for t in (3, 5, 8)
    ]
