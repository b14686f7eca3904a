"""The player as an ipywidget, and as a page without a kernel."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import anywidget
import traitlets

from nowcastlib.display.player.scene import Control, Scene

_HERE = Path(__file__).parent
# The JavaScript modules in the order of their imports.
_MODULES = (
    "elements",
    "packing",
    "sequences",
    "comparison",
    "map",
    "chart",
    "legend",
    "panel",
    "zoom",
    "controls",
    "pointer",
    "view",
    "start",
)
STATE = ("frame", "playing", "choice", "arrangement", "view", "threshold", "speed")

SPEEDS = {"½×": 800, "1×": 400, "2×": 200, "4×": 100}  # ms a frame
SPEED = Control("speed", "speed", list(SPEEDS), "s")


def _script(entry: str) -> str:
    """All JavaScript modules and one entry as a single module."""
    parts = [(_HERE / f"{name}.js").read_text() for name in (*_MODULES, entry)]
    return re.sub(r"^(import .*\n|export (?!default))", "", "\n".join(parts), flags=re.M)


class Player(anywidget.AnyWidget):
    """Player with a slider, play, and selects; Python can observe and set all that a user can.

    Link another widget to it with
    ``ipywidgets.jslink((ipywidgets.IntSlider(max=20), "value"), (player, "frame"))``.

    Parameters
    ----------
    scene : Scene
        What is shown.
    sequences : list of bytes
        Sequences of frames, as ``packing.pack`` makes them.
    **state
        First values of the traits below.
    """

    _esm = _script("widget")
    _css = (_HERE / "player.css").read_text()

    frame = traitlets.Int(0, help="number of the frame shown").tag(sync=True)
    playing = traitlets.Bool(False, help="whether it plays").tag(sync=True)
    # The following are numbers of options, as the controls of the scene list them.
    choice = traitlets.Int(0, help="forecast, or channel").tag(sync=True)
    arrangement = traitlets.Int(0, help="layout of the panels").tag(sync=True)
    view = traitlets.Int(0, help="how forecasts are compared with the observation").tag(sync=True)
    threshold = traitlets.Int(0, help="rain rate above which scores are counted").tag(sync=True)
    speed = traitlets.Int(1, help="speed of playing").tag(sync=True)

    scene = traitlets.Dict(help="what is shown, as the dataclass Scene").tag(sync=True)
    sequences: traitlets.List[bytes] = traitlets.List(help="packed frames").tag(sync=True)

    def __init__(self, scene: Scene, sequences: list[bytes], **state):
        super().__init__(scene=asdict(scene), sequences=sequences, **state)

    def page(self) -> str:
        """Return the player as one piece of HTML that needs neither a kernel nor a network."""
        state = {name: getattr(self, name) for name in (*STATE, "scene")}
        state["sequences"] = [base64.b64encode(packed).decode() for packed in self.sequences]
        data = json.dumps(state).replace("<", "\\u003c")  # so that no name can end the script

        name = f"nowcast-player-{uuid4().hex}"
        call = f'show(document.getElementById("{name}"), {data});'
        return (
            f'<style>{self._css}</style><div id="{name}"></div>'
            f'<script type="module">{_script("page")}\n{call}</script>'
        )

    def _repr_mimebundle_(self, **kwargs):
        """JupyterLab shows the widget; pages made of the notebook, without a kernel, the HTML."""
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is None:
            return None
        data, metadata = bundle
        return data | {"text/html": self.page()}, metadata
