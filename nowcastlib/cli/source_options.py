"""Options of ``ingest`` and ``live``: where frames come from, and which part of them is kept."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from nowcastlib.cli.reading import AS_STATED, ReadingOptions, option
from nowcastlib.errors import NowcastError

if TYPE_CHECKING:
    from nowcastlib.data import Feed

SourceName = Literal["demo", "archive", "fvg", "cloud", "images"]

# option of the command line → keyword of the feed, for each source
SOURCE_OPTIONS = {
    "demo": {"events": "events", "pixels": "size"},
    "archive": {"path": "path", "product": "product"},
    "fvg": {
        "radar": "radar",
        "product": "product",
        "base": "base",
        "max_seconds": "file_seconds",
        "max_mb": "file_bytes",
        "redirects": "other_hosts",
    },
    "cloud": {"path": "path", "endpoint": "endpoint"},
    "images": {
        "path": "path",
        "spacing": "spacing",
        "palette": "palette",
        "brightness": "brightness",
        "colours": "colours",
        "mask": "mask",
    },
}


# options about reading that each source has; of the archive's products, odim and geotiff have them
READING = {
    "demo": (),
    "archive": ("variable", "units", "accumulation_minutes", "pixel_km", "north_up"),
    "fvg": (),
    "cloud": ("variable", "units", "accumulation_minutes", "pixel_km", "north_up"),
    "images": ("pixel_km", "north_up"),
}


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Where frames come from, and which part of them is kept."""

    source: SourceName = "demo"

    # Source archive: folder of the files. Source images: folder of the pictures or videos. Source
    # cloud: path or URL of the store, or the name of a public archive, such as it-dpc-sri.
    path: Annotated[str | None, option("PATH", "data/archive for archive, otherwise required")] = (
        None
    )

    # Source archive: mch, fmi, fmi-geotiff, knmi, bom, odim or geotiff. Source fvg: a product of
    # the radar, such as SRI or VMI.
    product: Annotated[str | None, option("NAME", "mch for archive, SRI for fvg")] = None

    # Source fvg: number of the radar; 1 is Fossalon di Grado.
    radar: Annotated[int | None, option("N", "1")] = None

    # Source fvg: address of another server with the same interface.
    base: Annotated[str | None, option("URL", "the public server")] = None

    # Source fvg: seconds that a file may take, repetitions included.
    max_seconds: Annotated[float | None, option("SECONDS", "300")] = None

    # Source fvg: largest size of a file, also after decompression.
    max_mb: Annotated[float | None, option("MIB", "64")] = None

    # Source fvg: let the server redirect to other hosts.
    redirects: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False

    # Source cloud: address of an S3 service other than Amazon's.
    endpoint: Annotated[str | None, option("URL", "Amazon S3")] = None

    # Source images: minutes between two pictures.
    spacing: Annotated[float | None, option("MINUTES", "5")] = None

    # Source images: CSV or JSON file with the rain rate in mm/h of each colour, such as #0a96ff,1.5
    # a row. The rate of a colour that means not observed is none.
    palette: Annotated[str | None, option("FILE", "none, for grey pictures")] = None

    # Source images: brighter means more rain in pictures with colours, too.
    brightness: bool = False

    # Source images: keep red, green and blue as three channels, for films that are not rain; train
    # on them with --config.channels 3.
    colours: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False

    # Source images: a picture of the size of the frames; pixels where it is black are not observed.
    mask: Annotated[str | None, option("FILE", "all are observed")] = None

    # Source demo: number of synthetic storms of 36 frames each.
    events: Annotated[int | None, option("N", "6")] = None

    # Source demo: height and width of a frame in pixels of 1 km.
    pixels: Annotated[int | None, option("PX", "128")] = None

    # Keep only a rectangle of each frame, in pixels: the first two numbers are its upper left
    # corner.
    crop: Annotated[
        tuple[int, int, int, int] | None, option("X Y WIDTH HEIGHT", "the whole frame")
    ] = None

    # Reduce the grid to this number of columns by area means. The shipped networks were trained at
    # about 1 km per pixel. 0 keeps the grid.
    regrid: Annotated[int, tyro.conf.arg(metavar="COLUMNS")] = 0

    # What the frames of the sources archive (products odim and geotiff), cloud and images are.
    reading: ReadingOptions = AS_STATED

    def feed(self) -> "Feed":
        """The feed that these options describe.

        Raises
        ------
        NowcastError
            If an option was given that the chosen source does not have, or one that it needs is
            missing.
        """
        from nowcastlib.data import feeds

        own = SOURCE_OPTIONS[self.source]
        names = {name for options in SOURCE_OPTIONS.values() for name in options}
        given = {name: getattr(self, name) for name in sorted(names)}

        for name, value in given.items():
            if value is not None and value is not False and name not in own:
                known = ", ".join(f"--{option.replace('_', '-')}" for option in own)
                raise NowcastError(
                    f"--{name.replace('_', '-')} is not an option of the source {self.source}: "
                    f"it has {known}"
                )

        keywords = {keyword: given[name] for name, keyword in own.items()}
        if self.source == "fvg":
            keywords = _with_limits(keywords)
        return feeds.feed(self.source, **keywords, **self._reading_keywords())

    def _reading_keywords(self) -> dict[str, Any]:
        """Keywords of the feed for the options about reading."""
        options = self.reading.options()
        options.check_known(READING[self.source], f"the source {self.source}")
        if self.source in ("archive", "cloud"):
            return {"options": options} if options.given() else {}

        keywords: dict[str, Any] = {}
        if options.pixel_km:
            keywords["pixel"] = 1000 * options.pixel_km
        if options.north_up is not None:
            keywords["north_up"] = options.north_up
        return keywords


def _with_limits(keywords: dict[str, Any]) -> dict[str, Any]:
    """The keywords of the feed fvg, those of its limits put together."""
    from nowcastlib.data import feeds

    names = ("file_seconds", "file_bytes", "other_hosts")
    limits = {name: value for name in names if (value := keywords.pop(name))}
    if "file_bytes" in limits:
        limits["file_bytes"] = int(limits["file_bytes"] * (1 << 20))
    return keywords | {"limits": feeds.Limits(**limits)}
