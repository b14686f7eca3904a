"""The two fill values of Zarr: that of the array, and the attribute _FillValue of CF.

In Zarr 2, xarray takes the first for the second, and forgets the attribute. In Zarr 3 it reads the
attribute only: what was never written would be rain.
"""

from typing import Any

import numpy as np
import xarray as xr
import zarr

from nowcastlib.errors import NowcastError, printable


def with_fill_values(dataset: xr.Dataset, path: str, how: dict[str, Any]) -> xr.Dataset:
    """Correct which values of a Zarr store are missing.

    In Zarr 2, a 0 is missing only if the attribute _FillValue says so, or if an offset makes it
    another number than 0: the array's fill value 0 is only what was never written. Another fill
    value is missing, and so is the attribute if it differs. The 0 of a coordinate is never missing.
    In Zarr 3, a fill value of the array other than 0 is noted as ``default_fill``: see
    ``missing_marks``.

    Parameters
    ----------
    dataset
        The store as xarray opens it.
    path, how
        Its address and the options with which it was opened.

    Raises
    ------
    NowcastError
        If an attribute _FillValue is not a number. The message does not name the store.
    """
    _note_fill_of_zarr_3(dataset)
    filled = [name for name, variable in dataset.variables.items() if _is_filled(variable)]
    if not filled:
        return dataset
    group = zarr.open_group(path, mode="r", storage_options=how["storage_options"])
    if group.metadata.zarr_format == 3:
        return dataset

    declared = {name: _declared(group, name) for name in filled}
    doubtful = [
        name
        for name in filled
        if _is_no_mark(dataset, name) or _differs(declared[name], dataset[name])
    ]
    if not doubtful:
        return dataset

    raw = xr.open_zarr(path, **how, decode_cf=False)
    for name in doubtful:
        mark = None if name in dataset.coords else declared[name]
        if _is_no_mark(dataset, name):
            del raw[name].attrs["_FillValue"]
            if mark is not None:
                raw[name].attrs["_FillValue"] = mark
        elif mark is not None:
            others = np.ravel(raw[name].attrs.get("missing_value", [])).tolist()
            raw[name].attrs["missing_value"] = [mark, *others]
    return xr.decode_cf(raw)


def _note_fill_of_zarr_3(dataset: xr.Dataset) -> None:
    """Note the fill value of arrays in Zarr 3, if it is a number that can mark missing values."""
    for variable in dataset.data_vars.values():
        fill = variable.encoding.get("fill_value")
        is_number = isinstance(fill, int | float | np.number) and np.isfinite(fill)
        if is_number and fill != 0 and fill != variable.encoding.get("_FillValue"):
            variable.encoding["default_fill"] = fill


def _is_filled(variable: xr.Variable) -> bool:
    """Whether a variable has a fill value that is a number."""
    fill = variable.encoding.get("_FillValue")
    return isinstance(fill, int | float | np.number) and not np.isnan(fill)


def _is_no_mark(dataset: xr.Dataset, name: Any) -> bool:
    """Whether the fill value of a variable is a 0 that says nothing about missing values."""
    encoding = dataset[name].encoding
    is_coordinate = name in dataset.coords
    return encoding["_FillValue"] == 0 and (is_coordinate or not encoding.get("add_offset"))


def _differs(mark: Any, variable: xr.DataArray) -> bool:
    """Whether the attribute marks another number than the fill value."""
    return mark is not None and mark != variable.encoding["_FillValue"]


def _declared(group: zarr.Group, name: Any) -> int | float | None:
    """The attribute _FillValue of a variable as it is written; None without."""
    mark = group[str(name)].attrs.get("_FillValue")
    if mark is not None and not isinstance(mark, int | float):
        raise NowcastError(
            f"has the _FillValue {printable(mark)} of {printable(name)}: make it a number"
        )
    return mark
