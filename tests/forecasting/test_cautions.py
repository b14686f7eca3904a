"""Warnings about networks: rain that they were trained on."""

import numpy as np
import pytest
from made_forecasts import network

from nowcastlib.data import as_frames
from nowcastlib.data.feeds.products import PRODUCTS
from nowcastlib.forecasting import BASELINES, Network, forecaster, trained_on


def dry_frames(start: str, source: str = "MeteoSwiss, AQC composite", step: float = 5.0):
    """Three dry frames of a source."""
    return as_frames(np.zeros((3, 8, 8)), start, step).assign_attrs(source=source)


@pytest.mark.parametrize("name", ["radar", "radar-members"])
def test_a_shipped_network_was_trained_on_its_events(name):
    run = forecaster(name)
    warning = trained_on(run, dry_frames("2015-05-15T17:00"))
    assert "MeteoSwiss, AQC composite, 2015-05-15 15:45:00 to 2015-05-15 19:00:00" in warning


EVENTS = {"mch": "2015-05-15T17:00", "fmi": "2017-05-09T12:00", "knmi": "2010-08-26T02:00",
          "bom": "2018-06-16T12:00"}  # fmt: skip


@pytest.mark.parametrize("product", EVENTS)
def test_the_warning_knows_the_source_as_the_feed_writes_it(product):
    source = PRODUCTS[product].attribution
    run = forecaster("radar")
    assert trained_on(run, dry_frames(EVENTS[product], source))
    # stores of version 0.1 name the licence with the source
    assert trained_on(run, dry_frames(EVENTS[product], f"{source} (CC BY 4.0)"))


def test_rain_of_another_time_or_another_radar_is_unseen():
    run = forecaster("radar")
    assert not trained_on(run, dry_frames("2016-05-15T17:00"))
    assert not trained_on(run, dry_frames("2015-05-15T17:00", "another radar"))
    assert not trained_on(network(), dry_frames("2015-05-15T17:00"))
    assert not trained_on(BASELINES["sprog"], dry_frames("2015-05-15T17:00"))


def test_validation_data_were_seen_too():
    made = network()
    data = "train: 3 windows of a radar, 2020-01-01 00:00:00 to 2020-01-01 01:00:00; "
    data += "validation: 3 windows of a radar, 2020-01-02 00:00:00 to 2020-01-02 01:00:00"
    run = Network(made.model, made.config, training_data=data)
    assert "2020-01-02 00:00:00" in trained_on(run, dry_frames("2020-01-02", "a radar"))
