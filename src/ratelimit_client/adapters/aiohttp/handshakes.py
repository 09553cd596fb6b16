"""
The connections on which handshakes go out, to become websockets.

Law of this file: each carries one handshake and is then a session's or closed; none is kept
for a request after it, and none that carried a request is taken for one.
"""

from __future__ import annotations

import functools
from typing import cast

from aiohttp.client_proto import ResponseHandler

from .credentials import Credentials
from .handler import Handler
from .pool import Pool
from .timeouts import Timeout
from .url import Base
from .watchdog import Watchdog


class Switching(Handler):
    """Our end of a connection that becomes a websocket: then it is no answer, and has no most of bytes."""

    def data_received(self, data: bytes) -> None:
        """Something came."""
        if self.upgraded:
            self.heard += len(data)
            ResponseHandler.data_received(self, data)
        else:
            super().data_received(data)


class Handshakes(Pool):
    """Connections for handshakes, each of which is used once."""

    def __init__(self, base: Base, credentials: Credentials, timeout: Timeout, dog: Watchdog) -> None:
        super().__init__(base, credentials, timeout, dog, keep=True)
        self.connector._factory = cast(
            "functools.partial[ResponseHandler]", functools.partial(Switching, loop=self._loop)
        )
        self.shapes = None

    def _take(self) -> Handler | None:
        return None

    def end(self, handler: Handler, whole: bool) -> None:
        """An exchange on one of ours has ended, and with it the connection."""
        super().end(handler, False)
