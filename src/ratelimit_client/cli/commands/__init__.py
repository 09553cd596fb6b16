"""
One module a command, each with ``main(request, voice) -> exit code``.
"""

from __future__ import annotations
