"""
How many connections a process has files for.

Law of this file: whoever is let in can be served. A call takes two files, one to whoever
asks and one to the server, so half of what there is is for callers.

Theory. A loop that has no file left for a connection cannot accept it, nor refuse it; it
says so and tries again, once for each that waits, and thousands of lines a second are the
end of the disk as well. So one too many is accepted, told so, and left.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Iterable
from typing import Any, Final

# What a program has besides: its modules, its log, a page of metrics, a list of limits.
_KEPT_BACK: Final = 64
_LEAST: Final = 8
_MOST: Final = 65_536


def most_connections() -> int:
    """Of callers, with the files that this process may open now."""
    return max(_LEAST, (_soft_limit() - _KEPT_BACK) // 2)


def allow_more() -> None:
    """Let this process have as many files as it may without asking anybody; programs start with a few."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    more = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < more:
        with contextlib.suppress(ValueError, OSError):  # some systems have a further bound that they do not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))


def let_more_wait(sockets: Iterable[Any], most: int) -> None:
    """
    Have the system hold *most* connections for each of *sockets* until they are accepted.

    The number that asyncio takes is that of accepts in one turn of the loop as well, and that one is to be small.
    """
    for sock in sockets:
        # Where it cannot, it holds as many as it did.
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(sock.fileno())) as same:
            same.listen(most)


def _soft_limit() -> int:
    if sys.platform == "win32":
        return _MOST
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else min(soft, _MOST)
