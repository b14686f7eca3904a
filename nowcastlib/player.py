"""Frames, or truth beside forecasts, scrubbed by a slider: in JupyterLab, and in a page without kernel or network."""

import base64
import html
import io
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import anywidget
import ipywidgets
import numpy as np
import pandas as pd
import traitlets
import xarray as xr
from PIL import Image

from . import NowcastError
from .plots import COLOURS, DRY, LEVELS, UNKNOWN, credit

_HERE = Path(__file__).parent


class Canvas(anywidget.AnyWidget):
    """Drawn in the browser from pictures that are sent once: the truth and, if there are some, the forecast chosen."""

    _esm = _HERE / "player.js"
    _css = _HERE / "player.css"
    frame = traitlets.Int(0).tag(sync=True)  # which frame is shown
    choice = traitlets.Int(0).tag(sync=True)  # which forecast stands beside the truth
    names = traitlets.List().tag(sync=True)  # of the forecasts
    labels = traitlets.List().tag(sync=True)  # what stands above each frame
    size = traitlets.List().tag(sync=True)  # height, width of a frame in px
    sprites = traitlets.List().tag(sync=True)  # PNGs: all frames of the truth in columns, then of each forecast
    legend = traitlets.List().tag(sync=True)  # (colour, text) of each class
    credit = traitlets.Unicode().tag(sync=True)  # who made the data


class FramePlayer(ipywidgets.VBox):
    """Scrub frames (time, y, x) in mm/h: play, and a slider (arrow keys step)."""

    def __init__(self, frames: xr.DataArray):
        labels = [f"{t:%Y-%m-%d %H:%M} UTC" for t in frames.indexes["time"]]
        self._build(labels, {"observed": frames.values}, frames, 0)

    def _build(self, labels: list[str], sequences: Mapping[str, np.ndarray], credited: xr.DataArray, first: int):
        """Canvas and controls; the first of ``sequences`` is the truth, the others are forecasts."""
        self.labels, names = labels, list(sequences)[1:]
        self.canvas = Canvas(
            names=names,
            labels=labels,
            size=list(next(iter(sequences.values())).shape[1:]),
            sprites=[_sprite(frames) for frames in sequences.values()],
            legend=_legend(),
            frame=first,
            credit=credit(credited),
        )
        top = {"min": 0, "max": len(labels) - 1, "value": first}
        self.play = ipywidgets.Play(**top, interval=300, tooltip="play")
        self.slider = ipywidgets.IntSlider(**top, description="frame", readout=False)
        self.links = [
            ipywidgets.jslink((self.play, "value"), (self.slider, "value")),
            ipywidgets.jslink((self.slider, "value"), (self.canvas, "frame")),
        ]
        controls = [self.play, self.slider]
        if names:
            self.dropdown = ipywidgets.Dropdown(options=names, description="forecast")
            self.links.append(ipywidgets.jslink((self.dropdown, "index"), (self.canvas, "choice")))
            controls.append(self.dropdown)
        super().__init__([ipywidgets.HBox(controls), self.canvas])

    def page(self) -> str:
        """The player as one piece of HTML that needs no kernel and no network."""
        shown = ("frame", "choice", "names", "labels", "size", "legend", "credit")
        state = {k: self.canvas.trait_values()[k] for k in shown}
        state["sprites"] = [base64.b64encode(s).decode() for s in self.canvas.sprites]
        name = f"nowcast-player-{uuid4().hex}"
        script = (_HERE / "player.js").read_text().replace("export default", "const player =")
        # "<" escaped, so that no name can end the script
        call = f"player.standalone(document.getElementById('{name}'), {json.dumps(state)});".replace("<", "\\u003c")
        style = html.escape((_HERE / "player.css").read_text(), quote=False)
        return f'<style>{style}</style><div id="{name}"></div><script type="module">{script}\n{call}</script>'

    def _repr_mimebundle_(self, **kwargs):
        # JupyterLab shows the widget; a page made of the notebook, where no kernel is, shows the HTML
        return super()._repr_mimebundle_(**kwargs) | {"text/html": self.page()}


class ForecastPlayer(FramePlayer):
    """Scrub forecasts beside what came true: play, slider (arrow keys step) and a choice of forecasts.

    ``observed`` is (time, y, x) in mm/h and ``forecasts`` maps names to what ``forecast.forecast`` made, all for the
    same times. The player starts with the observed frames up to the issue (at most ``past``), the same on both
    sides. A valid time that is not observed is grey on the left. Raises NowcastError if there is no forecast, or if
    they differ in times or grid.
    """

    def __init__(self, observed: xr.DataArray, forecasts: Mapping[str, xr.DataArray], past: int = 3):
        if not forecasts:
            raise NowcastError("there is no forecast to play")
        first = next(iter(forecasts.values()))
        for name, other in forecasts.items():
            if other.shape != first.shape or (other.valid_time.values != first.valid_time.values).any():
                raise NowcastError(f"the forecast {name!r} is for other times or another grid than the first")
        before = observed.sel(time=slice(None, first.issued.values)).isel(time=slice(-past, None))
        truth = np.concatenate([before, observed.reindex(time=first.valid_time.values)])
        labels = [_label(t, first.issued.values) for t in [*before.time.values, *first.valid_time.values]]
        sequences = {name: np.concatenate([before, f]) for name, f in forecasts.items()}
        self._build(labels, {"observed": truth} | sequences, observed, before.sizes["time"])


def _label(time, issued) -> str:
    lead = (time - issued) / np.timedelta64(1, "m")
    what = f"forecast +{lead:.0f} min" if lead > 0 else f"observed {lead:+.0f} min" if lead else "observed, now"
    return f"{what} · valid {pd.Timestamp(time):%Y-%m-%d %H:%M} UTC"


def _sprite(frames: np.ndarray) -> bytes:
    """All frames (time, y, x) in the colours of the rain scale, in columns (browsers draw up to 16,384 px), as PNG."""
    n, height, width = frames.shape
    classes = np.digitize(frames, LEVELS)  # 0 is dry
    classes[np.isnan(frames)] = len(LEVELS) + 1
    rows = min(n, max(1, 16_384 // height))
    columns = np.zeros((-(-n // rows) * rows, height, width), "u1")
    columns[:n] = classes
    picture = Image.fromarray(np.hstack(list(columns.reshape(-1, rows * height, width))), "P")
    picture.putpalette(bytes.fromhex("".join(c[1:] for c in (DRY, *COLOURS, UNKNOWN))))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _legend() -> list[list[str]]:
    ranges = [f"{a:g}–{b:g}" for a, b in pairwise(LEVELS)] + [f"> {LEVELS[-1]:g}"]
    return [[DRY, "dry"], *([c, r] for c, r in zip(COLOURS, ranges, strict=True)), [UNKNOWN, "not known"]]
