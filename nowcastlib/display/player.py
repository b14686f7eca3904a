"""Frames, or truth beside forecasts, scrubbed by a slider: in JupyterLab, and in a page without kernel or network."""

import base64
import json
import zlib
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

from nowcastlib.data import grid
from nowcastlib.display import coastlines
from nowcastlib.display.rain_scale import (
    COLOURS,
    DRY,
    FORECASTER_COLOURS,
    LEVELS,
    UNKNOWN,
    credit,
)
from nowcastlib.errors import NowcastError

_HERE = Path(__file__).parent

# Rain is sent as levels of a byte: 0 is dry, each class of the rain scale has STEPS levels, 255 is not known. What
# exceeds EDGES[k], and that alone, has a level above k, so the browser counts rain above a threshold as verify does.
STEPS, NOT_KNOWN = 24, 255
EDGES = np.concatenate(
    [np.geomspace(a, b, STEPS, endpoint=False) for a, b in pairwise([*LEVELS, 1000])]
)
VALUES = np.array([0, *np.sqrt(EDGES * [*EDGES[1:], 1000])])  # mm/h that stand for the levels

LAYOUTS = ["all side by side", "one beside it", "swipe"]
VIEWS = ["rain rate", "outline of observed", "error", "hits and misses"]
SPEEDS = {"½×": 800, "1×": 400, "2×": 200, "4×": 100}  # ms a frame
ERRORS = (
    -20,
    -10,
    -5,
    -2,
    -0.5,
    0.5,
    2,
    5,
    10,
    20,
)  # mm/h; brown, white, green: seen without red and green, too
BROWN_GREEN = [
    colors.to_hex(c) for c in colormaps["BrBG"](np.linspace(0.04, 0.96, len(ERRORS) + 1))
]
BROWN_GREEN[len(ERRORS) // 2] = DRY
COMPARED = {
    "hit": "#0072b2",
    "miss": "#d55e00",
    "false alarm": "#f0c000",
    "dry in both": DRY,
    "not observed": UNKNOWN,
}
LINES = (
    "#0072b2",
    "#e69f00",
    "#009e73",
    "#cc79a7",
    "#d55e00",
    "#56b4e9",
)  # of forecasts without a colour of their own


class Canvas(anywidget.AnyWidget):
    """Panels drawn in the browser from sequences of pictures that are sent once."""

    _esm = _HERE / "player.js"
    _css = _HERE / "player.css"
    frame = traitlets.Int(0).tag(sync=True)  # which frame is shown
    playing = traitlets.Bool(False).tag(sync=True)
    choice = traitlets.Int(0).tag(
        sync=True
    )  # which forecast, or channel; these are numbers of the controls' options
    arrangement = traitlets.Int(0).tag(sync=True)
    view = traitlets.Int(0).tag(sync=True)
    threshold = traitlets.Int(0).tag(sync=True)
    speed = traitlets.Int(1).tag(sync=True)
    controls = traitlets.List().tag(sync=True)  # (what it changes, its label, its options, its key)
    names = traitlets.List().tag(sync=True)  # of the choices
    labels = traitlets.List().tag(sync=True)  # what stands above each frame
    size = traitlets.List().tag(sync=True)  # height, width of a frame in px
    panels = traitlets.List().tag(
        sync=True
    )  # (title, numbers of its sequences, one a choice or one for all)
    palettes = traitlets.List().tag(sync=True)  # of each panel, the colours of its levels
    sequences = traitlets.List().tag(
        sync=True
    )  # all frames of a sequence, a byte a pixel, compressed by zlib
    legend = traitlets.List().tag(
        sync=True
    )  # of each view: title, bar and swatches of (colour, text)
    credit = traitlets.Unicode().tag(sync=True)  # who made the data
    values = traitlets.List().tag(
        sync=True
    )  # of the levels in mm/h; the following are of rain only
    thresholds = traitlets.List().tag(
        sync=True
    )  # (mm/h, the level that is exceeded where the rate is)
    errors = traitlets.List().tag(sync=True)  # edges of the classes of error in mm/h
    lines = traitlets.List().tag(sync=True)  # colours of the panels' lines in the chart
    ranges = traitlets.List().tag(
        sync=True
    )  # of each panel: numbers of the sequences between which its members lie
    past = traitlets.Int(0).tag(sync=True)  # how many frames come before the forecast
    minutes = traitlets.List().tag(sync=True)  # of the frames, from the issue or the first
    ticks = traitlets.List().tag(sync=True)  # what stands below each frame in the chart
    axis = traitlets.Unicode().tag(sync=True)  # what these are
    borders = traitlets.List().tag(sync=True)  # lines on the map: x, y, x, y, … in px
    degrees = traitlets.List().tag(
        sync=True
    )  # longitudes and latitudes of some pixels, as grid.degrees
    pixel = traitlets.Float(0).tag(sync=True)  # width of a pixel in km; 0 is not known


class _Player(ipywidgets.VBox):
    """Play, a slider, a dropdown a control, and the canvas; as a widget, or as a page without a kernel.

    ``controls`` are (the canvas's trait, label, options, key on the keyboard).
    """

    def __init__(self, labels: list[str], first: int = 0, controls=(), **canvas):
        self.labels = labels
        controls = [*controls, ("speed", "speed", list(SPEEDS), "s")]
        self.canvas = Canvas(
            labels=labels, frame=first, controls=[list(c) for c in controls], **canvas
        )
        top = {"min": 0, "max": len(labels) - 1, "value": first}
        self.play = ipywidgets.Play(
            **top, interval=SPEEDS["1×"], repeat=True, show_repeat=False, tooltip="play"
        )
        self.slider = ipywidgets.IntSlider(**top, description="frame", readout=False)
        self.links = [
            ipywidgets.jslink((self.play, "value"), (self.slider, "value")),
            ipywidgets.jslink((self.slider, "value"), (self.canvas, "frame")),
            ipywidgets.jslink((self.play, "playing"), (self.canvas, "playing")),
        ]
        self.dropdowns = {}
        for trait, label, options, _ in controls:
            dropdown = ipywidgets.Dropdown(
                options=options, description=label, index=getattr(self.canvas, trait)
            )
            dropdown.layout = {"width": "auto"}
            self.links.append(ipywidgets.jslink((dropdown, "index"), (self.canvas, trait)))
            self.dropdowns[trait] = dropdown
        self.dropdowns["speed"].observe(
            lambda _: setattr(self.play, "interval", self._interval()), "index"
        )
        self.dropdown = self.dropdowns.get("choice")
        rows = ipywidgets.Layout(flex_flow="row wrap")
        super().__init__([
            ipywidgets.HBox([self.play, self.slider], layout=rows),
            ipywidgets.HBox(list(self.dropdowns.values()), layout=rows),
            self.canvas,
        ])  # fmt: skip

    def _interval(self) -> int:
        return list(SPEEDS.values())[self.dropdowns["speed"].index]

    def page(self) -> str:
        """The player as one piece of HTML that needs no kernel and no network."""
        state = {name: getattr(self.canvas, name) for name in Canvas.class_own_traits(sync=True)}
        state["sequences"] = [base64.b64encode(s).decode() for s in self.canvas.sequences]
        name = f"nowcast-player-{uuid4().hex}"
        script = (_HERE / "player.js").read_text().replace("export default", "const player =")
        # "<" escaped, so that no name can end the script
        told = f"{json.dumps(state)}, {list(SPEEDS.values())}"
        call = f"player.standalone(document.getElementById('{name}'), {told});".replace(
            "<", "\\u003c"
        )
        style = (_HERE / "player.css").read_text()
        return f'<style>{style}</style><div id="{name}"></div><script type="module">{script}\n{call}</script>'

    def _repr_mimebundle_(self, **kwargs):
        # JupyterLab shows the widget; a page made of the notebook, where no kernel is, shows the HTML
        return super()._repr_mimebundle_(**kwargs) | {"text/html": self.page()}


class FramePlayer(_Player):
    """Scrub frames (time, y, x) in mm/h: play, and a slider (arrow keys step)."""

    def __init__(self, frames: xr.DataArray):
        times = frames.indexes["time"]
        super().__init__(
            [f"{t:%Y-%m-%d %H:%M} UTC" for t in times],
            **_rain(("rain rate", _levels(frames.values))),
            **_map(frames),
            legend=_legend()[:1],
            minutes=[(t - times[0]) / pd.Timedelta(minutes=1) for t in times],
            ticks=[f"{t:%H:%M}" for t in times],
            axis="time (UTC)",
        )


class CellPlayer(_Player):
    """Step through time and look inside a ConvLSTM cell: its input, gates and states, for a channel of one's choice.

    ``x`` is the input, (T, H, W) in 0…1; ``trace`` what ``cell.trace`` gave: i, f, g, o, C, H, each
    (1, T, hidden, H', W'). Gates (0 to 1) are green, the others (−1 to 1; stronger ones are cut) blue to red.
    """

    def __init__(self, x: np.ndarray, trace: Mapping[str, np.ndarray]):
        x, maps = np.asarray(x), {name: np.asarray(t)[0] for name, t in trace.items()}
        steps, hidden, height, width = next(iter(maps.values())).shape
        rows, columns = (
            np.arange(n) * m // n for n, m in zip((height, width), x.shape[1:], strict=True)
        )
        sequences, panels, palettes = [_shades(x[:, rows][:, :, columns])], [["X", [0]]], ["gray"]
        for name, t in maps.items():
            panels.append([name, list(range(len(sequences), len(sequences) + hidden))])
            palettes.append("Greens" if name in "ifozr" else "RdBu_r")
            sequences += [
                _shades(t[:, k] if palettes[-1] == "Greens" else t[:, k] / 2 + 0.5)
                for k in range(hidden)
            ]
        shades = [("Greens", v, f"gate {v:g}") for v in (0.0, 0.5, 1.0)]
        shades += [("RdBu_r", v / 2 + 0.5, f"{v:+g}") for v in (-1, 0, 1)]
        swatches = [[colors.to_hex(colormaps[cmap](v)), text] for cmap, v, text in shades]
        names = [f"channel {k}" for k in range(hidden)]
        super().__init__(
            [f"after frame {t + 1} of {steps}" for t in range(steps)],
            controls=[("choice", "channel", names, "1–9")],
            names=names,
            size=[height, width],
            panels=panels,
            palettes=[[colors.to_hex(c) for c in colormaps[p](np.arange(256))] for p in palettes],
            sequences=sequences,
            legend=[{"title": "", "bar": [], "swatches": swatches}],
        )


class ForecastPlayer(_Player):
    """Scrub forecasts beside what came true: play, slider (arrow keys step), and how to look at them.

    ``observed`` is (time, y, x) in mm/h and ``forecasts`` maps names to what ``forecast.forecast`` made, all for the
    same times; of an ensemble (member, lead_time, y, x) the mean is shown, and the chart draws the range from its
    10 % to its 90 % quantile. The player starts with the observed frames up to the issue (at most ``past``), the
    same in all panels. A valid time that is not observed is grey. The counts and scores below a panel are those of
    ``counting.count`` for its frame and the threshold of one's choice. Up to three forecasts stand side by side
    at first, of more of them one.

    Raises NowcastError if there is no forecast, or if they differ in times or grid.
    """

    def __init__(
        self, observed: xr.DataArray, forecasts: Mapping[str, xr.DataArray], past: int = 3
    ):
        if not forecasts:
            raise NowcastError("there is no forecast to play")
        means = {
            name: f.astype("f8").mean("member") if "member" in f.dims else f
            for name, f in forecasts.items()
        }
        first = next(iter(means.values()))
        issued, valid = first.issued.values, first.valid_time.values
        for name, other in means.items():
            if other.shape != first.shape or (other.valid_time.values != valid).any():
                raise NowcastError(
                    f"the forecast {name!r} is for other times or another grid than the first"
                )
        if observed.shape[1:] != first.shape[1:]:
            raise NowcastError(
                f"the forecasts are for a grid of {first.shape[1:]} px, observed are {observed.shape[1:]}"
            )
        before = observed.sel(time=slice(None, issued))
        before = before.isel(time=slice(max(0, before.sizes["time"] - past), None))
        times = [*before.time.values, *valid]
        minutes = [float((t - issued) / np.timedelta64(1, "m")) for t in times]
        known, truth = _levels(before.values), _levels(observed.reindex(time=valid).values)
        sequences = [("observed", truth)]
        for name, mean in means.items():
            ranges = _range(forecasts[name]) if "member" in forecasts[name].dims else []
            sequences.append((name, _levels(mean.values), *ranges))
        super().__init__(
            [_label(t, issued) for t in times],
            before.sizes["time"],
            [
                ("choice", "forecast", list(forecasts), "1–9"),
                ("arrangement", "layout", LAYOUTS, "l"),
                ("view", "view", VIEWS, "v"),
                ("threshold", "rain above", [f"{t:g} mm/h" for t in LEVELS[:-1]], "t"),
            ],
            **_rain(
                *(
                    (name, *(np.concatenate([known, s]) for s in levels))
                    for name, *levels in sequences
                )
            ),
            **_map(observed),
            names=list(forecasts),
            arrangement=0 if len(forecasts) <= 3 else 1,
            threshold=LEVELS.index(1),
            thresholds=[[t, STEPS * k] for k, t in enumerate(LEVELS[:-1])],
            errors=list(ERRORS),
            legend=_legend(),
            past=before.sizes["time"],
            minutes=minutes,
            ticks=[f"{m:+.0f}".replace("+0", "now").replace("-", "−") for m in minutes],
            axis="lead time (minutes)",
        )


def _label(time, issued) -> str:
    lead = (time - issued) / np.timedelta64(1, "m")
    what = (
        f"forecast +{lead:.0f} min"
        if lead > 0
        else f"observed {lead:+.0f} min"
        if lead
        else "observed, now"
    )
    return f"{what} · valid {pd.Timestamp(time):%Y-%m-%d %H:%M} UTC"


def _levels(rate: np.ndarray) -> np.ndarray:
    """Rain rates in mm/h as levels."""
    return np.where(np.isnan(rate), NOT_KNOWN, np.digitize(rate, EDGES, right=True)).astype("u1")


def _range(members: xr.DataArray) -> list[np.ndarray]:
    """Levels of the 10 % and the 90 % quantile of a forecast (member, lead_time, y, x)."""
    ordered = np.sort(_levels(members.values), axis=0, kind="stable")
    return [ordered[round(q * (len(ordered) - 1))] for q in (0.1, 0.9)]


def _shades(frames: np.ndarray) -> bytes:
    """All frames (time, y, x) in 0…1 in 256 shades."""
    return zlib.compress(np.rint(255 * np.clip(frames, 0, 1)).astype("u1").tobytes())


def _rain(*sequences: tuple) -> dict:
    """What the canvas is told of a panel each: (name, its levels, and those between which its members lie, if any)."""
    packed, of_members = [zlib.compress(levels.tobytes()) for _, levels, *_ in sequences], []
    for _, _, *ranges in sequences:
        of_members.append([len(packed) + k for k in range(len(ranges))])
        packed += [zlib.compress(levels.tobytes()) for levels in ranges]
    names = [name for name, *_ in sequences]
    free = [c for c in LINES if c not in map(FORECASTER_COLOURS.get, names[1:])] * len(names)
    palette = [DRY, *np.repeat(COLOURS, STEPS).tolist()]
    return {
        "size": list(sequences[0][1].shape[1:]),
        "panels": [[name, [k]] for k, name in enumerate(names)],
        "palettes": [palette + [UNKNOWN] * (256 - len(palette))] * len(names),
        "sequences": packed,
        "values": VALUES.round(3).tolist(),
        "lines": ["#222222", *(FORECASTER_COLOURS.get(name) or free.pop(0) for name in names[1:])],
        "ranges": of_members,
    }


def _map(frames: xr.DataArray) -> dict:
    """What the canvas is told of the place of frames (…, y, x) on the Earth, and who made them."""
    known = grid.degrees(frames)
    return {
        "borders": [line.round(1).ravel().tolist() for line in coastlines.lines(frames)],
        "degrees": [] if known is None else known.round(4).tolist(),
        "pixel": grid.pixel_width_km(frames) or 0.0,
        "credit": credit(frames),
    }


def _legend() -> list[dict]:
    """Of each view: a title, a bar of classes with their lower edges, and swatches of what stands for itself."""
    rain = [[colour, f"{edge:g}"] for colour, edge in zip(COLOURS, LEVELS, strict=True)]
    error = [
        [colour, f"{edge}".replace("-", "−")]
        for colour, edge in zip(BROWN_GREEN, ("", *ERRORS), strict=True)
    ]
    return [
        {
            "title": "rain rate (mm/h)",
            "bar": rain,
            "swatches": [[DRY, "dry"], [UNKNOWN, "not known"]],
        },
        {"title": "black outline: observed rain above the threshold", "bar": [], "swatches": []},
        {
            "title": "forecast − observed (mm/h): brown too dry, green too wet",
            "bar": error,
            "swatches": [[UNKNOWN, "not observed"]],
        },
        {
            "title": "rain above the threshold",
            "bar": [],
            "swatches": [[c, text] for text, c in COMPARED.items()],
        },
    ]
