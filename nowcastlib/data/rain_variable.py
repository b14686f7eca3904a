"""The variable of a data set that holds rain, and its units."""

import re

import numpy as np
import xarray as xr

from nowcastlib.data.read_options import ReadOptions, warn_of_contradiction
from nowcastlib.errors import NowcastError
from nowcastlib.units import amount_of_water, is_rain, kind_of_rain

# Words in the names of what has units of rain, but is another quantity or a part of the rain.
OTHER_QUANTITIES = re.compile(
    r"evapo|snow|hail|melt|runoff|error|uncertain|qualit(?!y[ _-]?control)|deviation|variance"
    r"|(?<![a-z])(std|max)(?![a-z])|maximum|minimum|probab|quantile|percentile|anomal"
    r"|convective|stratiform|large[ _-]?scale|diameter|velocit|fall[ _-]?speed",
    re.IGNORECASE,
)
OTHER_METHODS = re.compile("maximum|minimum|range|deviation|variance")  # in cell_methods


def rain_variable(dataset: xr.Dataset, path: str, options: ReadOptions) -> xr.DataArray:
    """The variable of rain, with units that ``kind_of_rain`` understands.

    It is the one that the options name, else the only one of rain, else the only one of a rain
    rate, else, if the options give units, the only one on a grid. Variables whose names state
    another quantity, such as its error, snow, a maximum or the convective part, are never chosen.

    Raises
    ------
    NowcastError
        If there is no such variable or several, or if its units are unknown; the message names the
        option that settles it.
    """
    name = options.variable or _name_of_rain(dataset, path, options)
    if name not in dataset.data_vars:
        raise NowcastError(
            f"{path} should hold rain called {name} (as --variable says); it has: "
            f"{_listed(dataset)}"
        )
    rain = dataset[name]
    _check_packing(rain, path)
    if rain.dtype.kind not in "fiub":
        raise NowcastError(f"{path}: {rain.name} holds no numbers, but {rain.dtype}: convert it")
    stated = str(rain.attrs.get("units", ""))
    if not options.units:
        _check_units(rain, stated, path, dataset)
        return rain

    if stated and kind_of_rain(stated) != kind_of_rain(options.units):
        warn_of_contradiction(path, f"units of {stated} for {name}", f"--units {options.units}")
    return rain.assign_attrs(units=options.units)


def _check_packing(rain: xr.DataArray, path: str) -> None:
    """NowcastError unless scale and offset of packed rain, if any, are finite and no scale is 0."""
    for name, default in (("scale_factor", 1.0), ("add_offset", 0.0)):
        value = np.asarray(rain.encoding.get(name, default))
        if value.dtype.kind not in "fiu" or not np.isfinite(value).all():
            raise NowcastError(
                f"{path}: {rain.name} has the {name} {value.tolist()!r}: make it a number"
            )
        if name == "scale_factor" and not value.all():
            raise NowcastError(
                f"{path}: {rain.name} has the scale_factor 0, for which all rain is equal"
            )


def _check_units(rain: xr.DataArray, stated: str, path: str, dataset: xr.Dataset) -> None:
    """NowcastError unless units that a variable states are those of water."""
    if not amount_of_water(stated)[0]:
        raise NowcastError(
            f"{path} should hold rain called {rain.name} (units such as mm h-1 or mm); it has: "
            f"{_listed(dataset)}: give --units such as mm/h or dBZ"
        )


def _name_of_rain(dataset: xr.Dataset, path: str, options: ReadOptions) -> str:
    """The name of the only variable of rain, or of a rain rate, or that units are given for."""
    possible = {str(n): v for n, v in dataset.data_vars.items() if not _is_other(v)}
    names = [name for name, values in possible.items() if _is_rain(values)]
    if len(names) > 1:
        standard = {name: str(dataset[name].attrs.get("standard_name", "")) for name in names}
        names = [name for name in names if standard[name].endswith(("_rate", "_flux"))] or names
    if not names and options.units:
        names = [name for name, values in possible.items() if values.ndim >= 3]
    if len(names) == 1:
        return names[0]

    others = [str(n) for n, v in dataset.data_vars.items() if v.ndim >= 3 and _is_other(v)]
    remedy = "give --variable" if len(dataset.data_vars) > 1 else "give --units such as mm/h or dBZ"
    if not names and len(dataset.data_vars) > 1:
        remedy = "give --variable, and --units if it states no unit of rain"
    if not names and others:
        remedy = f"give --variable, such as {others[0]}, whose names state another quantity"
    raise NowcastError(
        f"{path} should hold one rain rate or amount (units such as mm h-1 or mm); it has: "
        f"{_listed(dataset)}: {remedy}"
    )


def _listed(dataset: xr.Dataset) -> str:
    """The variables of a data set with their units, in words."""
    listed = [f"{n} [{v.attrs.get('units', 'no units')}]" for n, v in dataset.data_vars.items()]
    return ", ".join(listed) or "nothing"


def _is_rain(candidate: xr.DataArray) -> bool:
    """Whether a variable with a unit of water is rain on a grid, by its names."""
    units, attributes = candidate.attrs.get("units", ""), candidate.attrs
    if candidate.ndim < 3:
        return False
    if names := attributes.get("standard_name", ""):
        return is_rain(units, names)
    names = f"{attributes.get('long_name', '')} {candidate.name}"
    return is_rain(units, "") or is_rain(units, names)


def _is_other(candidate: xr.DataArray) -> bool:
    """Whether the names of a variable state another quantity than all the rain."""
    attributes = candidate.attrs
    described = attributes.get("standard_name") or attributes.get("long_name") or ""
    methods = re.sub(r"\(.*?\)", "", str(attributes.get("cell_methods", "")))
    names = f"{described} {candidate.name}"
    return bool(OTHER_QUANTITIES.search(names) or OTHER_METHODS.search(methods))
