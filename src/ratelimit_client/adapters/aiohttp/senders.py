"""
Who sends a request of a session that belongs to somebody else.

Law of this file: the few headers that tell it are read, and nothing else is looked at. What
a middleware further in adds is not seen here.
"""

from __future__ import annotations

import aiohttp
from multidict import istr

from ...runtime.scoped import Scoped
from ...runtime.senders import CREDENTIALS, ORGANIZATION, PROJECTS, Senders

_HOST = istr("host")
_ORGANIZATION = istr(ORGANIZATION)
_PROJECTS = tuple(map(istr, PROJECTS))
_CREDENTIALS = tuple(map(istr, CREDENTIALS))


def scope_of(request: aiohttp.ClientRequest, senders: Senders) -> Scoped:
    """The scope of *request* among those of its session."""
    headers = request.headers
    return senders.scope(
        f"{request.url.scheme}://{headers.get(_HOST, '')}",
        headers.get(_ORGANIZATION, ""),
        "".join([headers[name] for name in _PROJECTS if name in headers]),
        [headers[name] for name in _CREDENTIALS if name in headers],
    )
