"""
Who makes the calls of a job: ``local`` is this process and its event loop, ``crew``
several workers, of whom each has an engine of the first kind.

A worker is told what to do by its ``recipe`` and reached by a ``hand``; ``ray`` has
those of a Ray cluster. ``adding`` makes one of what their limiters know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from ...adapters.aiohttp.reply import Reply
    from .crew import Crew
    from .local import LocalEngine
    from .worker import Answer

Engine: TypeAlias = "LocalEngine | Crew"
Answered: TypeAlias = "Reply | Answer"
