"""The model server on real loopback sockets, and on a virtual loop."""

from __future__ import annotations

import asyncio
import email.utils
import io
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from ratelimit_client import per_minute
from ratelimit_client.testing import Faults, ModelServer, ModelURL, run_virtual, serve_model

BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]}


async def call(client: aiohttp.ClientSession, url: str, row: int = 0) -> tuple[int, Any]:
    headers = {"X-Client-Request-Id": f"mine-{row}", "Authorization": "Bearer key"}
    async with client.post(f"{url}/chat/completions", json={**BODY, "user": f"row-{row}"}, headers=headers) as response:
        return response.status, await response.json()


async def until(holds: Callable[[], bool]) -> None:
    """Return when it holds; it has ten seconds."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to hold")


def test_it_is_served_and_its_url_is_a_string() -> None:
    """The base URL is a str with the server on it; what it decides arrives over HTTP."""

    async def main() -> None:
        async with serve_model(per_minute(requests=3)) as url, aiohttp.ClientSession() as client:
            assert isinstance(url, str)
            assert type(url.url) is str
            assert url == url.url
            assert url.startswith("http://127.0.0.1:")
            assert url.endswith("/v1")
            answers = [await call(client, url, row) for row in range(4)]
            assert [status for status, _ in answers] == [200, 200, 200, 429]
            assert "row-2" in answers[2][1]["choices"][0]["message"]["content"]
            assert url.tally.refusals == url.server.tally.refusals == 1
            async with client.get(f"{url}/models") as response:
                assert (await response.json())["object"] == "list"

    asyncio.run(main())


def test_headers_arrive_as_they_were_written() -> None:
    """Limits, debug headers and the echo of the client's own id."""

    async def main() -> None:
        own_id = {"X-Client-Request-Id": "mine"}
        async with (
            serve_model(per_minute(requests=3, tokens=100)) as url,
            aiohttp.ClientSession() as client,
            client.post(f"{url}/chat/completions", json=BODY, headers=own_id) as response,
        ):
            assert response.content_type == "application/json"
            assert response.headers["x-ratelimit-remaining-requests"] == "2"
            assert response.headers["x-ratelimit-reset-tokens"].endswith("s")
            assert response.headers["x-client-request-id"] == "mine"
            assert response.headers["x-request-id"].startswith("req_")

    asyncio.run(main())


def test_an_answer_takes_its_latency() -> None:
    """Answers wait on the real clock; a refusal is back at once."""

    async def main() -> tuple[float, float]:
        async with serve_model(per_minute(requests=1), latency=0.2) as url, aiohttp.ClientSession() as client:
            started = time.monotonic()
            assert (await call(client, url))[0] == 200
            answered = time.monotonic()
            assert (await call(client, url))[0] == 429
            return answered - started, time.monotonic() - answered

    answer_s, refusal_s = asyncio.run(main())
    assert answer_s >= 0.2
    assert refusal_s < answer_s


@pytest.mark.parametrize(
    ("fault", "error"),
    [("reset", aiohttp.ClientOSError), ("truncated", aiohttp.ClientPayloadError)],
)
@pytest.mark.parametrize("virtual", [False, True], ids=["real", "virtual"])
def test_answers_break_off_where_they_should(fault: str, error: type[Exception], virtual: bool) -> None:
    """A reset is a reset and half a body is half a body, on the kernel's sockets and on ours."""

    async def main() -> None:
        async with serve_model(faults=Faults(**{fault: 1.0})) as url, aiohttp.ClientSession() as client:
            with pytest.raises(error):
                await call(client, url)
            assert url.tally.broken_off == {fault: 1}
            assert url.tally.lost(["row-0"]) == {"row-0"}

    if virtual:
        run_virtual(main)
    else:
        asyncio.run(main())


@pytest.mark.parametrize("fault", ["reset", "truncated", "slow"])
def test_a_client_that_leaves_before_its_answer_harms_nobody(fault: str) -> None:
    """Whatever was to become of the answer, the next call is served."""

    async def main() -> None:
        faults = Faults(**{fault: 1.0}, until_s=5.0, slow_factor=1.0)
        async with serve_model(faults=faults, latency=1.0) as url, aiohttp.ClientSession() as client:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(call(client, url), 0.5)
            await asyncio.sleep(10)
            assert (await call(client, url))[0] == 200

    _, loop = run_virtual(main)
    assert not loop.left_behind


@pytest.mark.parametrize("virtual", [False, True], ids=["real", "virtual"])
def test_a_call_whose_client_left_is_charged_and_not_answered(virtual: bool) -> None:
    """The handler ends with the connection: the charge stays, the place in flight is free, no success is counted."""

    async def main() -> None:
        async with (
            serve_model(per_minute(requests=60), latency=3600.0, max_in_flight=1) as url,
            aiohttp.ClientSession() as client,
        ):
            leaves = asyncio.create_task(call(client, url, 1))
            await until(lambda: url.tally.calls > 0)
            assert (await call(client, url, 2))[0] == 503, "there is one place, and it is taken"
            tally = url.tally
            assert tally.answered == {"row-1": 1}
            leaves.cancel()
            await until(lambda: bool(tally.broken_off))
            assert tally.broken_off == {"left": 1}
            assert (tally.admitted, tally.lost(["row-1"]), tally.models) == (1, {"row-1"}, {})
            assert url.server.accounts["gpt-4o"].meters[0].shown()[0] < 60 * 60 * 10**9
            stays = asyncio.create_task(call(client, url, 1))
            await until(lambda: tally.admitted == 2)
            stays.cancel()
            await asyncio.wait([stays])
        assert tally.broken_off == {"left": 2}

    if virtual:
        _, loop = run_virtual(main)
        assert not loop.left_behind
    else:
        asyncio.run(asyncio.wait_for(main(), 20))


