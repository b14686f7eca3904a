"""The scene of a player: everything that is sent to the browser once and does not change."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Panel:
    """One picture and its line in the chart."""

    title: str
    sequences: list[int]  # numbers of its sequences: one per option of `by`, or one for all
    palette: list[str]  # colours of the 256 levels
    colour: str = "#222222"  # of its line in the chart
    # Numbers of the sequences with the 10 % and 90 % quantiles; empty if there is no ensemble.
    quantiles: list[int] = field(default_factory=list)
    by: str = "choice"  # the trait that chooses among its sequences
    is_share: bool = False  # of members, instead of a rain rate: it has no line in the chart


@dataclass(frozen=True)
class Control:
    """One select: the trait that it sets to the number of the chosen option."""

    trait: str
    label: str
    options: list[str]
    key: str  # on the keyboard


@dataclass(frozen=True)
class Legend:
    """A bar of classes, and swatches."""

    title: str
    bar: list[tuple[str, str]] = field(default_factory=list)  # colour and lower edge of a class
    swatches: list[tuple[str, str]] = field(default_factory=list)  # colour and text
    view: int | None = None  # the view that it belongs to; None: it is always shown


@dataclass(frozen=True)
class Rain:
    """Meaning of the levels, for pictures of rain."""

    values: list[float]  # mm/h that stand for the levels
    thresholds: list[tuple[float, int]]  # rate in mm/h; the level above which it is exceeded
    errors: list[float]  # edges of the classes of forecast − observed, in mm/h


@dataclass(frozen=True)
class Chart:
    """Horizontal axis of the chart of rain rates."""

    minutes: list[float]  # of each frame
    ticks: list[str]  # text below each frame
    axis: str  # name of the axis


@dataclass(frozen=True)
class Map:
    """Place of the frames on the Earth."""

    borders: list[list[float]]  # lines: x, y, x, y, … in px
    degrees: list[list[list[float]]]  # longitude and latitude of some pixels (2, n, n), or empty
    pixel_km: float  # width of a pixel on the ground; 0 if unknown
    # Places that are marked: name, x and y in px
    places: list[tuple[str, float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Scene:
    """What a player shows. Sequences are numbered in the order in which they are sent."""

    labels: list[str]  # text above each frame
    size: tuple[int, int]  # height and width of a frame in px
    panels: list[Panel]
    controls: list[Control]
    legends: list[Legend]
    intervals: list[int]  # ms between frames, for each speed
    past: int = 0  # number of frames before the forecast
    comparing: bool = False  # whether the panels after the first are scored against it
    credit: str = ""  # who made the data
    rain: Rain | None = None
    chart: Chart | None = None
    map: Map | None = None
