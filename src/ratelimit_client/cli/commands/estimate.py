"""
``estimate``: rows, tokens, which limit binds and how long it takes.

Law of this file: it reads the input and makes no call.
"""

from __future__ import annotations

from ...bulk.fingerprints import Fingerprints
from ...bulk.forecast import Forecast
from ...bulk.source import Source
from ...bulk.walk import Walk
from ...errors import ConfigurationError
from .. import outlook
from ..args import Request
from ..counter import counter_of
from ..report import show
from ..target import known_limits
from ..voice import Voice

_UNKNOWN = 'give --limit "500 requests/min", or the --state file of a run; a run reads the limits off the answers'


def main(request: Request, voice: Voice) -> int:
    """Show it; 0 when every line can be sent."""
    counter = counter_of(request.options, voice)
    source = Source.open(request.options["input"])
    try:
        if not source.regular:
            raise ConfigurationError("estimate reads a file: save what comes through the pipe first")
        forecast = Forecast(Walk(Fingerprints()), counter)
        with source.reading():
            forecast.read(source.lines())
    finally:
        source.close()
    quotas = known_limits(request.options)
    show([("input", source.path), *outlook.table(forecast, quotas, _UNKNOWN)])
    return 0 if outlook.is_well(forecast, quotas) else 1
