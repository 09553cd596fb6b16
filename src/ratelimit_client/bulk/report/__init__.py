"""
``--report``: a run as one page, to be opened in a browser and sent to whoever asks how it went.

Law of this package: the page is one file and asks nobody for anything: no script, no font, no picture
from elsewhere, and a policy of its own that forbids them. Every name on it that came from a row, a
server or a command line is escaped. It tells what the summary tells, and draws it.
"""

from __future__ import annotations

from .page import page
from .place import check, probe, write

__all__ = ["check", "page", "probe", "write"]
