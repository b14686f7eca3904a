"""The field of rain within an HDF5 file, and the attributes that describe it."""

from dataclasses import dataclass, replace
from typing import Any

import h5py
import numpy as np

from nowcastlib.data.read_options import AS_STATED, ReadOptions, warn_of_contradiction
from nowcastlib.errors import NowcastError
from nowcastlib.units import amount_of_water, is_rain

Attributes = dict[str, Any]  # by lower-case name

# Rank of a quantity: a file's field with the lowest rank is read. 0 is a rate (mm/h), 1 an
# accumulation (mm), and 2 and more are reflectivities (dBZ).
RATE, ACCUMULATION = 0, 1
RANKS = {"rate": RATE, "acrr": ACCUMULATION, "dbzh": 2, "dbz": 2, "dbzv": 3, "th": 4}

# ODIM's objects that are no map
NO_MAP = dict.fromkeys(["PVOL", "SCAN", "RAY", "AZIM", "ELEV"], "polar volume")
NO_MAP |= {"XSEC": "vertical section", "VP": "vertical profile", "PIC": "picture"}

# Names of two-dimensional coordinates
LATITUDES, LONGITUDES = ("lat", "lats", "latitude"), ("lon", "lons", "longitude")


@dataclass(frozen=True)
class RainField:
    """A field of rain within a file."""

    data: h5py.Dataset
    attributes: Attributes  # its own and those of the groups above it
    rank: int  # of its quantity
    factor: float  # size of its unit in mm/h, mm or dBZ

    @property
    def is_reflectivity(self) -> bool:
        return self.rank > ACCUMULATION


def rain_field(
    content: h5py.File, options: ReadOptions = AS_STATED, name: str = "the file"
) -> RainField:
    """The field of rain that the options name, else that with the lowest rank.

    Units that the options give win over those of the field, with a warning that names the file.
    """
    images, descriptions = _images(content)
    if options.variable:
        images = [image for image in images if _is_called(image, options.variable)]
    meanings = [(image, _meaning_of_field(image, _attributes_of(image))) for image in images]
    known = [(image, meaning) for image, meaning in meanings if meaning]
    if not known and options.units:
        known = [(image, _meaning_of_units(options.units)) for image in images]

    if not known:
        called = f" called {options.variable}" if options.variable else ""
        wanted = "a quantity (RATE, ACRR, DBZH) or units (mm h-1, dBZ) of rain"
        raise NowcastError(
            f"has no 2-D field{called} with {wanted}; it has: {_shortened(descriptions)}: give "
            "--variable or --units"
        )
    field = _the_only(known)
    if options.units:
        field = _with_units(field, options.units, name)
    return field


def _images(content: h5py.File) -> tuple[list[h5py.Dataset], list[str]]:
    """The datasets that may hold rain, and descriptions of all datasets for messages."""
    images, descriptions = [], []
    for data in _datasets(content):
        kind = str(_attributes_of(data).get("object"))
        if kind in NO_MAP:
            raise NowcastError(
                f"is a {NO_MAP[kind]} (object {kind}): a Cartesian image or composite is needed"
            )

        descriptions.append(_describe(data))
        is_place = _last_name(data) in (*LATITUDES, *LONGITUDES)
        if _is_image(data) and "/quality" not in data.name.lower() and not is_place:
            images.append(data)
    return images, descriptions


def _the_only(known: list[tuple[h5py.Dataset, Any]]) -> RainField:
    """The field with the lowest rank; NowcastError if there are several."""
    fields = [RainField(image, _attributes_of(image), *meaning) for image, meaning in known]
    rank = min(field.rank for field in fields)
    field, *others = [field for field in fields if field.rank == rank]
    if others:
        raise NowcastError(
            f"has {1 + len(others)} fields of the same quantity, and nothing says which one to "
            f"read: {_describe(field.data)}, {_describe(others[0].data)}, …: give --variable with "
            "the path of one of them"
        )
    return field


def _with_units(field: RainField, units: str, name: str) -> RainField:
    """A field in units that the options give, with a warning if it states others."""
    rank, factor = _meaning_of_units(units)
    as_given = replace(field, rank=rank, factor=factor)
    stated = " ".join(filter(None, _quantity_and_unit(field.data, field.attributes)))
    differs = as_given.is_reflectivity != field.is_reflectivity
    if not differs and not field.is_reflectivity:
        differs = (rank, factor) != (field.rank, field.factor)
    if stated and differs:
        warn_of_contradiction(name, f"{stated} in {field.data.name}", f"--units {units}")
    return as_given


def _meaning_of_units(units: str) -> tuple[int, float]:
    """Rank and size of units that the options give; m and cm are rain here, not heights."""
    return _meaning(units) or (ACCUMULATION, amount_of_water(units)[1])


