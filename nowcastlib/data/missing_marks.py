"""Values of a store that mark a pixel as not observed, beyond those that xarray knows.

See the CF conventions, cfconventions.org: sections 2.5.1 (missing data and valid range) and 3.5
(flags); and netCDF's default fill values.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from nowcastlib.data.lazy_values import LazyValues
from nowcastlib.errors import NowcastError, printable
from nowcastlib.units import kind_of_rain

DRY_MEANINGS = {  # of flags: the pixel was observed, and there was no rain
    "dry",
    "no_rain",
    "no_precipitation",
    "no_precip",
    "no_echo",
    "undetect",
    "below_threshold",
    "below_detection_limit",
}


@dataclass
class Marks:
    """What marks pixels, in the units of the unpacked values."""

    missing: list[float]
    dry: list[float]
    lowest: float
    highest: float
    half_step: float  # half the distance of two packed values; 0 for values that are not packed

    @property
    def is_empty(self) -> bool:
        """Whether nothing is marked."""
        return not (self.missing or self.dry or np.isfinite([self.lowest, self.highest]).any())

    def apply(self, values: np.ndarray, dry: float) -> np.ndarray:
        """Values with NaN for what is not observed, and ``dry`` for what is marked as dry."""
        low, high = self.lowest - self.half_step, self.highest + self.half_step
        is_missing = (values < low) | (values > high)
        for mark in self.missing:
            is_missing |= np.abs(values - mark) <= self.half_step
        marked = np.where(is_missing, np.asarray(np.nan, values.dtype), values)
        for mark in self.dry:
            marked[np.abs(values - mark) <= self.half_step] = dry
        return marked


class _LazyMarked(LazyValues):
    """Values of a store whose marks become NaN or dry whenever they are read."""

    def __init__(self, rain: xr.DataArray, marks: Marks, dry: float):
        super().__init__(rain)
        self.marks = marks
        self.dry = dry

    def _read(self, key: tuple) -> np.ndarray:
        values = np.asarray(self.variable[key].values, self.dtype)
        return self.marks.apply(values, self.dry)


def with_default_fill(dataset: xr.Dataset) -> xr.Dataset:
    """Note netCDF's default fill value of each variable of a NetCDF file that declares none."""
    import netCDF4  # only NetCDF files need it

    for variable in dataset.data_vars.values():
        dtype = np.dtype(variable.encoding.get("dtype", variable.dtype))
        is_number = dtype.kind in "fiu" and dtype.itemsize > 1  # bytes have no default
        if is_number and "_FillValue" not in variable.encoding:
            default = netCDF4.default_fillvals.get(dtype.str[1:])
            variable.encoding["default_fill"] = default
    return dataset


def lazy_marked(rain: xr.DataArray, path: str) -> xr.DataArray:
    """A variable of rain whose marks of missing pixels become NaN when it is read.

    Marks are ``_FillValue`` and ``missing_value`` in the type of the data, netCDF's default fill
    value, everything outside ``valid_min``, ``valid_max`` and ``valid_range``, and
    ``flag_values``, of which those that mean no rain become dry.

    Raises
    ------
    NowcastError
        If one of these attributes is no number, or if it does not tell whether it is packed.
    """
    marks = _marks(rain, path)
    if marks.is_empty:
        return rain
    dry = -np.inf if kind_of_rain(rain.attrs["units"])[0] == "reflectivity" else 0.0
    marked = _LazyMarked(rain, marks, dry).variable_with(rain.dims, rain.attrs, rain.encoding)
    return xr.DataArray(marked, rain.coords, name=rain.name)


def _marks(rain: xr.DataArray, path: str) -> Marks:
    """The marks of a variable of rain."""
    encoding = rain.encoding
    scale = float(encoding.get("scale_factor", 1.0))
    offset = float(encoding.get("add_offset", 0.0))
    dtype = np.dtype(encoding.get("dtype", rain.dtype))
    if dtype.kind not in "iuf":
        dtype = rain.dtype
    if dtype.kind == "i" and str(encoding.get("_Unsigned", "")).lower() == "true":
        dtype = np.dtype(f"u{dtype.itemsize}")

    def numbers(name: str) -> np.ndarray:
        return _stored(rain, name, dtype, path) * scale + offset

    missing = [*numbers("default_fill")]
    for name in ("_FillValue", "missing_value"):
        given = np.asarray((rain.attrs | encoding).get(name, ())).reshape(-1)
        pairs = zip(given, numbers(name), _stored(rain, name, dtype, path), strict=True)
        missing += [mark for said, mark, stored in pairs if said != stored]  # xarray does others
    _check_bounds(rain, dtype, path)
    low = [*numbers("valid_min"), *numbers("valid_range")[:1]]
    high = [*numbers("valid_max"), *numbers("valid_range")[1:]]
    if scale < 0:
        low, high = high, low
    lowest, highest = max(low, default=-np.inf), min(high, default=np.inf)
    if lowest > highest:
        raise NowcastError(
            f"{path}: {rain.name} has a valid range without values, {lowest:g} to {highest:g}: "
            "correct it"
        )

    codes = numbers("flag_values")
    dry = _dry_codes(rain, codes)
    missing += [code for code in codes if code not in dry]
    half_step = abs(scale) / 2 if dtype.kind in "iu" else 0.0
    return Marks([m for m in missing if np.isfinite(m)], dry, lowest, highest, half_step)


def _dry_codes(rain: xr.DataArray, codes: np.ndarray) -> list[float]:
    """Those of the flags of a variable that mean that there was no rain."""
    meanings = str(rain.attrs.get("flag_meanings", "")).lower().split()
    pairs = zip(codes, meanings, strict=False)  # flags without a meaning are not observed
    return [code for code, meaning in pairs if meaning in DRY_MEANINGS]


def _stored(rain: xr.DataArray, name: str, dtype: np.dtype, path: str) -> np.ndarray:
    """The numbers of an attribute in the type in which the data are stored, as float64."""
    given = (rain.attrs | rain.encoding).get(name)
    if given is None:
        return np.empty(0)
    try:
        values = np.asarray(given, "f8").reshape(-1)
    except (TypeError, ValueError) as error:
        raise NowcastError(
            f"{path}: {rain.name} has the {name} {printable(given)}: make it a number"
        ) from error
    if dtype.kind == "u":  # -1 may stand for 255, but not as a lower bound
        wraps = values < 0
        wraps[:1] &= name not in ("valid_min", "valid_range")
        values = values + np.where(wraps, 2.0 ** (8 * dtype.itemsize), 0)
    return values.astype(dtype).astype("f8") if dtype.kind == "f" else values


def _check_bounds(rain: xr.DataArray, dtype: np.dtype, path: str) -> None:
    """NowcastError where a bound may be packed or not: a fraction for data that are integers."""
    sizes = {"valid_min": 1, "valid_max": 1, "valid_range": 2}
    for name, size in sizes.items():
        values = np.asarray(rain.attrs.get(name, np.zeros(size))).reshape(-1)
        numbers = _stored(rain, name, dtype, path)
        is_packed = dtype.kind == "f" or bool((numbers == np.round(numbers)).all())
        if len(values) != size or np.isnan(numbers).any() or not is_packed:
            raise NowcastError(
                f"{path}: {rain.name} has the {name} {printable(rain.attrs[name])}: make it "
                f"{size} number{'s' * (size > 1)} of the type of the stored (packed) values"
            )
