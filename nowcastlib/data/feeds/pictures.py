"""Pictures that are opened with care: known formats, limited size, whole checksums."""

import io
from pathlib import Path

from PIL import Image

from nowcastlib.data.feeds.file_limits import PNG, check_pixels, check_png, check_regular

FORMATS = ("PNG", "JPEG", "GIF", "TIFF", "BMP")  # Pillow knows others, which start programs


def open_picture(file: str | Path | bytes) -> Image.Image:
    """Open a picture; its pixels are not decoded yet.

    Parameters
    ----------
    file
        The picture's path or its content.

    Raises
    ------
    NowcastError
        If it claims too many pixels, contradicts its checksums or is not a regular file. The
        message does not name the picture.
    Exception
        Whatever Pillow raises for a picture that it cannot read.
    """
    if not isinstance(file, bytes):
        check_regular(file)
        file = Path(file).read_bytes()
    if file.startswith(PNG):
        check_png(file)
    picture = Image.open(io.BytesIO(file), formats=FORMATS)
    check_pixels(*picture.size)
    return picture
