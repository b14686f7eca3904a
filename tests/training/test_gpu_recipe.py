"""Training without pysteps, rasterio and the like, from stores that were packed to be carried."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nowcastlib.data import as_frames, open_frames, storms
from nowcastlib.data.store_writer import StoreWriter
from nowcastlib.errors import NowcastError
from nowcastlib.files import one_writer
from nowcastlib.training import load

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "recipes"))
import packed_stores  # noqa: E402

# What a machine with a GPU may lack; boto3 comes with botocore
MISSING = "pysteps rasterio pyproj s3fs aiobotocore botocore boto3 netCDF4 anywidget IPython"
BLOCK = f"import sys\nfor name in '{MISSING}'.split():\n    sys.modules[name] = None\n"


@pytest.fixture(scope="module")
def rain(tmp_path_factory):
    """A store of storms whose frames have corners that were not observed."""
    frames = as_frames(storms.rain(storms.Storm(seed=5, size=40, wet_fraction=0.5), 30))
    frames[:, :4, :4] = np.nan
    frames[3, 20, 20] = 300.0  # mm/h, above the scale
    store = tmp_path_factory.mktemp("rain") / "rain.zarr"
    with one_writer(store), StoreWriter(store) as writer:
        writer.create(frames[0], {"source": "storms of a test", "license": "CC0"})
        for seconds, frame in zip(
            frames.time.values.astype("M8[s]").astype(int), frames, strict=True
        ):
            writer.add(int(seconds), frame.values)
    return store


def test_packed_store_is_small_and_has_the_same_rain(rain, tmp_path):
    packed = packed_stores.pack(str(rain), tmp_path / "packed")
    before = open_frames(rain)
    after = open_frames(packed_stores.unpack(packed, tmp_path / "stores"))
    assert packed.stat().st_size < before.size / 2  # bytes; a pixel had four
    for axis in ("time", "y", "x"):
        np.testing.assert_array_equal(after[axis], before[axis])
    assert after.attrs["source"] == "storms of a test"

    was, now = before.values, after.values
    np.testing.assert_array_equal(np.isnan(now), np.isnan(was))
    seen = np.isfinite(was) & (was < 200)
    np.testing.assert_allclose(now[seen], was[seen], rtol=0.04, atol=0.005)
    assert (now[was == 0] == 0).all()
    assert now[3, 20, 20] > 128


def test_truncated_packed_store_is_refused_and_leaves_no_store(rain, tmp_path):
    packed = packed_stores.pack(str(rain), tmp_path)
    about = packed.with_suffix(".json")
    about.write_text(about.read_text().replace('"seconds": [', '"seconds": [0, '))
    with pytest.raises(NowcastError, match=r"rain\.xz is not whole: pack its store again"):
        packed_stores.unpack(packed, tmp_path / "stores")
    assert not (tmp_path / "stores").exists()


TRAIN = (
    BLOCK
    + """
sys.path[:0] = sys.argv[3:]
from pathlib import Path
from packed_stores import unpack
from small_networks import CONFIG, quiet
from nowcastlib.data import TrainingStores, training_data
from nowcastlib.training import fit

packed, out = Path(sys.argv[1]), Path(sys.argv[2])
config = CONFIG.changed(epochs=2)
stores = TrainingStores([unpack(packed, out / "stores")], shares=(0.5, 0.5, 0))
train, validation, _ = training_data(stores, config.windows, config.scale)
fit(config, train, validation, out / "run", quiet())
"""
)


def test_training_on_a_packed_store_needs_no_missing_package(rain, tmp_path):
    packed = packed_stores.pack(str(rain), tmp_path)
    folders = [ROOT / "recipes", ROOT / "tests", ROOT]
    command = [sys.executable, "-c", TRAIN, packed, tmp_path, *folders]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "run" / "history.csv")) == 2


def test_recipe_trains_moving_mnist_and_scores_it(tmp_path):
    carried, out = tmp_path / "carried", tmp_path / "out"
    for folder in ("packages", "train", "test"):
        (carried / folder).mkdir(parents=True)
    for folder in ("nowcastlib", "recipes", "benchmarks"):
        (carried / folder).symlink_to(ROOT / folder)
    (carried / "sitecustomize.py").write_text(BLOCK)
    (out / "packages").mkdir(parents=True)
    (out / "speed.csv").touch()  # the table takes longer than the rest

    command = ["bash", "recipes/gpu.sh", str(out), "0.02", "0", "0"]
    environment = os.environ | {"TINY": "1", "PYTHON": sys.executable, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=carried, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(out / "mnist" / "history.csv")) >= 1
    assert '"mse"' in (out / "mnist" / "scores.json").read_text()
    assert load(out / "mnist")[1].rollout.curriculum == (2, 3)
    assert {path.name for path in out.iterdir()} == {"packages", "speed.csv", "stores", "mnist"}
