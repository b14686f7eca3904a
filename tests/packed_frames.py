"""How the tests read the sequences that players send; packing.js does the same."""

import zlib

import numpy as np

from nowcastlib.display.player.packing import BEFORE, NEIGHBOURS


def unpack(packed: bytes, size: tuple[int, int]) -> np.ndarray:
    """Values (time, y, x) of a packed sequence of frames."""
    prediction, n_frames = packed[0], int.from_bytes(packed[1:3], "big")
    body = np.frombuffer(zlib.decompress(packed[3:]), "u1")
    row_bytes = -(-size[1] // 8)
    end = n_frames * size[0] * row_bytes

    bits = body[:end].reshape(n_frames, size[0], row_bytes)
    bits = np.bitwise_xor.accumulate(bits, axis=0 if prediction == BEFORE else 1)
    is_set = np.unpackbits(bits, axis=2, count=size[1]).astype(bool)
    values = np.zeros(is_set.shape, "u1")
    for rest, (t, y, x) in zip(body[end:], np.argwhere(is_set), strict=True):
        values[t, y, x] = (int(rest) + _predicted(prediction, values, t, y, x)) % 256
    return values


def _predicted(prediction: int, values: np.ndarray, t: int, y: int, x: int) -> int:
    if prediction == BEFORE:
        return int(values[t - 1, y, x]) if t else 0
    if prediction == NEIGHBOURS:
        left = int(values[t, y, x - 1]) if x else 0
        above = int(values[t, y - 1, x]) if y else 0
        corner = int(values[t, y - 1, x - 1]) if x and y else 0
        return min(max(left + above - corner, min(left, above)), max(left, above))
    return 0
