"""The page of a live forecast."""

from collections.abc import Mapping
from pathlib import Path

import xarray as xr
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from nowcastlib.data import AROUND_KM
from nowcastlib.display import ForecastPlayer, credit, rain_scale
from nowcastlib.forecasting import PlaceForecast, describe_baseline, main_forecaster, outlook
from nowcastlib.live import place_chart
from nowcastlib.live.issue import WET, Issue, table_rows
from nowcastlib.units import DRY

NETWORK = "A trained network. It blurs: where rain is heavy, it forecasts too little."
NETWORK_ENSEMBLE = (
    "An ensemble of a trained network: each member is one possible course of the rain."
)
MEAN = "Pictures and table show the mean of its members, which is smoother than each of them."

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_page(issue: Issue, reload: float = 0) -> str:
    """Return the page of a forecast as HTML that needs no network.

    Parameters
    ----------
    issue : Issue
        The forecast.
    reload : float
        Minutes after which the page loads itself again; 0: never.
    """
    at_places = issue.at_places
    main = main_forecaster(at_places) if at_places else ""
    places = [each.place for each in at_places[main]] if at_places else []
    gives_chances = any(each.chances is not None for each in at_places.get(main, []))
    player = ForecastPlayer(issue.frames, issue.forecasts, issue.past.sizes["time"], places)
    player.frame = issue.past.sizes["time"]  # the next step, even if it is dry
    player.threshold = rain_scale.LEVELS.index(WET)  # scores at the threshold of the table
    descriptions = {name: _description(name, rate) for name, rate in issue.forecasts.items()}
    return _TEMPLATES.get_template("page.html.jinja").render(
        issue=issue,
        title=f"Rain forecast: {issue.origin}",
        reload_seconds=round(60 * reload),
        player=player.page(),
        descriptions=descriptions,
        rows=table_rows(issue.forecasts),
        wet=f"{WET:g}",
        main=main,
        places=[_place(at_places, main, k) for k in range(len(places))],
        gives_chances=gives_chances,
        around=f"{AROUND_KM:g}",
        dry=f"{DRY:g}",
        credit=credit(issue.past),
    )


def _place(at_places: Mapping[str, list[PlaceForecast]], main: str, k: int) -> dict:
    """What the template says about the place of number ``k``."""
    forecasts = {name: series[k] for name, series in at_places.items()}
    return {
        "name": forecasts[main].place.label,
        "outlook": outlook(forecasts[main], main),
        "chart": place_chart.place_chart(forecasts),
        "rows": place_chart.table(forecasts[main]),
    }


def _description(name: str, rate: xr.DataArray) -> str:
    """Sentences about a forecast (…, lead_time, y, x) for readers of the page."""
    is_ensemble = "member" in rate.dims
    text = describe_baseline(name) or (NETWORK_ENSEMBLE if is_ensemble else NETWORK)
    return f"{text} {MEAN}" if is_ensemble else text
