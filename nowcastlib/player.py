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
from matplotlib import colormaps, colors
from PIL import Image

from . import NowcastError
from .plots import COLOURS, DRY, LEVELS, UNKNOWN, credit

_HERE = Path(__file__).parent


class Canvas(anywidget.AnyWidget):
    """Panels side by side, drawn in the browser from pictures that are sent once."""

    _esm = _HERE / "player.js"
    _css = _HERE / "player.css"
    frame = traitlets.Int(0).tag(sync=True)  # which frame is shown
    choice = traitlets.Int(0).tag(sync=True)  # which forecast, or channel
    names = traitlets.List().tag(sync=True)  # of the choices
    what = traitlets.Unicode().tag(sync=True)  # what is chosen
    labels = traitlets.List().tag(sync=True)  # what stands above each frame
    size = traitlets.List().tag(sync=True)  # height, width of a frame in px
    panels = traitlets.List().tag(sync=True)  # (title, numbers of its sprites, one a choice or one for all)
    sprites = traitlets.List().tag(sync=True)  # PNGs: all frames of a sequence in columns
    legend = traitlets.List().tag(sync=True)  # (colour, text) of each class
    unit = traitlets.Unicode("mm/h").tag(sync=True)  # of the legend
    credit = traitlets.Unicode().tag(sync=True)  # who made the data


class _Player(ipywidgets.VBox):
    """Play, a slider, a choice if there is one, and the canvas; as a widget, or as a page without a kernel."""

    def __init__(self, labels: list[str], first: int = 0, names=(), what: str = "", **canvas):
        self.labels = labels
        self.canvas = Canvas(labels=labels, frame=first, names=list(names), what=what, **canvas)
        top = {"min": 0, "max": len(labels) - 1, "value": first}
        self.play = ipywidgets.Play(**top, interval=300, tooltip="play")
        self.slider = ipywidgets.IntSlider(**top, description="frame", readout=False)
        self.links = [
            ipywidgets.jslink((self.play, "value"), (self.slider, "value")),
            ipywidgets.jslink((self.slider, "value"), (self.canvas, "frame")),
        ]
        controls = [self.play, self.slider]
        if names:
            self.dropdown = ipywidgets.Dropdown(options=list(names), description=what)
            self.links.append(ipywidgets.jslink((self.dropdown, "index"), (self.canvas, "choice")))
            controls.append(self.dropdown)
        super().__init__([ipywidgets.HBox(controls), self.canvas])

    def page(self) -> str:
        """The player as one piece of HTML that needs no kernel and no network."""
        shown = ("frame", "choice", "names", "what", "labels", "size", "panels", "legend", "unit", "credit")
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


class FramePlayer(_Player):
    """Scrub frames (time, y, x) in mm/h: play, and a slider (arrow keys step)."""

    def __init__(self, frames: xr.DataArray):
        super().__init__(
            [f"{t:%Y-%m-%d %H:%M} UTC" for t in frames.indexes["time"]],
            size=list(frames.shape[1:]),
            panels=[["rain rate", [0]]],
            sprites=[_sprite(frames.values)],
            legend=_legend(),
            credit=credit(frames),
        )


class CellPlayer(_Player):
    """Step through time and look inside a ConvLSTM cell: its input, gates and states, for a channel of one's choice.

    ``x`` is the input, (T, H, W) in 0…1; ``trace`` what ``cell.trace`` gave: i, f, g, o, C, H, each
    (1, T, hidden, H', W'). Gates (0 to 1) are green, the others (−1 to 1; stronger ones are cut) blue to red.
    """

    def __init__(self, x: np.ndarray, trace: Mapping[str, np.ndarray]):
        x, maps = np.asarray(x), {name: np.asarray(t)[0] for name, t in trace.items()}
        steps, hidden, height, width = next(iter(maps.values())).shape
        rows, columns = (np.arange(n) * m // n for n, m in zip((height, width), x.shape[1:], strict=True))
        sprites, panels = [_shades(x[:, rows][:, :, columns], "gray")], [["X", [0]]]
        for name, t in maps.items():
            panels.append([name, list(range(len(sprites), len(sprites) + hidden))])
            sprites += [_shades(*((t[:, k], "Greens") if name in "ifozr" else (t[:, k] / 2 + 0.5, "RdBu_r")))
                        for k in range(hidden)]  # fmt: skip
        shades = [("Greens", v, f"gate {v:g}") for v in (0.0, 0.5, 1.0)]
        shades += [("RdBu_r", v / 2 + 0.5, f"{v:+g}") for v in (-1, 0, 1)]
        super().__init__(
            [f"after frame {t + 1} of {steps}" for t in range(steps)],
            names=[f"channel {k}" for k in range(hidden)],
            what="channel",
            size=[height, width],
            panels=panels,
            sprites=sprites,
            legend=[[colors.to_hex(colormaps[cmap](v)), text] for cmap, v, text in shades],
            unit="",
        )


class ForecastPlayer(_Player):
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
        sequences = [truth] + [np.concatenate([before, f]) for f in forecasts.values()]
        super().__init__(
            labels,
            before.sizes["time"],
            list(forecasts),
            "forecast",
            size=list(first.shape[1:]),
            panels=[["observed", [0]], ["", list(range(1, len(sequences)))]],
            sprites=[_sprite(frames) for frames in sequences],
            legend=_legend(),
            credit=credit(observed),
        )


def _label(time, issued) -> str:
    lead = (time - issued) / np.timedelta64(1, "m")
    what = f"forecast +{lead:.0f} min" if lead > 0 else f"observed {lead:+.0f} min" if lead else "observed, now"
    return f"{what} · valid {pd.Timestamp(time):%Y-%m-%d %H:%M} UTC"


def _sprite(frames: np.ndarray) -> bytes:
    """All frames (time, y, x) in the colours of the rain scale, as PNG."""
    classes = np.digitize(frames, LEVELS)  # 0 is dry
    classes[np.isnan(frames)] = len(LEVELS) + 1
    return _png(classes, bytes.fromhex("".join(c[1:] for c in (DRY, *COLOURS, UNKNOWN))))


def _shades(frames: np.ndarray, cmap: str) -> bytes:
    """All frames (time, y, x) in 0…1 in 256 shades, as PNG."""
    return _png(np.rint(255 * np.clip(frames, 0, 1)), (255 * colormaps[cmap](np.arange(256))[:, :3]).astype("u1"))


def _png(classes: np.ndarray, palette) -> bytes:
    """Frames (time, y, x) of colour numbers, in columns: browsers draw pictures of up to 16,384 px."""
    n, height, width = classes.shape
    rows = min(n, max(1, 16_384 // height))
    columns = np.zeros((-(-n // rows) * rows, height, width), "u1")
    columns[:n] = classes
    picture = Image.fromarray(np.hstack(list(columns.reshape(-1, rows * height, width))), "P")
    picture.putpalette(bytes(palette))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _legend() -> list[list[str]]:
    ranges = [f"{a:g}–{b:g}" for a, b in pairwise(LEVELS)] + [f"> {LEVELS[-1]:g}"]
    return [[DRY, "dry"], *([c, r] for c, r in zip(COLOURS, ranges, strict=True)), [UNKNOWN, "not known"]]
