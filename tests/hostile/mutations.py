"""Changes of valid files: of bytes, and of values within JSON."""

import json
import random
import struct
from typing import Any

ODD_INTEGERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 100_000, 13_000)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1e308, float("nan"), 2**63, 10**30, -0.5),
    *("", "now", "NaT", "\ud800", "\x1b[2J", "../../etc/passwd", "9" * 50, "2024-06-01T99:00"),
    *([], {}, [[]], {"id": "pickle"}, [0] * 50),
)


def mutated_bytes(content: bytes, rng: random.Random) -> bytes:
    """One to three changes of bytes: flipped, replaced, cut, moved, repeated or inserted."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not data:
            break
        rng.choice(BYTE_CHANGES)(data, rng)
    return bytes(data)


def _flip(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _replace(data: bytearray, rng: random.Random) -> None:
    data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _integer(data: bytearray, rng: random.Random) -> None:
    form = rng.choice(("<H", ">H", "<I", ">I"))
    size = struct.calcsize(form)
    if len(data) > size:
        place = rng.randrange(len(data) - size)
        data[place : place + size] = struct.pack(form, rng.choice(ODD_INTEGERS) % 256**size)


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(len(data)) :]


def _remove(data: bytearray, rng: random.Random) -> None:
    place = rng.randrange(len(data))
    del data[place : place + rng.choice((1, 2, 4, 16, 100))]


def _repeat(data: bytearray, rng: random.Random) -> None:
    first, place = rng.randrange(len(data)), rng.randrange(len(data))
    data[place:place] = data[first : first + rng.choice((1, 4, 16, 100))]


def _zeros(data: bytearray, rng: random.Random) -> None:
    place, size = rng.randrange(len(data)), rng.choice((1, 4, 16, 64))
    data[place : place + size] = bytes(len(data[place : place + size]))


BYTE_CHANGES = (_flip, _flip, _flip, _replace, _integer, _integer, _cut, _remove, _repeat, _zeros)


def mutated_json(content: bytes, rng: random.Random) -> bytes:
    """A change of bytes, or an odd value in place of one of a JSON text."""
    if rng.random() < 0.4:
        return mutated_bytes(content, rng)
    value = json.loads(content)
    for _ in range(rng.choice((1, 1, 2))):
        places = list(_places(value))
        holder, key = rng.choice(places)
        if rng.random() < 0.2:
            del holder[key]
        else:
            holder[key] = rng.choice(ODD_VALUES)
        if not value:
            break
    return json.dumps(value).encode()


def _places(value: Any):
    """(Holder, key) of each value within lists and objects."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, dict | list) and inner:
            yield from _places(inner)
