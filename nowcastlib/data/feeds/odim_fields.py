"""The field of rain within an HDF5 file, and the attributes that describe it."""

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

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

MAX_PIXELS = 100_000_000  # a header can claim any number


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


def rain_field(content: h5py.File) -> RainField:
    """The field of rain with the lowest rank."""
    rain: list[RainField] = []
    descriptions = []  # of every dataset, for the error message
    for data in _datasets(content):
        attributes = _attributes_of(data)
        kind = str(attributes.get("object"))
        if kind in NO_MAP:
            raise NowcastError(
                f"is a {NO_MAP[kind]} (object {kind}): a Cartesian image or composite is needed"
            )

        descriptions.append(_describe(data))
        meaning = _meaning_of_field(data, attributes)
        if meaning and _is_image(data) and "/quality" not in data.name.lower():
            rain.append(RainField(data, attributes, *meaning))

    if not rain:
        wanted = "a quantity (RATE, ACRR, DBZH) or units (mm h-1, dBZ) of rain"
        raise NowcastError(f"has no 2-D field with {wanted}; it has: {_shortened(descriptions)}")

    rank = min(field.rank for field in rain)
    field, *others = [field for field in rain if field.rank == rank]
    if others:
        raise NowcastError(
            f"has {1 + len(others)} fields of the same quantity, and nothing says which one to "
            f"read: {_describe(field.data)}, {_describe(others[0].data)}, …"
        )
    if field.data.size > MAX_PIXELS:
        raise NowcastError(
            f"claims {field.data.size:,} pixels in {_describe(field.data)}: no radar image has "
            f"more than {MAX_PIXELS:,}"
        )
    return field


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
    rank = RANKS.get(word.lower())
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