def test_an_answer_that_the_end_of_the_server_cuts_off_was_not_sent() -> None:
    """Whoever waits when the block is left gets no answer, and the tally says so."""

    async def main() -> None:
        async with aiohttp.ClientSession() as client:
            async with serve_model(latency=3600.0) as url:
                waits = asyncio.create_task(call(client, url))
                await until(lambda: url.tally.calls > 0)
            with pytest.raises(aiohttp.ClientError):
                await waits
            assert url.tally.broken_off == {"left": 1}

    _, loop = run_virtual(main)
    assert not loop.left_behind


def test_the_tally_is_there_over_http() -> None:
    """For a server in another process: counts, and every row when asked for."""

    async def main() -> None:
        async with serve_model(api_keys=["key"]) as url, aiohttp.ClientSession() as client:
            await call(client, url, 7)
            await call(client, url, 7)
            root = url.removesuffix("/v1")
            async with client.get(f"{root}/__stats__") as response:
                report = await response.json()
            assert (report["calls"], report["rows_answered"], report["rows_repeated"]) == (2, 1, 1)
            assert report["reused_client_request_ids"] == 1
            assert "answered" not in report
            async with client.get(f"{root}/__stats__?marks=1") as response:
                assert (await response.json())["answered"] == {"row-7": 2}

    asyncio.run(main())


def test_a_large_body_is_no_problem() -> None:
    """Ten megabytes of text are counted and, being too large, refused; the server lives on."""

    async def main() -> None:
        async with serve_model(per_minute(tokens=1000)) as url, aiohttp.ClientSession() as client:
            body = {**BODY, "messages": [{"role": "user", "content": "x" * 10_000_000}]}
            data = io.BytesIO(json.dumps(body).encode())
            async with client.post(f"{url}/chat/completions", data=data) as response:
                assert response.status == 429
                assert "Request too large" in (await response.json())["error"]["message"]
            assert (await call(client, url))[0] == 200

    asyncio.run(main())


def test_a_server_of_ones_own_is_served_as_it_is() -> None:
    """Pass a ModelServer, or what makes one, but not both."""

    async def main() -> None:
        server = ModelServer(per_minute(requests=1), base_path="/api/v1")
        async with serve_model(server) as url:
            assert url.server is server
            assert url.endswith("/api/v1")
        with pytest.raises(TypeError, match="latency came too late"):
            async with serve_model(server, latency=1.0):
                pass

    asyncio.run(main())


def test_a_day_of_calls_in_virtual_time() -> None:
    """2000 calls at 60 a minute, politely: half an hour of waiting, exact, dated virtually, nothing left behind."""

    async def main() -> tuple[int, str]:
        loop = asyncio.get_running_loop()
        async with serve_model(per_minute(requests=60), latency=0.5) as url, aiohttp.ClientSession() as client:
            for row in range(2000):
                if row >= 60:
                    await asyncio.sleep(0.5)
                status, _ = await call(client, url, row)
                assert status == 200, row
            async with client.get(f"{url}/models") as response:
                date = response.headers["Date"]
            assert isinstance(url, ModelURL)
            assert loop.time() > 1000
            return url.tally.admitted, date

    (admitted, date), loop = run_virtual(main)

    assert admitted == 2000
    assert loop.elapsed_s == 60 * 0.5 + 1940 * 1.0 + 0.5
    assert email.utils.parsedate_to_datetime(date).timestamp() == loop.clock.wall_ns() // 10**9
    assert not loop.left_behind


@pytest.mark.parametrize("turns", range(6))
def test_a_connection_of_the_last_moment_is_closed(turns: int) -> None:
    """However far its way to the server is when that ends, the client hears of the end."""
    late: list[socket.socket] = []

    async def main() -> None:
        async with serve_model() as url:
            host, port = url.split("/")[2].split(":")
            late.append(socket.create_connection((host, int(port)), timeout=10))
            for _ in range(turns):
                await asyncio.sleep(0)

    asyncio.run(main())
    with late[0] as sock:
        try:
            assert sock.recv(1) == b""
        except ConnectionResetError:  # it was never accepted
            pass


@pytest.mark.parametrize("at", range(1, 6))
def test_cancelled_while_it_is_entered_it_does_not_listen(at: int) -> None:
    """Wherever the cancellation comes: the port is free again."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]

        async def serves() -> None:
            async with serve_model(port=port):
                await asyncio.Event().wait()

        task = asyncio.create_task(serves())
        for _ in range(at):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        socket.create_server(("127.0.0.1", port)).close()

    asyncio.run(main())
