"""Animations: sequences side by side as a GIF or MP4, and a GIF in a notebook."""

import os
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import imageio.v3 as iio
import imageio_ffmpeg
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nowcastlib.display.plots.frames import add_credits, show_scale
from nowcastlib.display.rain_scale import CMAP, NORM
from nowcastlib.files import cannot_write, real_path, scratch_folder, write_atomically

if TYPE_CHECKING:
    from IPython.display import HTML


def save_animation(
    panels: Mapping[str, xr.DataArray | np.ndarray],
    path: str | Path,
    seconds: float = 0.4,
    titles: Sequence[str] = (),
    grey: bool = False,
) -> Path:
    """Write sequences side by side, with the rain scale, as a GIF or MP4.

    Parameters
    ----------
    panels : mapping of str to array, shape (lead_time, y, x) or (lead_time, y, x, RGB)
        Rain rates in mm/h by title. Lead time and valid time stand above the panels if one of
        them has these coordinates.
    path : str or pathlib.Path
        File to write; an MP4 if its name ends so, else a GIF.
    seconds : float
        Duration of a frame.
    titles : sequence of str
        Title of each frame; by default lead time and valid time, where they are known.
    grey : bool
        The panels are pictures from 0 (black) to 1 (white), or of colours, not rain rates.

    Returns
    -------
    pathlib.Path
        The file, whole or not at all.

    Raises
    ------
    NowcastError
        If the file cannot be written.
    """
    path = Path(path)
    length = len(next(iter(panels.values())))
    titles = titles or [_time_title(panels, t) for t in range(length)]
    frames = [{name: np.asarray(film[t]) for name, film in panels.items()} for t in range(length)]
    # (time, rows, columns, rgb)
    pictures = np.stack(
        [
            _picture(_draw_panels(frame, panels, title, grey))
            for frame, title in zip(frames, titles, strict=True)
        ]
    )

    if path.suffix.lower() == ".mp4":
        _write_mp4(path, pictures, fps=1 / seconds)
    else:
        pause = seconds * 1000  # ms
        content = iio.imwrite("<bytes>", pictures, extension=".gif", duration=pause, loop=0)
        write_atomically(path, content)
    return path


def _write_mp4(path: Path, pictures: np.ndarray, fps: float) -> None:
    """Write pictures (time, rows, columns, rgb) as an MP4, whole or not at all.

    ffmpeg says nothing if the disk fills up, so the frames of the file are counted.
    """
    rows, columns = pictures.shape[1] // 2 * 2, pictures.shape[2] // 2 * 2
    even = pictures[:, :rows, :columns]  # H.264 needs even numbers of rows and columns
    target = real_path(path)
    try:
        with scratch_folder(target) as scratch:
            new = scratch / "new.mp4"
            iio.imwrite(new, even, plugin="FFMPEG", fps=fps, codec="libx264", macro_block_size=2)
            if _frames_of(new) != len(pictures):
                raise OSError("ffmpeg could not write all of it")
            os.replace(new, target)
    except OSError as error:
        raise cannot_write(path, error) from error


def _frames_of(video: Path) -> int:
    """Number of frames of a video; 0 if it cannot be read."""
    try:
        return imageio_ffmpeg.count_frames_and_secs(str(video))[0]
    except RuntimeError:
        return 0


def show_animation(path: str | Path) -> "HTML":
    """Return a GIF as HTML that contains the file, for notebooks and pages made of them.

    Parameters
    ----------
    path : str or pathlib.Path
        A GIF.

    Returns
    -------
    IPython.display.HTML
    """
    data = b64encode(Path(path).read_bytes()).decode()
    from IPython.display import HTML  # in notebooks only

    return HTML(f'<img alt="animation" src="data:image/gif;base64,{data}">')


def _picture(figure: Figure) -> np.ndarray:
    """The figure as a picture (rows, columns, rgb); it is closed."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    plt.close(figure)
    return picture


def _draw_panels(
    fields: Mapping[str, np.ndarray],
    panels: Mapping[str, xr.DataArray | np.ndarray],
    title: str,
    grey: bool,
) -> Figure:
    """Figure of the fields (y, x) of one time step, with the rain scale, title and credits."""
    figure, axes = plt.subplots(
        1, len(fields), figsize=(2.7 * len(fields) + 0.9, 3.1), layout="compressed", squeeze=False
    )
    colours: dict = {"cmap": "gray", "vmin": 0, "vmax": 1} if grey else {"cmap": CMAP, "norm": NORM}
    for ax, (name, field) in zip(axes[0], fields.items(), strict=True):
        image = ax.imshow(field, interpolation="nearest", **colours)
        ax.set(title=name, xticks=[], yticks=[])

    if not grey:
        show_scale(image, axes)
    add_credits(figure, panels.values())
    if title:
        figure.suptitle(title, fontsize=10)
    return figure


def _time_title(panels: Mapping[str, xr.DataArray | np.ndarray], t: int) -> str:
    """Lead time and valid time, from the first panel that has them; empty if none has."""
    for panel in panels.values():
        if isinstance(panel, xr.DataArray) and "valid_time" in panel.coords:
            valid = pd.Timestamp(panel.valid_time.values[t])
            lead = float(panel.lead_time[t])
            return f"+{lead:.0f} min, valid {valid:%Y-%m-%d %H:%M} UTC"
    return ""
