"""
Why a run ends before its input does.

Law of this file: a run stops for one reason, the first; what it says to people
and the code it exits with follow from the reason and from nothing else.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs


class Why(enum.Enum):
    """The reasons."""

    EDITED = "edited"
    CONFIGURATION = "configuration"
    FATAL = "fatal"
    OUTPUT = "output"
    BROKEN_PIPE = "broken_pipe"
    MAX_TIME = "max_time"
    MAX_ROWS = "max_rows"
    MAX_OUTAGE = "max_outage"
    LONG_WAIT = "long_wait"
    SIGINT = "sigint"
    SIGTERM = "sigterm"


# From sysexits.h (74 EX_IOERR, 75 EX_TEMPFAIL) and the shells' 128 + signal.
EXIT_CODES: Final = {
    Why.EDITED: 2,
    Why.CONFIGURATION: 2,
    Why.FATAL: 3,
    Why.OUTPUT: 74,
    Why.BROKEN_PIPE: 141,
    Why.MAX_TIME: 75,
    Why.MAX_ROWS: 75,
    Why.MAX_OUTAGE: 75,
    Why.LONG_WAIT: 75,
    Why.SIGINT: 130,
    Why.SIGTERM: 143,
}

# These stop it with all that was begun finished; the others take nothing more from the queue.
GENTLE: Final = frozenset({Why.MAX_ROWS})

# These let the calls that are out finish, however long they take; the others wait for the grace time only.
PATIENT: Final = frozenset({Why.MAX_ROWS, Why.SIGINT})


@attrs.frozen
class Stop:
    """
    Args:
        why: the reason.
        sentence: for people, with what they can do.
    """

    why: Why
    sentence: str

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.why]
