"""Values of a store that are converted whenever a part of them is read."""

from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing


class LazyValues(BackendArray):
    """Frames (time, y, x) as floats in native byte order; a subclass defines ``_read``.

    Parameters
    ----------
    frames : xarray.DataArray
        Lazy frames, as the store has them.
    """

    def __init__(self, frames: xr.DataArray):
        self.variable = frames.variable
        self.shape = frames.shape
        self.dtype = np.result_type(np.float32, frames.dtype)  # in native byte order

    def __getitem__(self, key: indexing.ExplicitIndexer):
        support = indexing.IndexingSupport.OUTER
        return indexing.explicit_indexing_adapter(key, self.shape, support, self._read)

    def _read(self, key: tuple) -> np.ndarray:
        """The part of that index: numbers, slices or arrays, one for each axis."""
        raise NotImplementedError

    def variable_with(self, dims: Any, attrs: dict, encoding: dict | None = None) -> xr.Variable:
        """A lazy variable of these values."""
        values: Any = indexing.LazilyIndexedArray(self)
        return xr.Variable(dims, values, attrs, encoding)
