"""All bugs that were planted."""

from __future__ import annotations

from tests.planted.bugs import BUGS
from tests.planted.workers import BUGS_OF_WORKERS

EVERY = (*BUGS, *BUGS_OF_WORKERS)
