"""The page of a live forecast."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from nowcastlib.display import ForecastPlayer, credit
from nowcastlib.forecasting import BASELINES
from nowcastlib.live.issue import WET, Issue, table_rows

NETWORK = "A trained network. It blurs: where rain is heavy, it forecasts too little."

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
    player = ForecastPlayer(issue.frames, issue.forecasts, issue.past.sizes["time"])
    descriptions = {
        name: BASELINES[name].description if name in BASELINES else NETWORK
        for name in issue.forecasts
    }
    return _TEMPLATES.get_template("page.html.jinja").render(
        issue=issue,
        title=f"Rain forecast: {issue.place}",
        reload_seconds=round(60 * reload),
        player=player.page(),
        descriptions=descriptions,
        rows=table_rows(issue.forecasts),
        wet=f"{WET:g}",
        credit=credit(issue.past),
    )
