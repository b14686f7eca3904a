"""A short run of each trial of stores; ``python -m tests.hostile`` runs them longer."""

import numpy as np
import pytest
from small_networks import one_thread  # noqa: F401

from hostile import stores

SHORT = {stores.reading_while_writing: 2, stores.kills_of_training: 2}


@pytest.mark.parametrize("trial", stores.TRIALS, ids=lambda trial: trial.__name__)
def test_nothing_is_wrong_and_nothing_lost(tmp_path, trial):
    count = trial(tmp_path, SHORT.get(trial, 4), np.random.default_rng(0))
    assert [name for name in count if name.startswith(stores.WRONG)] == []
    assert count
