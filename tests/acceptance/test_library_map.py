"""``client.map`` as the contract describes it: rows of both forms, look-ahead, order, errors, leaving early."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from ratelimit_client import (
    Client,
    ConfigurationError,
    Limiter,
    ModelNotFound,
    Reply,
    ResponseError,
    Result,
    RetryPolicy,
    per_minute,
)
from ratelimit_client.testing import Uniform, serve_model
from tests.acceptance.library import CHAT, KEY, at_zero, tell


def row(number: int, **changes: Any) -> dict[str, Any]:
    """A dict of request() arguments."""
    return {"path": "/chat/completions", "json": {**CHAT, "user": f"r{number}", **changes}}


def batch(number: int, **changes: Any) -> dict[str, Any]:
    """A line of a Batch file."""
    body = {**CHAT, "user": f"r{number}"}
    return {"custom_id": f"c{number}", "method": "POST", "url": "/v1/chat/completions", "body": body, **changes}


def test_the_signature() -> None:
    """
    map(rows, *, ordered=False, on_error="yield").
    """
    parameters = inspect.signature(Client.map).parameters

    assert list(parameters) == ["self", "rows", "ordered", "on_error"]
    assert (parameters["ordered"].default, parameters["on_error"].default) == (False, "yield")


async def arriving(rows: list[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    for each in rows:
        await asyncio.sleep(0.01)
        yield each


@pytest.mark.parametrize("form", [row, batch], ids=lambda form: form.__name__)
@pytest.mark.parametrize("source", ["list", "iterator", "async"])
def test_one_result_for_each_row(form: Any, source: str) -> None:
    """
    Row, index, reply or error, unwrap; of arguments or batch lines, from any iterable.
    """

    async def story() -> None:
        rows = [form(number) for number in range(100)]
        given: Any = {"list": rows, "iterator": iter(rows), "async": arriving(rows)}[source]
        async with serve_model(per_minute(requests=6000), latency=Uniform(0.1, 2)) as url:
            async with Client(url, api_key=KEY) as client, client.map(given) as results:
                found = [result async for result in results]
            assert url.tally.repeated == 0
            assert not url.tally.lost(f"r{number}" for number in range(100))
        assert {type(each) for each in found} == {Result}
        assert sorted(each.index for each in found) == list(range(100))
        for each in found:
            assert each.row is rows[each.index]
            assert each.error is None
            assert isinstance(each.reply, Reply)
            assert each.unwrap() is each.reply
            assert f"Answer to r{each.index}:" in each.reply.text
        assert at_zero(client)

    tell(story)


def test_a_row_that_fails_is_its_own_error() -> None:
    """
    Unknown model, a url that leads elsewhere, an argument nobody knows: each an error result; the others go on.
    """

    async def story() -> None:
        rows = [
            row(0),
            row(1, model="nobody"),
            batch(2, url="https://evil.example/v1/chat/completions"),
            batch(3, url="/v1/../admin"),
            {"path": "/chat/completions", "jason": {}},
            batch(5),
        ]
        async with serve_model(models={"gpt-4o"}) as url, Client(url, api_key=KEY, retry=RetryPolicy.none()) as client:
            async with client.map(rows) as results:
                found = {result.index: result async for result in results}
            assert url.tally.calls == 3
        kinds = [type(found[index].error) for index in range(6)]
        nothing = type(None)
        assert kinds == [nothing, ModelNotFound, ConfigurationError, ConfigurationError, ConfigurationError, nothing]
        with pytest.raises(ModelNotFound):
            found[1].unwrap()

    tell(story)


def test_on_error_raise_ends_the_iteration() -> None:
    """
    The first failed row raises, and what is under way is cancelled.
    """

    async def story() -> None:
        rows = [row(number, model="nobody" if number == 5 else "gpt-4o") for number in range(200)]
        limits = per_minute(requests=600)
        async with serve_model(limits, models={"gpt-4o"}, latency=3) as url, Client(url, api_key=KEY) as client:
            with pytest.raises(ResponseError):
                async with client.map(rows, on_error="raise") as results:
                    async for _ in results:
                        pass
            assert at_zero(client)
            await asyncio.sleep(5)
            assert url.tally.calls < 200
        with pytest.raises(ValueError, match="on_error"):
            client.map(rows, on_error="ignore")  # type: ignore[arg-type]

    tell(story)


def test_ordered_is_in_the_order_of_the_rows() -> None:
    """
    However the answers come; unordered they come as they finish.
    """

    async def story(ordered: bool) -> list[int]:
        async with (
            serve_model(per_minute(requests=6000), latency=Uniform(0.1, 9)) as url,
            Client(url, api_key=KEY) as client,
            client.map([row(number) for number in range(150)], ordered=ordered) as results,
        ):
            return [result.index async for result in results]

    in_order, as_they_come = tell(lambda: story(True)), tell(lambda: story(False))
    assert in_order == list(range(150)) == sorted(as_they_come)
    assert as_they_come != in_order


class Counted(Iterator[int]):
    """Rows without end that know how many were taken."""

    taken = 0

    def __next__(self) -> int:
        self.taken += 1
        return self.taken - 1


def test_rows_are_taken_as_they_are_needed() -> None:
    """
    At most 64 beyond those in flight, though the input has no end.
    """

    async def story() -> None:
        limiter, rows, done = Limiter("600/min", max_in_flight=20), Counted(), 0
        most = 0

        async def work(number: int) -> int:
            await asyncio.sleep(1)
            return number

        async with limiter.map(work, rows) as results:
            async for _ in results:
                done += 1
                most = max(most, rows.taken - done - limiter.in_flight)
                if done == 1000:
                    break
        # All twenty in flight end at one instant, and are taken one by one.
        assert 60 <= most <= 64 + 20
        assert rows.taken <= 1000 + 20 + 64 + 20
        assert at_zero(limiter)

    tell(story)


def test_ordered_holds_at_most_1024_finished_results() -> None:
    """
    The first row takes an hour: no more than 1024 others are begun and held, and then all come, in order.
    """

    async def story() -> None:
        limiter, rows, went = Limiter(), Counted(), 0

        async def work(number: int) -> int:
            nonlocal went
            await asyncio.sleep(3600 if number == 0 else 0.1)
            went += 1
            return number

        async with limiter.map(work, rows, ordered=True) as results:
            waiting = asyncio.ensure_future(anext(results))
            await asyncio.sleep(3000)
            assert 900 <= went <= 1024
            assert rows.taken <= 1024 + 1
            assert (await waiting).index == 0
            for expected in range(1, 2000):
                assert (await anext(results)).index == expected
        assert at_zero(limiter)

    tell(story)


def test_a_consumer_that_stops_looking_holds_nothing_up_but_the_input() -> None:
    """
    Unordered: rows are begun until 1024 results wait, and no more of them though an hour passes; nothing is lost.
    """

    async def story() -> None:
        limiter, rows = Limiter(max_in_flight=30), Counted()

        async def work(number: int) -> int:
            await asyncio.sleep(0.01)
            return number

        async with limiter.map(work, rows) as results:
            seen = [(await anext(results)).index]
            await asyncio.sleep(3600)
            assert rows.taken <= 1024 + 30 + 64 + 2
            assert limiter.in_flight == 0
            for _ in range(3000):
                seen.append((await anext(results)).index)
        assert sorted(set(seen)) == sorted(seen)
        assert at_zero(limiter)

    tell(story)


def test_leaving_early_cancels_what_is_under_way() -> None:
    """
    break in the middle: nothing runs on, the ledger is even, and the iterator of rows is closed.
    """
    closed: list[bool] = []

    async def rows() -> AsyncIterator[dict[str, Any]]:
        try:
            for number in range(1000):
                yield row(number)
        finally:
            closed.append(True)

    async def story() -> None:
        async with serve_model(per_minute(requests=600), latency=2) as url, Client(url, api_key=KEY) as client:
            async with client.map(rows()) as results:
                async for _ in results:
                    break
            assert at_zero(client)
            await asyncio.sleep(0.01)  # what was written already arrives
            calls = url.tally.calls
            await asyncio.sleep(30)
            assert url.tally.calls == calls
        assert closed == [True]

    tell(story)


def test_rows_that_break_end_the_iteration_after_the_rows_before() -> None:
    """
    An input that raises: every row it gave has its result, then its error comes.
    """

    async def rows() -> AsyncIterator[dict[str, Any]]:
        for number in range(20):
            yield row(number)
        raise OSError("the disk is gone")

    async def story() -> None:
        async with serve_model(latency=1) as url, Client(url, api_key=KEY) as client:
            found = []
            with pytest.raises(OSError, match="the disk is gone"):
                async with client.map(rows()) as results:
                    async for result in results:
                        found.append(result.index)
            assert sorted(found) == list(range(20))
            assert url.tally.calls == 20

    tell(story)
