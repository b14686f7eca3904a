"""A folder with the sums of the cases of an evaluation, so that an interrupted one carries on."""

import hashlib
import io
import json
import marshal
import zipfile
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from nowcastlib.errors import NowcastError
from nowcastlib.files import one_writer, write_atomically
from nowcastlib.forecasting import Forecaster, Network, Rescaled

if TYPE_CHECKING:
    from nowcastlib.verification.case_sums import Counting

Sums = dict[str, xr.Dataset]  # of one case, by the forecaster's name

SETTINGS = "evaluation.json"
ABOUT = "about"  # of each file: checksum of the frames, and dimensions of each variable
EXECUTION = ("counts", "by_event")  # options that do not change the sums of a case
PACKAGES = ("numpy", "pysteps", "scikit-image", "torch")  # whose results may change with a version


class KeptSums:
    """Sums of cases in a folder, one file each; as a context it lets no other process write there.

    Parameters
    ----------
    folder : Path
        The folder; a missing one is made.
    settings : dict
        What the sums depend on, for JSON.

    Raises
    ------
    NowcastError
        If the folder holds sums of other settings or anything else, or if another process uses it.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]):
        self.folder = folder
        self.settings = json.loads(json.dumps(settings))

    def __enter__(self) -> "KeptSums":
        with ExitStack() as stack:
            stack.enter_context(one_writer(self.folder))
            self._check_settings()
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._exit.close()

    def _check_settings(self) -> None:
        file = self.folder / SETTINGS
        if not file.exists():
            if self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
                raise NowcastError(f"{self.folder} holds no counts: give a new folder")
            write_atomically(file, json.dumps(self.settings, indent=1).encode())
            return
        try:
            before = json.loads(file.read_text())
        except ValueError as error:
            raise NowcastError(f"{file} cannot be read ({error}): give a new folder") from error
        other = [key for key in self.settings if before.get(key) != self.settings[key]]
        if other:
            raise NowcastError(
                f"{self.folder} holds the counts of another evaluation (other {', '.join(other)}): "
                "give a new folder"
            )

    def _file(self, issued: pd.Timestamp) -> Path:
        return self.folder / f"{issued:%Y%m%dT%H%M%S}.npz"

    def checksum(self, issued: pd.Timestamp) -> int | None:
        """Checksum of the frames of a case when its sums were kept; None if there are none."""
        try:
            with np.load(self._file(issued), allow_pickle=False) as arrays:
                return int(json.loads(str(arrays[ABOUT]))["checksum"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # missing or broken: count
            return None

    def save(self, issued: pd.Timestamp, checksum: int, sums: Sums) -> None:
        """Keep the sums of a case."""
        arrays: dict[str, np.ndarray] = {}
        dimensions: dict[str, dict[str, list]] = {}
        for number, (name, dataset) in enumerate(sums.items()):
            dimensions[name] = {str(v): list(dataset[v].dims) for v in dataset.variables}
            arrays |= {f"{number}.{v}": dataset[v].values for v in dataset.variables}
        about = json.dumps({"checksum": checksum, "dimensions": dimensions})
        content = io.BytesIO()
        np.savez(content, **{ABOUT: np.array(about)}, **arrays)  # type: ignore[arg-type]
        write_atomically(self._file(issued), content.getvalue())

    def load(self, issued: pd.Timestamp) -> Sums:
        """The sums of a case that were kept."""
        sums = {}
        with np.load(self._file(issued), allow_pickle=False) as arrays:
            about = json.loads(str(arrays[ABOUT]))
            for number, (name, dims) in enumerate(about["dimensions"].items()):
                variables = {v: (axes, arrays[f"{number}.{v}"]) for v, axes in dims.items()}
                coordinates = {v: variables.pop(v) for v, axes in dims.items() if axes == [v]}
                sums[name] = xr.Dataset(variables, coordinates)
        return sums


def settings_of(counting: "Counting") -> dict[str, Any]:
    """What the sums of a case depend on, apart from its frames."""
    frames, options = counting.frames, vars(counting.options)
    axes = b"".join(frames.get_index(axis).to_numpy().tobytes() for axis in ("y", "x"))
    return {
        "options": {name: options[name] for name in sorted(options) if name not in EXECUTION},
        "grid": [*frames.shape[1:], hashlib.sha256(axes).hexdigest()],
        "pixel": counting.pooled_km,
        "time step": counting.step,
        "forecasters": {name: identity(run) for name, run in counting.forecasters.items()},
        "packages": {name: version(name) for name in PACKAGES},
    }


def identity(run: Forecaster) -> str:
    """A text that changes if a forecaster does: by its weights or by its program."""
    if isinstance(run, Rescaled):
        return f"{identity(run.network)} {run.change}"
    if isinstance(run, Network):
        weights = hashlib.sha256(repr(run.config).encode())
        for name, values in sorted(run.model.state_dict().items()):
            weights.update(name.encode())
            weights.update(values.detach().cpu().contiguous().numpy().tobytes())
        return f"network {weights.hexdigest()}, members {run.members}"
    function = getattr(run, "function", run)
    program = marshal.dumps(function.__code__) if hasattr(function, "__code__") else b""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{name} {hashlib.sha256(program).hexdigest()}"