def _is_called(data: h5py.Dataset, variable: str) -> bool:
    """Whether a name is that of a dataset, its path or its quantity, in any case."""
    quantity, _ = _quantity_and_unit(data, _attributes_of(data))
    names = (quantity, data.name, data.name.lstrip("/"), _last_name(data))
    return variable.lower() in (name.lower() for name in names)


def _last_name(data: h5py.Dataset) -> str:
    """The name of a dataset without its groups, in lower case."""
    return data.name.rsplit("/")[-1].lower()


def _datasets(content: h5py.File) -> list[h5py.Dataset]:
    """All datasets of a file."""
    datasets = []

    def collect(_: str, item: h5py.HLObject) -> None:
        if isinstance(item, h5py.Dataset):
            datasets.append(item)

    content.visititems(collect)
    return datasets


def _quantity_and_unit(data: h5py.Dataset, attributes: Attributes) -> tuple[str, str]:
    """The quantity and the units of a dataset, "" where the file does not give them."""
    # a dataset with units of its own, such as a field of heights, inherits no quantity
    own = _attributes(data)
    source = own if own.keys() & {"quantity", "units"} else attributes
    return str(source.get("quantity", "")), str(source.get("units", ""))


def _meaning_of_field(data: h5py.Dataset, attributes: Attributes) -> tuple[int, float] | None:
    """Rank and size of a field's quantity, or else of its unit; None if it is not rain."""
    quantity, unit = _quantity_and_unit(data, attributes)
    if meaning := _meaning(quantity):
        return meaning

    own = _attributes(data)
    names = [str(own.get(key, "")) for key in ("standard_name", "long_name")]
    text = " ".join([*names, quantity, data.name])
    is_amount = amount_of_water(unit)[0] == "amount"
    if amount_of_water(unit)[0] and not (is_amount or is_rain(unit, "") or is_rain(unit, text)):
        return None  # such as a velocity in m/s
    return _meaning(unit)


def _meaning(word: str) -> tuple[int, float] | None:
    """Rank and size (in mm/h, mm or dBZ) of a quantity or unit; None if it is not rain."""
    kind, factor = amount_of_water(word)
    if kind == "rate":
        return RATE, factor
    if kind == "amount":
        # a unit of m or cm is more likely a height
        return (ACCUMULATION, factor) if factor == 1 else None
    rank = RANKS.get(word.strip().lower())
    return None if rank is None else (rank, factor)


def _is_image(data: h5py.Dataset) -> bool:
    """Whether a dataset holds numbers in two dimensions; further dimensions have length 1."""
    shape: tuple[int, ...] = data.shape or ()
    if data.dtype.kind not in "iuf" or len(shape) < 2:
        return False
    return 0 < data.size == shape[-2] * shape[-1]


def _describe(data: h5py.Dataset) -> str:
    """A dataset's path, shape and quantity, such as /dataset1/data1/data 2×4 [RATE]."""
    quantity, unit = _quantity_and_unit(data, _attributes_of(data))
    shape = "×".join(map(str, data.shape or ()))
    return f"{data.name} {shape} [{quantity or unit or 'no quantity, no units'}]"


def _shortened(descriptions: list[str]) -> str:
    """The first nine descriptions, and the number of the others."""
    text = ", ".join(descriptions[:9])
    if len(descriptions) > 9:
        text += f" and {len(descriptions) - 9} more"
    return text or "nothing"


def _attributes(item: h5py.HLObject) -> Attributes:
    """The attributes of a group or dataset, by lower-case name, as numbers and text."""
    attributes = {}
    for key, value in item.attrs.items():
        if isinstance(value, np.ndarray | np.generic) and value.size == 1:
            value = value.item()
        if isinstance(value, bytes):
            value = value.decode(errors="replace").strip("\0 ")
        attributes[key.lower()] = value
    return attributes


def _attributes_of(data: h5py.Dataset) -> Attributes:
    """Attributes of a dataset and of the groups above it; the nearest wins."""
    attributes = _attributes(data)
    group = data
    while group.name != "/":
        group = group.parent
        for level in (group, *(group[key] for key in ("what", "where", "how") if key in group)):
            attributes = _attributes(level) | attributes
    return attributes


def numbers(attributes: Attributes, *keys: str) -> list[float]:
    """The values of those of `keys` that the attributes hold."""
    try:
        return [
            float(value)
            for key in keys
            if key in attributes
            for value in np.atleast_1d(attributes[key])
        ]
    except (TypeError, ValueError):
        raise NowcastError(
            f"has a {' or '.join(keys)} that is not a number: ask its publisher"
        ) from None
