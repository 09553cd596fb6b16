"""
What happens, in the log of the standard library.

    from ratelimit_client.adapters.logging import LoggingInstrument, log_to

    log_to(sys.stderr, level="info")                       # or a set-up of your own
    limiter = Limiter(..., on_event=LoggingInstrument())

Law of this package: nothing is set up by importing it. Records go to loggers below
``ratelimit_client``; what they are about is in their fields as well as in their text.
"""

from __future__ import annotations

from .formats import JsonFormatter, TextFormatter
from .instrument import LoggingInstrument
from .levels import Levels, log_from_environment, log_to

__all__ = ["JsonFormatter", "Levels", "LoggingInstrument", "TextFormatter", "log_from_environment", "log_to"]
