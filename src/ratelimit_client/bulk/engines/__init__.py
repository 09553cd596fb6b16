"""
Who makes the calls of a job: ``local`` is this process and its event loop.
"""

from __future__ import annotations
