"""What the label of a clip means, as plain settings: importing them loads no torch."""

from dataclasses import dataclass

from nowcastlib.data.window_options import WindowOptions


@dataclass(frozen=True)
class ClipOptions:
    """The question that a classifier answers about clips of rain, and how clips are drawn.

    The label of a clip is 1 if, at any of the frames ``first_lead`` … ``n_out`` after the clip, at
    least ``share`` of the observed pixels of the centre have a rain rate above ``rate``.

    Raises
    ------
    ValueError
        If a field is outside its range; the message names the field.
    """

    rate: float = 5.0  # mm/h that a pixel must exceed
    share: float = 0.01  # of the observed pixels of the centre, at least
    centre: int = 32  # px; side of the square in the middle of a clip that the question is about
    first_lead: int = 6  # first frame after the clip that counts, from 1; the last one is n_out
    # training clips are cut at random places and labelled there; else in the middle of the frames
    shift: bool = False
    oversample: bool = False  # training draws clips of both labels equally often

    def __post_init__(self):
        if not self.rate > 0:
            raise ValueError(f"rate is {self.rate}: it must be above 0 mm/h")
        if not 0 < self.share <= 1:
            raise ValueError(f"share is {self.share}: it must be above 0 and at most 1")
        for name in ("centre", "first_lead"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be 1 or more")

    def check(self, windows: WindowOptions) -> None:
        """Raise ValueError if the question does not suit the windows."""
        if self.first_lead > windows.n_out:
            raise ValueError(
                f"first_lead is {self.first_lead}, but n_out is {windows.n_out}: the label would "
                "look at no frame"
            )
        if windows.crop and self.centre > windows.crop:
            raise ValueError(
                f"centre is {self.centre} px, but crop is {windows.crop}: the centre must lie "
                "within the clip"
            )
        if self.shift and not windows.crop:
            raise ValueError("shift cuts clips at random places: it needs a crop")
