"""``nowcast forecast --beyond``: a forecast after the end of each video of a folder."""

import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from nowcastlib.cli.reading import option
from nowcastlib.errors import NowcastError

if TYPE_CHECKING:
    import xarray as xr

    from nowcastlib.cli.forecast import Forecast
    from nowcastlib.forecasting import Forecaster

log = logging.getLogger("nowcastlib")


@dataclass(frozen=True, kw_only=True)
class Videos:
    """Videos in place of a store, and how they are read."""

    # Forecast what comes after the end of each video of the folder --data. Each video gets a folder
    # of its own in --out: forecast.npy, times.json and a PNG for each lead. Videos that are done
    # are left out when the command is run again.
    beyond: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False

    # With --beyond: only the N-th video, counted from 1, as for an array of Slurm; 0: all.
    job: Annotated[int, tyro.conf.arg(metavar="N")] = 0

    # With --beyond: minutes between two frames.
    spacing: Annotated[float | None, option("MINUTES", "5")] = None

    # With --beyond: CSV or JSON file with the rain rate of each colour, as for ingest.
    palette: Annotated[str | None, option("FILE", "none, for grey videos")] = None

    # With --beyond: brighter means more rain in videos with colours, too.
    brightness: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False

    # With --beyond: a picture of the size of the frames; where it is black is not observed.
    mask: Annotated[str | None, option("FILE", "all are observed")] = None

    # With --beyond: keep only a rectangle of each frame, as for ingest.
    crop: Annotated[
        tuple[int, int, int, int] | None, option("X Y WIDTH HEIGHT", "the whole frame")
    ] = None

    def check_used(self) -> None:
        """Raise NowcastError if an option is given without --beyond."""
        for name in ("job", "spacing", "palette", "brightness", "mask", "crop"):
            if getattr(self, name) and not self.beyond:
                raise NowcastError(
                    f"--{name} goes with --beyond: for a store, give it to nowcast ingest"
                )

    def keywords(self) -> dict[str, Any]:
        """The keywords of the feed ``images``."""
        names = ("spacing", "palette", "brightness", "mask")
        return {name: value for name in names if (value := getattr(self, name))}


VideoOptions = Annotated[Videos, tyro.conf.arg(name="")]
A_STORE = Videos()


def forecast_beyond(command: "Forecast") -> None:
    """Forecast after the end of each video; one that fails does not stop the next ones.

    Raises
    ------
    NowcastError
        At the beginning if there are no videos; at the end if one has failed.
    """
    from nowcastlib.display import save_forecast
    from nowcastlib.forecasting import ColourNetwork, forecaster, videos_in

    if command.at:
        raise NowcastError("--beyond forecasts after the end of each video: leave out --at")
    if command.out.suffix:
        raise NowcastError(
            f"--beyond writes a folder for each video: give --out a folder, not {command.out}"
        )
    videos = _chosen(list(videos_in(command.data).items()), command.videos.job, command.data)
    run = forecaster(command.weights, command.device)
    if command.grey and isinstance(run, ColourNetwork):
        raise NowcastError("pictures of colours keep their colours: leave out --grey")

    failed = []
    for name, video in videos:
        made_by, folder = _made_by(command, video), command.out / name
        if _is_done(folder, made_by):
            print(f"{folder}: done before")
            continue
        try:
            predicted = _after(video, run, command).assign_attrs(history=made_by)
            save_forecast(predicted, folder, command.grey)
        except (NowcastError, OSError) as error:
            named = error if str(video) in str(error) else f"{video}: {error}"
            print(f"nowcastlib: error: {named}", file=sys.stderr)
            failed.append(video.name)
            continue
        print(f"{folder}: {command.leads} frames after the end of {video}")
    if failed:
        raise NowcastError(
            f"{len(failed)} of {len(videos)} videos failed ({', '.join(failed[:3])}): correct or "
            "remove them and run the command again; finished ones are left out"
        )


def _chosen(videos: list[tuple[str, Path]], job: int, place: Path) -> list[tuple[str, Path]]:
    """All videos, or the N-th."""
    if job > len(videos):
        raise NowcastError(f"{place} holds {len(videos)} videos: there is no job {job}")
    return [videos[job - 1]] if job else videos


def _after(video: Path, run: "Forecaster", command: "Forecast") -> "xr.DataArray":
    """The forecast after the end of a video."""
    from nowcastlib.data import centre
    from nowcastlib.data.feeds import images
    from nowcastlib.forecasting import ColourNetwork, at_trained_scale, forecast, last_frames

    reading = command.reading.options()
    reading.check_known(("pixel_km", "north_up"), "videos")
    keywords = command.videos.keywords()
    if reading.pixel_km:
        keywords["pixel"] = 1000 * reading.pixel_km
    if reading.north_up is not None:
        keywords["north_up"] = reading.north_up

    if isinstance(run, ColourNetwork):
        keywords["colours"] = True
    feed = images.Images(str(video), **keywords)
    frames = last_frames(feed, run.n_in, command.videos.crop)
    if command.size:
        frames = centre(frames, command.size)
    predicted = forecast(
        at_trained_scale(run, frames, command.weights), frames, leads=command.leads
    )
    return predicted.assign_attrs(forecaster=command.weights)


def _made_by(command: "Forecast", video: Path) -> str:
    """All that decides a forecast: it is made again if anything of it changes."""
    weights = Path(command.weights)
    settings = {
        "video": _version(video),
        "forecaster": _version(weights / "model.safetensors" if weights.is_dir() else weights),
        "leads": command.leads,
        "size": command.size,
        "grey": command.grey,
        "crop": command.videos.crop,
        "reading": str(command.reading.options()),
        **command.videos.keywords(),
    }
    for name in ("palette", "mask"):
        if file := getattr(command.videos, name):
            settings[name] = _version(Path(file))
    return json.dumps(settings)


def _version(path: Path) -> str:
    """A file with its size and time of change; else the name, as that of a baseline."""
    if not path.is_file():
        return str(path)
    stat = path.stat()
    return f"{path}, {stat.st_size} bytes, {stat.st_mtime_ns}"


def _is_done(folder: Path, made_by: str) -> bool:
    """Whether a folder holds the forecast that would be made."""
    from nowcastlib.display import is_forecast_folder

    if not is_forecast_folder(folder):
        return False
    return json.loads((folder / "times.json").read_text()).get("history") == made_by
