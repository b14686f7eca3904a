"""Sequences of frames as few bytes, which the browser unpacks (packing.js).

Most pixels are dry and the others change little from pixel to pixel. So a sequence is sent in two
parts: one bit for each pixel, which says whether it is 0, and the values of the others as
differences from what their neighbours suggest. Both parts are one stream of zlib. Before it stand
one byte for the kind of prediction and two for the number of frames. Nothing is lost.
"""

import zlib

import numpy as np

# How a value is predicted: as 0, from the pixels above and to the left, or as in the frame before.
PLAIN, NEIGHBOURS, BEFORE = 0, 1, 2
MOST_FRAMES = 65_535  # two bytes hold their number


def pack(values: np.ndarray) -> bytes:
    """Compress values (time, y, x) in 0…255 as the browser unpacks them.

    Each prediction is tried, and the shortest result is kept.
    """
    values = np.ascontiguousarray(values, "u1")
    return min(
        (_pack_as(prediction, values) for prediction in (PLAIN, NEIGHBOURS, BEFORE)), key=len
    )


def pack_shades(values: np.ndarray) -> bytes:
    """Compress values (time, y, x) in 0…1 as 256 shades; values beyond are clipped."""
    return pack(np.rint(255 * np.clip(values, 0, 1)))


def _pack_as(prediction: int, values: np.ndarray) -> bytes:
    is_set = values != 0
    bits = np.packbits(is_set, axis=2)
    if prediction == BEFORE:
        bits[1:] ^= bits[:-1].copy()
        rest = np.diff(values, axis=0, prepend=np.uint8(0))
    else:
        bits[:, 1:] ^= bits[:, :-1].copy()
        rest = _minus_neighbours(values) if prediction == NEIGHBOURS else values

    stream = zlib.compressobj(9, strategy=zlib.Z_RLE)  # repeats farther apart cost more than runs
    body = stream.compress(bits.tobytes() + rest[is_set].tobytes()) + stream.flush()
    return bytes([prediction]) + len(values).to_bytes(2, "big") + body


def _minus_neighbours(values: np.ndarray) -> np.ndarray:
    """Differences of values (time, y, x) from the median edge detector of LOCO-I.

    References
    ----------
    M. J. Weinberger, G. Seroussi and G. Sapiro, 2000: The LOCO-I lossless image compression
    algorithm. IEEE Trans. Image Process. 9, 1309–1324. https://doi.org/10.1109/83.855427
    """
    padded = np.pad(values.astype("i2"), ((0, 0), (1, 0), (1, 0)))
    left, above, corner = padded[:, 1:, :-1], padded[:, :-1, 1:], padded[:, :-1, :-1]
    lowest, highest = np.minimum(left, above), np.maximum(left, above)
    predicted = np.clip(left + above - corner, lowest, highest)
    return (values - predicted).astype("u1")
