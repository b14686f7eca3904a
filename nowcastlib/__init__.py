"""From a weather radar's frames to a scored rain forecast, with ConvLSTM networks.

The names below are the public interface. Each is imported when it is first used, so that
``import nowcastlib`` takes milliseconds. More is in the rooms ``nowcastlib.data``,
``networks``, ``training``, ``forecasting``, ``verification`` and ``display``.

An example that needs no network connection and no radar:

.. code-block:: python

    import nowcastlib as nl

    storm = nl.feed("demo", events=1)  # 36 frames of synthetic rain, 5 minutes apart
    frames = nl.open_frames(nl.ingest(storm, "storm.zarr"))  # (time, y, x) in mm/h
    radar = nl.forecaster("radar")  # a network that comes with the library
    rain = nl.forecast(radar, frames, at="2024-06-01T13:55", leads=12)  # (lead_time, y, x) in mm/h
    nl.ForecastPlayer(frames, {"radar": rain})  # in a notebook: observed and forecast, side by side
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
