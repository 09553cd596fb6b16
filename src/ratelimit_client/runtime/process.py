"""
Which process this is.

Law of this file: ``pid`` is right in a fork from its first line on, and the system is asked once in each
process. To ask it for every call would be one of the dearest lines of a call.
"""

from __future__ import annotations

import os

pid = os.getpid()


def _note() -> None:
    global pid
    pid = os.getpid()


if hasattr(os, "register_at_fork"):  # where there is none, there are no forks
    os.register_at_fork(after_in_child=_note)
