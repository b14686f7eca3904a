"""A player that shows the inside of a ConvLSTM cell."""

from collections.abc import Mapping

import numpy as np

from nowcastlib.display.player.packing import pack_shades
from nowcastlib.display.player.scene import Control, Legend, Panel, Scene
from nowcastlib.display.player.shades import BLUE_RED, GREEN, GREY
from nowcastlib.display.player.widget import SPEED, SPEEDS, Player

GATES = "ifozr"  # of ConvLSTM and ConvGRU: 0 to 1; everything else −1 to 1


LEGEND = Legend(
    "",
    swatches=[
        (GREEN[0], "gate 0"),
        (GREEN[128], "gate 0.5"),
        (GREEN[255], "gate 1"),
        (BLUE_RED[0], "−1"),
        (BLUE_RED[128], "0"),
        (BLUE_RED[255], "+1"),
    ],
)


class CellPlayer(Player):
    """Step through time and look inside a ConvLSTM cell: its input, gates and states.

    Parameters
    ----------
    x : array, shape (T, H, W)
        Input in 0…1.
    trace : mapping of str to array, shape (1, T, hidden, H', W')
        Gates and states by their names (i, f, g, o, C, H), as ``cell.trace`` returns them. Gates,
        0 to 1, are green; the others, −1 to 1, are blue to red, and clipped beyond.
    """

    def __init__(self, x: np.ndarray, trace: Mapping[str, np.ndarray]):
        maps = {name: np.asarray(values)[0] for name, values in trace.items()}
        steps, hidden, height, width = next(iter(maps.values())).shape

        panels = [Panel("X", [0], GREY)]
        sequences = [pack_shades(_resize(np.asarray(x), height, width))]
        for name, values in maps.items():  # (T, hidden, H', W')
            numbers = list(range(len(sequences), len(sequences) + hidden))
            gate = name in GATES
            panels.append(Panel(name, numbers, GREEN if gate else BLUE_RED))
            shades = values if gate else values / 2 + 0.5
            sequences += [pack_shades(shades[:, channel]) for channel in range(hidden)]

        channels = [f"channel {k}" for k in range(hidden)]
        scene = Scene(
            labels=[f"after frame {t + 1} of {steps}" for t in range(steps)],
            size=(height, width),
            panels=panels,
            controls=[Control("choice", "channel", channels, "1–9"), SPEED],
            legends=[LEGEND],
            intervals=list(SPEEDS.values()),
        )
        super().__init__(scene, sequences)


def _resize(frames: np.ndarray, height: int, width: int) -> np.ndarray:
    """Frames (T, H, W) at another size, each pixel from its nearest."""
    rows = np.arange(height) * frames.shape[1] // height
    columns = np.arange(width) * frames.shape[2] // width
    return frames[:, rows][:, :, columns]
