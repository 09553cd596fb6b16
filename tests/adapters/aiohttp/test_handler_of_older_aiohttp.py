"""What differs between the versions of aiohttp that may be installed, where our end of a connection reads it."""

from __future__ import annotations

import asyncio
import contextlib

from ratelimit_client.adapters.aiohttp.handler import Handler


class Line(asyncio.Transport):
    """A connection that tells whether it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read = True

    def pause_reading(self) -> None:
        self.read = False

    def resume_reading(self) -> None:
        self.read = True


def test_an_aiohttp_that_holds_reading_back_for_one_reason_only() -> None:
    """3.14.3 knows nothing of a buffer that holds reading back; a body is read to its end all the same."""

    async def main() -> None:
        handler, line = Handler(asyncio.get_running_loop()), Line()
        handler.connection_made(line)
        with contextlib.suppress(AttributeError):  # where this is one of those
            del handler._buffer_paused
        handler.resume_reading()
        assert line.read

    asyncio.run(main())


def test_reading_that_was_held_back_goes_on() -> None:
    """A body that came faster than it was taken."""

    async def main() -> None:
        handler, line = Handler(asyncio.get_running_loop()), Line()
        handler.connection_made(line)
        handler.set_response_params(skip_payload=False)
        handler.shapes = None
        handler._reading_paused = True
        line.pause_reading()
        handler.resume_reading(resume_parser=False)
        assert line.read

    asyncio.run(main())
